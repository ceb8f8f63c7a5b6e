package probe

import "golang.org/x/sys/unix"

// uname returns the kernel's release and the machine's name.
func uname() (kernel, machine string) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "", ""
	}
	return unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
}

// startedNS returns when a process was created, in nanoseconds since the epoch by
// the clock as it is set now, from its start in clock ticks since boot; 0 if that
// cannot be told. The time of boot in /proc/stat is no good for it: it has
// seconds only.
func startedNS(ticks uint64) int64 {
	// USER_HZ is 100 everywhere but on Alpha and IA-64.
	const tick = 1e9 / 100
	var now, up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME, &now) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil || ticks > uint64(up.Nano())/tick {
		return 0
	}
	// A clock that nobody has set may be behind the machine's own age.
	return max(now.Nano()-up.Nano()+int64(ticks)*tick, 0)
}
