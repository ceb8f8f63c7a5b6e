package v1alpha1

import "slices"

// Selection says which calls are listed, and how they were looked at. The Relation
// of a Diff is about all calls all the same.
type Selection struct {
	ABIs     []string `json:"abis,omitempty"`     // absent: all
	Syscalls []string `json:"syscalls,omitempty"` // absent: all
	// Risky leaves out the syscalls of which no risk is known.
	Risky bool `json:"risky,omitempty"`
	// Reduced has ActionDenied, ActionMediated and ActionExecuted in place of
	// actions; what differs in the manner only is left out.
	Reduced bool `json:"reduced,omitempty"`
	// View is ViewKernel, or absent: filters as they are written.
	View string `json:"view,omitempty"`
	// Hidden is how many differences are left out.
	Hidden int `json:"hidden,omitempty"`
}

// ViewKernel leaves to the caller what the kernel ignores of the arguments.
const ViewKernel = "kernel"

// Actions by access alone.
const (
	ActionDenied   = "DENIED"   // KILL_PROCESS, KILL_THREAD, TRAP, ERRNO
	ActionMediated = "MEDIATED" // TRACE, USER_NOTIF
	ActionExecuted = "EXECUTED" // LOG, ALLOW
)

// Risk is why profiles restrict a syscall.
type Risk struct {
	Syscall string `json:"syscall"`
	Risk    string `json:"risk"`
}

func (s *Selection) deepCopy() *Selection {
	if s == nil {
		return nil
	}
	out := *s
	out.ABIs, out.Syscalls = slices.Clone(s.ABIs), slices.Clone(s.Syscalls)
	return &out
}
