package bpf

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Action is what the kernel does with a call: the upper half of what a filter
// returns (SECCOMP_RET_ACTION_FULL).
type Action uint32

// The actions the kernel knows (include/uapi/linux/seccomp.h), in the order of
// precedence. It does as KillProcess for any other value.
const (
	KillProcess Action = 0x80000000 // the process dies of SIGSYS
	KillThread  Action = 0x00000000 // the calling thread dies
	Trap        Action = 0x00030000 // SIGSYS, whose si_errno is the data
	Errno       Action = 0x00050000 // the call fails with the data as errno, unless that is 0
	UserNotif   Action = 0x7fc00000 // a supervisor decides; ENOSYS without one
	Trace       Action = 0x7ff00000 // a tracer is told the data; ENOSYS without one
	Log         Action = 0x7ffc0000 // the call is executed, and logged
	Allow       Action = 0x7fff0000 // the call is executed
)

// MaxErrno is the kernel's MAX_ERRNO: an errno above is cut down to it.
const MaxErrno = 4095

func (a Action) name() string {
	switch a {
	case KillProcess:
		return "KILL_PROCESS"
	case KillThread:
		return "KILL_THREAD"
	case Trap:
		return "TRAP"
	case Errno:
		return "ERRNO"
	case UserNotif:
		return "USER_NOTIF"
	case Trace:
		return "TRACE"
	case Log:
		return "LOG"
	case Allow:
		return "ALLOW"
	}
	return ""
}

// Known tells whether a is one of the actions above.
func (a Action) Known() bool { return a.name() != "" }

// String returns the kernel's name without SECCOMP_RET_, or the value in
// hexadecimal if it has none.
func (a Action) String() string {
	if name := a.name(); name != "" {
		return name
	}
	return fmt.Sprintf("0x%08x", uint32(a))
}

// With returns what a filter returns to have a with the given data.
func (a Action) With(data uint16) Return { return Return(uint32(a)&0xffff0000 | uint32(data)) }

// Return is the value a filter returns: an action in the upper half, the
// action's data in the lower.
type Return uint32

// Action returns the upper half, which may be no action the kernel knows.
func (r Return) Action() Action { return Action(r & 0xffff0000) }

// Data returns the lower half.
func (r Return) Data() uint16 { return uint16(r) }

// precedes tells whether r takes the place of s when both are returned by
// filters of one stack: the macro ACTION_ONLY of kernel/seccomp.c compares the
// action as a signed number, and only a strictly lower one replaces.
func (r Return) precedes(s Return) bool { return int32(r.Action()) < int32(s.Action()) }

// Normalize returns r as the kernel acts on it (__seccomp_filter in
// kernel/seccomp.c): an unknown action is KILL_PROCESS, an errno is at most
// [MaxErrno], and data that has no effect on the calling process is zero. Only
// the outcome of a whole stack may be normalised, since an unknown action takes
// part in the fold by its number.
func (r Return) Normalize() Return {
	switch a := r.Action(); a {
	case Trap, Trace:
		return r
	case Errno:
		return a.With(min(r.Data(), MaxErrno))
	case KillThread, UserNotif, Log, Allow:
		return a.With(0)
	default:
		return KillProcess.With(0)
	}
}

// Format describes r in words: "ERRNO(EPERM)", "TRACE(7)", "ALLOW". The errno
// has the name it has under abi, if any: 0 is "ERRNO(0)", by which the call does
// not run and yet returns 0. Data without effect is not shown, and an unknown
// action is shown by number beside what it does.
func (r Return) Format(abi syscalls.ABI) string {
	n := r.Normalize()
	switch n.Action() {
	case Errno:
		if name, ok := abi.Errno(n.Data()); ok {
			return "ERRNO(" + name + ")"
		}
		return fmt.Sprintf("ERRNO(%d)", n.Data())
	case Trap, Trace:
		return fmt.Sprintf("%v(%d)", n.Action(), n.Data())
	}
	if !r.Action().Known() {
		return fmt.Sprintf("%v(0x%08x)", n.Action(), uint32(r))
	}
	return n.Action().String()
}

// String is [Return.Format] without errno names.
func (r Return) String() string { return r.Format(0) }
