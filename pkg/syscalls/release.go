package syscalls

import (
	"fmt"
	"strconv"
	"strings"
)

// A Release is that of a Linux kernel, by its first two numbers: 6.12. The zero
// Release is none that is known.
type Release struct{ Major, Minor uint }

// ParseRelease takes the first two numbers of a release as uname -r has it.
func ParseRelease(release string) (Release, error) {
	major, rest, ok := strings.Cut(release, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	a, err1 := strconv.ParseUint(major, 10, 16)
	b, err2 := strconv.ParseUint(rest[:end], 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return Release{}, fmt.Errorf("kernel release %q: want two numbers as in 6.12", release)
	}
	return Release{uint(a), uint(b)}, nil
}

func (r Release) String() string { return fmt.Sprintf("%d.%d", r.Major, r.Minor) }

// AtLeast tells whether r is s or newer.
func (r Release) AtLeast(s Release) bool {
	return r.Major > s.Major || r.Major == s.Major && r.Minor >= s.Minor
}

// Since returns the first release to have a system call, on any architecture. It is
// known of all that came after 3.0, and of those of BackgroundOf. Distributions add
// calls to older kernels now and then.
func Since(name string) (Release, bool) {
	if b, ok := BackgroundOf(name); ok && b.Since != "" {
		r, err := ParseRelease(b.Since)
		return r, err == nil
	}
	r, ok := since[name]
	return r, ok
}

// since has the releases of calls that have no background: those in syscalls(2),
// for newer calls the one whose syscall table first has the number.
var since = releases(
	"3.0", "sendmmsg",
	"3.14", "sched_getattr",
	"3.15", "renameat2",
	"3.17", "getrandom",
	"4.3", "membarrier",
	"4.4", "mlock2",
	"4.5", "copy_file_range",
	"4.6", "preadv2 pwritev2",
	"4.9", "pkey_alloc pkey_free pkey_mprotect",
	"4.11", "statx",
	"4.18", "io_pgetevents rseq",
	"5.1", `clock_adjtime64 clock_getres_time64 clock_gettime64 clock_nanosleep_time64 futex_time64
		io_pgetevents_time64 mq_timedreceive_time64 mq_timedsend_time64 pidfd_send_signal ppoll_time64 pselect6_time64
		recvmmsg_time64 rt_sigtimedwait_time64 sched_rr_get_interval_time64 semtimedop_time64 timer_gettime64
		timer_settime64 timerfd_gettime64 timerfd_settime64 utimensat_time64`,
	"5.8", "faccessat2",
	"5.11", "epoll_pwait2",
	"5.13", "landlock_add_rule landlock_restrict_self",
	"5.15", "process_mrelease",
	"5.16", "futex_waitv",
	"6.5", "cachestat",
	"6.6", "fchmodat2",
	"6.7", "futex_requeue futex_wait futex_wake",
	"6.8", "listmount lsm_get_self_attr lsm_list_modules lsm_set_self_attr statmount",
	"6.11", "uretprobe",
	"6.13", "getxattrat listxattrat removexattrat setxattrat",
	"6.17", "file_getattr file_setattr",
	"6.18", "uprobe",
	"6.19", "listns",
	"7.0", "rseq_slice_yield",
)

func releases(list ...string) map[string]Release {
	m := make(map[string]Release)
	for i := 0; i < len(list); i += 2 {
		r, err := ParseRelease(list[i])
		if err != nil {
			panic(err) // a mistake above
		}
		for _, name := range strings.Fields(list[i+1]) {
			m[name] = r
		}
	}
	return m
}
