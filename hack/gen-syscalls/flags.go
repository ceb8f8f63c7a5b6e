package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A vocabulary names the values of one parameter, or of several that share
// them. A name is a constant of x/sys; a pattern as path.Match has it; either
// with a leading '-' to leave out what an earlier pattern took; or NAME=VALUE
// for what x/sys lacks. Of two names for one value the earlier one stays,
// within a pattern the shorter.
type vocabulary struct {
	params []string // syscall.parameter
	field  uint64   // bits that hold one of values
	values []string
	bits   []string
}

const wholeValue = 1<<64 - 1

var vocabularies = []vocabulary{
	{params: []string{"clone.clone_flags"},
		field: 0xff, values: []string{"SIG[A-Z]*", "-SIGCLD", "-SIGPOLL", "-SIGIOT"},
		// Only clone3 knows the flags above 32 bits, and CLONE_NEWTIME, which
		// is in the byte that clone takes for a signal.
		bits: []string{"CLONE_*", "-CLONE_ARGS_*", "-CLONE_NEWTIME", "-CLONE_CLEAR_SIGHAND", "-CLONE_INTO_CGROUP",
			"-CLONE_AUTOREAP", "-CLONE_NNP", "-CLONE_PIDFD_AUTOKILL", "-CLONE_EMPTY_MNTNS"}},
	{params: []string{"unshare.unshare_flags"},
		bits: []string{"CLONE_NEW*", "CLONE_FILES", "CLONE_FS", "CLONE_SYSVSEM", "CLONE_SIGHAND", "CLONE_THREAD", "CLONE_VM"}},
	{params: []string{"setns.flags"}, bits: []string{"CLONE_NEW*"}},
	{params: []string{"socket.family", "socketpair.family"},
		field: wholeValue, values: []string{"AF_UNIX", "AF_NETLINK", "AF_*", "-AF_MAX"}},
	{params: []string{"socket.type", "socketpair.type"},
		field: 0xf, values: []string{"SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_RDM", "SOCK_SEQPACKET", "SOCK_DCCP", "SOCK_PACKET"},
		bits: []string{"SOCK_CLOEXEC", "SOCK_NONBLOCK"}},
	{params: []string{"accept4.flags"}, bits: []string{"SOCK_CLOEXEC", "SOCK_NONBLOCK"}},
	{params: []string{"mmap.prot", "mmap2.prot", "mprotect.prot", "pkey_mprotect.prot"},
		bits: []string{"PROT_READ", "PROT_WRITE", "PROT_EXEC", "PROT_SEM=8", "PROT_GROWSDOWN", "PROT_GROWSUP"}},
	{params: []string{"mmap.flags", "mmap2.flags"},
		field: 0xf, values: []string{"MAP_SHARED", "MAP_PRIVATE", "MAP_SHARED_VALIDATE", "MAP_DROPPABLE"},
		bits: []string{"MAP_ANONYMOUS", "MAP_[A-Z0-9]*", "-MAP_HUGE_*", "-MAP_TYPE", "-MAP_FILE", "-MAP_ANON",
			"-MAP_SHARED*", "-MAP_PRIVATE", "-MAP_DROPPABLE", "-MAP_RENAME"}},
	{params: []string{"prctl.option"},
		field: wholeValue, values: []string{"PR_SET_MM", "PR_SET_VMA", "PR_SET_PTRACER", "PR_SET_*", "PR_GET_*",
			"-PR_SET_MM_*", "-PR_SET_VMA_ANON_NAME", "-PR_SET_PTRACER_ANY", "PR_CAPBSET_*", "PR_CAP_AMBIENT", "PR_MCE_KILL", "PR_MCE_KILL_GET",
			"PR_TASK_PERF_EVENTS_*", "PR_SVE_SET_VL", "PR_SVE_GET_VL", "PR_SME_SET_VL", "PR_SME_GET_VL", "PR_PAC_RESET_KEYS",
			"PR_PAC_*_ENABLED_KEYS", "PR_SCHED_CORE", "PR_LOCK_SHADOW_STACK_STATUS", "PR_TIMER_CREATE_RESTORE_IDS", "PR_FUTEX_HASH",
			"PR_RSEQ_SLICE_EXTENSION", "PR_RISCV_V_*_CONTROL", "PR_RISCV_SET_ICACHE_FLUSH_CTX", "PR_PPC_[SG]ET_DEXCR", "PR_MPX_*_MANAGEMENT"}},
	// include/uapi/linux/personality.h. The other personalities of that file
	// are sums of a number and bits.
	{params: []string{"personality.personality"},
		field: 0xff, values: []string{"PER_LINUX=0", "PER_BSD=6", "PER_LINUX32=8"},
		bits: []string{"UNAME26=0x20000", "ADDR_NO_RANDOMIZE=0x40000", "FDPIC_FUNCPTRS=0x80000", "MMAP_PAGE_ZERO=0x100000",
			"ADDR_COMPAT_LAYOUT=0x200000", "READ_IMPLIES_EXEC=0x400000", "ADDR_LIMIT_32BIT=0x800000", "SHORT_INODE=0x1000000",
			"WHOLE_SECONDS=0x2000000", "STICKY_TIMEOUTS=0x4000000", "ADDR_LIMIT_3GB=0x8000000"}},
	{params: []string{"ioctl.cmd"},
		field: wholeValue, values: []string{"TCGETS", "TCSETS", "TCSETSW", "TCSETSF", "TCSBRK", "TCXONC", "TCFLSH",
			"TIOCSTI", "TIOCLINUX", "TIOCCONS", "TIOCSCTTY", "TIOCNOTTY", "TIOCGPGRP", "TIOCSPGRP", "TIOCGSID", "TIOCGWINSZ", "TIOCSWINSZ",
			"TIOCSETD", "TIOCGETD", "TIOCGPTN", "TIOCSPTLCK", "TIOCGPTPEER", "TIOCEXCL", "TIOCNXCL", "TIOCPKT", "TIOCVHANGUP",
			"TIOCINQ", "FICLONE", "FICLONERANGE", "FIDEDUPERANGE", "FS_IOC_GETFLAGS", "FS_IOC_SETFLAGS",
			"SIOCGIFCONF", "SIOCGIFFLAGS", "SIOCSIFFLAGS", "SIOCGIFADDR", "SIOCSIFADDR", "SIOCGIFHWADDR", "SIOCSIFHWADDR", "SIOCGIFINDEX",
			"SIOCADDRT", "SIOCDELRT", "SIOCETHTOOL", "TUNSETIFF", "TUNSETPERSIST", "NS_GET_USERNS", "NS_GET_PARENT",
			"PERF_EVENT_IOC_ENABLE", "PERF_EVENT_IOC_DISABLE", "PERF_EVENT_IOC_SET_BPF",
			"SECCOMP_IOCTL_NOTIF_RECV", "SECCOMP_IOCTL_NOTIF_SEND", "SECCOMP_IOCTL_NOTIF_ID_VALID", "SECCOMP_IOCTL_NOTIF_ADDFD",
			"LOOP_SET_FD", "LOOP_CLR_FD", "LOOP_CONFIGURE", "LOOP_CTL_GET_FREE", "BLKROSET", "BLKGETSIZE64"}},
	{params: []string{"ptrace.request"},
		field: wholeValue, values: []string{"PTRACE_TRACEME", "PTRACE_PEEK*", "PTRACE_POKE*", "PTRACE_CONT", "PTRACE_KILL", "PTRACE_SINGLE*",
			"PTRACE_ATTACH", "PTRACE_DETACH", "PTRACE_SYSCALL", "PTRACE_GET*", "PTRACE_SET*", "PTRACE_SEIZE", "PTRACE_INTERRUPT", "PTRACE_LISTEN",
			"PTRACE_SECCOMP_GET_*", "PTRACE_SYSEMU*", "PTRACE_ARCH_PRCTL", "-PTRACE_PEEKSIGINFO_*"}},
	{params: []string{"bpf.cmd"},
		field: wholeValue, values: []string{"BPF_MAP_CREATE", "BPF_MAP_LOOKUP_ELEM", "BPF_MAP_UPDATE_ELEM", "BPF_MAP_DELETE_ELEM",
			"BPF_MAP_GET_NEXT_KEY", "BPF_PROG_LOAD", "BPF_OBJ_PIN", "BPF_OBJ_GET", "BPF_PROG_ATTACH", "BPF_PROG_DETACH", "BPF_PROG_TEST_RUN",
			"BPF_PROG_GET_NEXT_ID", "BPF_MAP_GET_NEXT_ID", "BPF_PROG_GET_FD_BY_ID", "BPF_MAP_GET_FD_BY_ID", "BPF_OBJ_GET_INFO_BY_FD",
			"BPF_PROG_QUERY", "BPF_RAW_TRACEPOINT_OPEN", "BPF_BTF_LOAD", "BPF_BTF_GET_FD_BY_ID", "BPF_TASK_FD_QUERY",
			"BPF_MAP_LOOKUP_AND_DELETE_ELEM", "BPF_MAP_FREEZE", "BPF_BTF_GET_NEXT_ID", "BPF_MAP_LOOKUP_BATCH",
			"BPF_MAP_LOOKUP_AND_DELETE_BATCH", "BPF_MAP_UPDATE_BATCH", "BPF_MAP_DELETE_BATCH", "BPF_LINK_CREATE", "BPF_LINK_UPDATE",
			"BPF_LINK_GET_FD_BY_ID", "BPF_LINK_GET_NEXT_ID", "BPF_ENABLE_STATS", "BPF_ITER_CREATE", "BPF_LINK_DETACH", "BPF_PROG_BIND_MAP"}},
	{params: []string{"keyctl.option"},
		field: wholeValue, values: []string{"KEYCTL_*", "-KEYCTL_CAPS*", "-KEYCTL_SUPPORTS_*", "-KEYCTL_MOVE_EXCL"}},
	{params: []string{"seccomp.op"},
		field: wholeValue, values: []string{"SECCOMP_SET_MODE_*", "SECCOMP_GET_ACTION_AVAIL", "SECCOMP_GET_NOTIF_SIZES"}},
	{params: []string{"seccomp.flags"}, bits: []string{"SECCOMP_FILTER_FLAG_*"}},
	{params: []string{"madvise.behavior", "process_madvise.behavior"}, field: wholeValue, values: []string{"MADV_*"}},
	{params: []string{"open.flags", "openat.flags", "open_by_handle_at.flags"},
		field: 3, values: []string{"O_RDONLY", "O_WRONLY", "O_RDWR"},
		bits: []string{"O_[A-Z]*", "-O_ACCMODE", "-O_RDONLY", "-O_WRONLY", "-O_RDWR", "-O_NDELAY", "-O_FSYNC", "-O_RSYNC"}},
	{params: []string{"pipe2.flags"}, bits: []string{"O_CLOEXEC", "O_NONBLOCK", "O_DIRECT"}},
	{params: []string{"mount.flags"},
		bits: []string{"MS_RDONLY", "MS_NOSUID", "MS_NODEV", "MS_NOEXEC", "MS_SYNCHRONOUS", "MS_REMOUNT", "MS_MANDLOCK", "MS_DIRSYNC",
			"MS_NOSYMFOLLOW", "MS_NOATIME", "MS_NODIRATIME", "MS_BIND", "MS_MOVE", "MS_REC", "MS_SILENT", "MS_UNBINDABLE", "MS_PRIVATE",
			"MS_SLAVE", "MS_SHARED", "MS_RELATIME", "MS_I_VERSION", "MS_STRICTATIME", "MS_LAZYTIME"}},
	{params: []string{"umount2.flags"}, bits: []string{"MNT_FORCE", "MNT_DETACH", "MNT_EXPIRE", "UMOUNT_NOFOLLOW"}},
	// include/uapi/linux/futex.h
	{params: []string{"futex.op"},
		field: 0x7f, values: []string{"FUTEX_WAIT=0", "FUTEX_WAKE=1", "FUTEX_FD=2", "FUTEX_REQUEUE=3", "FUTEX_CMP_REQUEUE=4", "FUTEX_WAKE_OP=5",
			"FUTEX_LOCK_PI=6", "FUTEX_UNLOCK_PI=7", "FUTEX_TRYLOCK_PI=8", "FUTEX_WAIT_BITSET=9", "FUTEX_WAKE_BITSET=10",
			"FUTEX_WAIT_REQUEUE_PI=11", "FUTEX_CMP_REQUEUE_PI=12", "FUTEX_LOCK_PI2=13"},
		bits: []string{"FUTEX_PRIVATE_FLAG=128", "FUTEX_CLOCK_REALTIME=256"}},
	{params: []string{"memfd_create.flags"},
		bits: []string{"MFD_CLOEXEC", "MFD_ALLOW_SEALING", "MFD_HUGETLB", "MFD_NOEXEC_SEAL", "MFD_EXEC"}},
	{params: []string{"perf_event_open.flags"}, bits: []string{"PERF_FLAG_*"}},
	{params: []string{"reboot.cmd"}, field: wholeValue, values: []string{"LINUX_REBOOT_CMD_*"}},
	// UFFD_USER_MODE_ONLY: include/uapi/linux/userfaultfd.h
	{params: []string{"userfaultfd.flags"}, bits: []string{"UFFD_USER_MODE_ONLY=1", "O_CLOEXEC", "O_NONBLOCK"}},
	{params: []string{"kexec_load.flags"}, bits: []string{"KEXEC_ON_CRASH", "KEXEC_PRESERVE_CONTEXT", "KEXEC_UPDATE_ELFCOREHDR", "KEXEC_CRASH_HOTPLUG_SUPPORT"}},
	{params: []string{"kexec_file_load.flags"}, bits: []string{"KEXEC_FILE_*"}},
	{params: []string{"finit_module.flags"}, bits: []string{"MODULE_INIT_*"}},
	{params: []string{"syslog.type"}, field: wholeValue, values: []string{"SYSLOG_ACTION_*"}},
	{params: []string{"renameat2.flags"}, bits: []string{"RENAME_*"}},
	{params: []string{"execveat.flags"}, bits: []string{"AT_EMPTY_PATH", "AT_SYMLINK_NOFOLLOW", "AT_EXECVE_CHECK=0x10000"}},
	{params: []string{"open_tree.flags"},
		bits: []string{"OPEN_TREE_CLONE", "OPEN_TREE_CLOEXEC", "AT_EMPTY_PATH", "AT_NO_AUTOMOUNT", "AT_RECURSIVE", "AT_SYMLINK_NOFOLLOW"}},
	{params: []string{"move_mount.flags"}, bits: []string{"MOVE_MOUNT_*"}},
	{params: []string{"pidfd_open.flags"}, bits: []string{"PIDFD_NONBLOCK", "PIDFD_THREAD"}},
	{params: []string{"close_range.flags"}, bits: []string{"CLOSE_RANGE_*"}},
	{params: []string{"getrandom.flags"}, bits: []string{"GRND_*"}},
	{params: []string{"mlockall.flags"}, bits: []string{"MCL_*"}},
	{params: []string{"fcntl.cmd"},
		field: wholeValue, values: []string{"F_DUPFD", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL", "F_GETLK", "F_SETLK", "F_SETLKW",
			"F_SETOWN", "F_GETOWN", "F_SETSIG", "F_GETSIG", "F_SETOWN_EX", "F_GETOWN_EX", "F_OFD_*", "F_SETLEASE", "F_GETLEASE", "F_NOTIFY",
			"F_DUPFD_CLOEXEC", "F_DUPFD_QUERY", "F_SETPIPE_SZ", "F_GETPIPE_SZ", "F_ADD_SEALS", "F_GET_SEALS"}},
	{params: []string{"sched_setscheduler.policy"},
		field: 0xff, values: []string{"SCHED_NORMAL", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_IDLE", "SCHED_DEADLINE", "SCHED_EXT"},
		bits: []string{"SCHED_RESET_ON_FORK"}},
	{params: []string{"clock_settime.which_clock", "clock_adjtime.which_clock"},
		field: wholeValue, values: []string{"CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID",
			"CLOCK_MONOTONIC_RAW", "CLOCK_REALTIME_COARSE", "CLOCK_MONOTONIC_COARSE", "CLOCK_BOOTTIME", "CLOCK_REALTIME_ALARM",
			"CLOCK_BOOTTIME_ALARM", "CLOCK_TAI"}},
	{params: []string{"setrlimit.resource", "prlimit64.resource"}, field: wholeValue, values: []string{"RLIMIT_*"}},
	// include/uapi/linux/net.h
	{params: []string{"socketcall.call"},
		field: wholeValue, values: []string{"SYS_SOCKET=1", "SYS_BIND=2", "SYS_CONNECT=3", "SYS_LISTEN=4", "SYS_ACCEPT=5", "SYS_GETSOCKNAME=6",
			"SYS_GETPEERNAME=7", "SYS_SOCKETPAIR=8", "SYS_SEND=9", "SYS_RECV=10", "SYS_SENDTO=11", "SYS_RECVFROM=12", "SYS_SHUTDOWN=13",
			"SYS_SETSOCKOPT=14", "SYS_GETSOCKOPT=15", "SYS_SENDMSG=16", "SYS_RECVMSG=17", "SYS_ACCEPT4=18", "SYS_RECVMMSG=19", "SYS_SENDMMSG=20"}},
	// include/uapi/linux/ipc.h; the upper half is a version
	{params: []string{"ipc.call"},
		field: 0xffff, values: []string{"SEMOP=1", "SEMGET=2", "SEMCTL=3", "SEMTIMEDOP=4", "MSGSND=11", "MSGRCV=12", "MSGGET=13", "MSGCTL=14",
			"SHMAT=21", "SHMDT=22", "SHMGET=23", "SHMCTL=24"}},
	// arch/x86/include/uapi/asm/prctl.h
	{params: []string{"arch_prctl.option"},
		field: wholeValue, values: []string{"ARCH_SET_GS=0x1001", "ARCH_SET_FS=0x1002", "ARCH_GET_FS=0x1003", "ARCH_GET_GS=0x1004",
			"ARCH_GET_CPUID=0x1011", "ARCH_SET_CPUID=0x1012", "ARCH_GET_XCOMP_SUPP=0x1021", "ARCH_GET_XCOMP_PERM=0x1022",
			"ARCH_REQ_XCOMP_PERM=0x1023", "ARCH_SHSTK_ENABLE=0x5001", "ARCH_SHSTK_DISABLE=0x5002", "ARCH_SHSTK_LOCK=0x5003",
			"ARCH_SHSTK_UNLOCK=0x5004", "ARCH_SHSTK_STATUS=0x5005"}},
}

// flagABIs are the ABIs that take their constants from one architecture of
// x/sys. The first is the base that others are compared with.
var flagABIs = []struct {
	goarch string
	abis   string
}{
	{"amd64", "AMD64, X32"}, {"386", "I386"}, {"arm64", "ARM64"}, {"arm", "ARM"},
	{"ppc64le", "PPC64LE, PPC64"}, {"ppc", "PPC"}, {"s390x", "S390X, S390"}, {"riscv64", "RISCV64"}, {"loong64", "LOONG64"},
	{"mips64le", "MIPS64LE, MIPS64, MIPSN32LE, MIPSN32"}, {"mipsle", "MIPSLE, MIPS"},
}

type namedValue struct {
	value uint64
	name  string
}

func writeFlags(out string, x *xsys) error {
	constants := make([]map[string]uint64, len(flagABIs))
	for i, a := range flagABIs {
		var err error
		if constants[i], err = x.allConsts(a.goarch); err != nil {
			return err
		}
	}
	var sets, uses bytes.Buffer
	for _, v := range vocabularies {
		// Architectures whose constants are equal share a set, named after the
		// first of them.
		type variant struct{ goarch, body, abis string }
		var variants []variant
		seen := make(map[string]bool) // names some architecture has
		for i, a := range flagABIs {
			values, err := choose(v.values, constants[i], v.field, seen)
			if err != nil {
				return fmt.Errorf("%s: %w", v.params[0], err)
			}
			bits, err := choose(v.bits, constants[i], 0, seen)
			if err != nil {
				return fmt.Errorf("%s: %w", v.params[0], err)
			}
			body := setBody(v.field, values, bits)
			same := slices.IndexFunc(variants, func(v variant) bool { return v.body == body })
			if same >= 0 {
				variants[same].abis += ", " + a.abis
			} else {
				variants = append(variants, variant{a.goarch, body, a.abis})
			}
		}
		for _, name := range slices.Concat(v.values, v.bits) {
			if !seen[name] && !strings.HasPrefix(name, "-") {
				return fmt.Errorf("%s: no architecture has %s", v.params[0], name)
			}
		}
		for _, variant := range variants {
			name := "flags_" + strings.ReplaceAll(v.params[0], ".", "_") + "_" + variant.goarch
			name = camel(strings.TrimSuffix(name, "_amd64"))
			fmt.Fprintf(&sets, "// %s\nvar %s = Flags{%s}\n\n", strings.Join(v.params, ", "), name, variant.body)
			abis := "nil"
			if len(variants) > 1 {
				abis = "[]ABI{" + variant.abis + "}"
			}
			for _, p := range v.params {
				call, param, _ := strings.Cut(p, ".")
				fmt.Fprintf(&uses, "{%q, %q, %s, &%s},\n", call, param, abis, name)
			}
		}
	}
	body := fmt.Sprintf("var flagUses = []flagUse{\n%s}\n\n%s", uses.String(), sets.String())
	return writeGo(out, "flags_generated.go", []byte(body))
}

// choose resolves names and patterns to values, without aliases. Where field
// is 0 they are bits, and a zero value is left out.
func choose(patterns []string, consts map[string]uint64, field uint64, seen map[string]bool) ([]namedValue, error) {
	chosen := make(map[uint64]string)
	add := func(name string, value uint64) {
		if field == 0 && value == 0 {
			return
		}
		if _, ok := chosen[value]; !ok && (field == 0 || value&^field == 0) {
			chosen[value] = name
		}
	}
	dropped := func(name string) bool {
		for _, p := range patterns {
			if p, ok := strings.CutPrefix(p, "-"); ok {
				if ok, _ := path.Match(p, name); ok {
					return true
				}
			}
		}
		return false
	}
	names := slices.SortedFunc(maps.Keys(consts), func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, pattern := range patterns {
		if strings.HasPrefix(pattern, "-") {
			continue
		}
		if name, value, ok := strings.Cut(pattern, "="); ok {
			n, err := strconv.ParseUint(value, 0, 64)
			if err != nil {
				return nil, err
			}
			add(name, n)
			seen[pattern] = true
			continue
		}
		if value, ok := consts[pattern]; ok { // listed by name, whatever a pattern leaves out
			add(pattern, value)
			seen[pattern] = true
			continue
		}
		for _, name := range names {
			ok, err := path.Match(pattern, name)
			if err != nil {
				return nil, err
			}
			if ok && !dropped(name) {
				add(name, consts[name])
				seen[pattern] = true
			}
		}
	}
	flags := make([]namedValue, 0, len(chosen))
	for value, name := range chosen {
		flags = append(flags, namedValue{value, name})
	}
	slices.SortFunc(flags, func(a, b namedValue) int { return cmp.Compare(a.value, b.value) })
	return flags, nil
}

func setBody(field uint64, values, bits []namedValue) string {
	var b strings.Builder
	if field != 0 {
		fmt.Fprintf(&b, "Field: %#x, Values: []Flag{", field)
		for _, f := range values {
			fmt.Fprintf(&b, "{%#x, %q}, ", f.value, f.name)
		}
		b.WriteString("},\n")
	}
	if len(bits) > 0 {
		b.WriteString("Bits: []Flag{")
		for _, f := range bits {
			fmt.Fprintf(&b, "{%#x, %q}, ", f.value, f.name)
		}
		b.WriteString("},\n")
	}
	return strings.ReplaceAll(b.String(), ", }", "}")
}

// camel turns snake_case into camelCase.
func camel(s string) string {
	words := strings.Split(s, "_")
	for i, w := range words[1:] {
		if w != "" {
			words[i+1] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}
