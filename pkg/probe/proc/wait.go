package proc

import (
	"errors"
	"runtime"
	"strconv"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Wait is what a thread is doing, graded by what a stop and resume would do to
// it: the lower, the less the thread can notice.
type Wait int

const (
	// Running: in user mode or on a CPU. Nothing is interrupted.
	Running Wait = iota
	// Restarted: in a call that the kernel issues again as it was
	// (ERESTARTSYS, ERESTARTNOHAND, ERESTARTNOINTR).
	Restarted
	// RestartedByNumber: in a call that the kernel continues by having the thread
	// issue restart_syscall(2) (ERESTART_RESTARTBLOCK), which is then subject to
	// the thread's own filters. One that lets nanosleep through and not
	// restart_syscall, which any signal would trip over too, makes it fail.
	RestartedByNumber
	// Other: in a call that is not known to be restarted always.
	Other
	// Interrupted: in a call that fails with EINTR (signal(7)).
	Interrupted
	// Stuck: in a wait that nothing interrupts (state D).
	Stuck
)

func (w Wait) String() string {
	return [...]string{"running", "restarted", "restarted by restart_syscall", "other", "interrupted", "stuck"}[w]
}

// waits grades calls by name. That of a call depends on more than its name for
// futex, see wait; and for sockets, whose calls fail with EINTR where they have
// a timeout set, which does not show.
var waits = map[string]Wait{
	"read": Restarted, "readv": Restarted, "pread64": Restarted, "preadv": Restarted, "preadv2": Restarted,
	"write": Restarted, "writev": Restarted, "pwrite64": Restarted, "pwritev": Restarted, "pwritev2": Restarted,
	"wait4": Restarted, "waitid": Restarted, "waitpid": Restarted, "flock": Restarted,
	"select": Restarted, "_newselect": Restarted, "pselect6": Restarted, "pselect6_time64": Restarted,
	"ppoll": Restarted, "ppoll_time64": Restarted,
	"pause": Restarted, "rt_sigsuspend": Restarted, "sigsuspend": Restarted,
	"msgrcv": Restarted, "msgsnd": Restarted, "mq_timedreceive": Restarted, "mq_timedsend": Restarted,
	"mq_timedreceive_time64": Restarted, "mq_timedsend_time64": Restarted,
	"futex": Restarted, "futex_time64": Restarted, "futex_wait": Restarted, "futex_waitv": Restarted,

	"nanosleep": RestartedByNumber, "clock_nanosleep": RestartedByNumber, "clock_nanosleep_time64": RestartedByNumber,
	"poll": RestartedByNumber, "restart_syscall": RestartedByNumber,

	"accept": Other, "accept4": Other, "connect": Other, "recvfrom": Other, "recvmsg": Other, "recvmmsg": Other,
	"sendto": Other, "sendmsg": Other, "sendmmsg": Other, "socketcall": Other,

	"epoll_wait": Interrupted, "epoll_pwait": Interrupted, "epoll_pwait2": Interrupted,
	"semop": Interrupted, "semtimedop": Interrupted, "semtimedop_time64": Interrupted, "ipc": Interrupted,
	"rt_sigtimedwait": Interrupted, "rt_sigtimedwait_time64": Interrupted,
	"io_uring_enter": Interrupted, "io_getevents": Interrupted, "io_pgetevents": Interrupted, "io_pgetevents_time64": Interrupted,
}

// Wait grades what a thread is doing at this moment.
func (fsys FS) Wait(t Thread) Wait {
	if t.State == 'D' {
		return Stuck
	}
	text, err := fsys.readAccess(t.PID, "task", strconv.Itoa(t.TID), "syscall")
	if errors.Is(err, ErrHangs) {
		return Stuck
	}
	if err != nil {
		return Other
	}
	return wait(string(text), syscalls.OfMachine(runtime.GOARCH))
}

// wait grades the contents of /proc/PID/task/TID/syscall (proc_pid_syscall(5)):
// "running"; or the number, six arguments, stack pointer and program counter; or
// -1 and the latter two, if the thread is blocked elsewhere than in a call. The
// number is one of the ABI that the call was made by.
func wait(text string, abis []syscalls.ABI) Wait {
	fields := strings.Fields(text)
	if len(fields) == 1 && fields[0] == "running" {
		return Running
	}
	if len(fields) == 3 && fields[0] == "-1" {
		return Running
	}
	if len(fields) != 9 {
		return Other
	}
	nr, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil {
		return Other
	}
	sp, err := strconv.ParseUint(fields[7], 0, 64)
	if err != nil {
		return Other
	}
	for i, abi := range abis {
		// Only a process of a 32-bit ABI has its stack in the lowest 4 GiB.
		low := sp>>32 == 0
		if native := i == 0; native && abi.Bits() == 64 && low || !native && !low {
			continue
		}
		name, ok := abi.Name(uint32(nr))
		if !ok {
			continue
		}
		grade, ok := waits[name]
		if !ok {
			return Other
		}
		// futex(uaddr, op, val, timeout, …), futex_waitv(waiters, n, flags,
		// timeout, clock), futex_wait(uaddr, val, mask, flags, timeout, clock):
		// with a timeout they continue by restart_syscall.
		timeout := ""
		switch name {
		case "futex", "futex_time64", "futex_waitv":
			timeout = fields[4]
		case "futex_wait":
			timeout = fields[5]
		}
		if timeout != "" && timeout != "0x0" {
			return RestartedByNumber
		}
		return grade
	}
	return Other
}
