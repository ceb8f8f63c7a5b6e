package v1alpha1

import "slices"

// ByName says how the calls of two sources of different architectures were
// matched: no call of one is a call of the other. Those of the native ABIs are
// compared by syscall name, their arguments by what the kernel calls them. The
// relation and the differences are about these, and about the calls of shared ABIs.
type ByName struct {
	ABIA string `json:"abiA"` // the native ones
	ABIB string `json:"abiB"`
	// Common is how many syscalls both have.
	Common int `json:"common"`
	// OnlyInA and OnlyInB are the syscalls that the other does not have, which are
	// not compared. Neither are numbers without a name.
	OnlyInA []string `json:"onlyInA"`
	OnlyInB []string `json:"onlyInB"`
	// Shared are other ABIs that are compared, by number, since both machines have
	// them.
	Shared []string `json:"shared,omitempty"`
	// Limits are what could not be compared of the common syscalls.
	Limits []Limit `json:"limits,omitempty"`
}

// Limit is why a syscall that both sides have was not compared, or not wholly.
type Limit struct {
	Syscall string `json:"syscall"`
	Param   string `json:"param,omitempty"` // as the kernel calls it for A
	// Compared tells that it was for the values of Param that can be passed on
	// both sides. Otherwise it counts as undecided.
	Compared bool   `json:"compared"`
	Reason   string `json:"reason"`
}

func (n *ByName) deepCopy() *ByName {
	if n == nil {
		return nil
	}
	out := *n
	out.OnlyInA, out.OnlyInB = slices.Clone(n.OnlyInA), slices.Clone(n.OnlyInB)
	out.Shared, out.Limits = slices.Clone(n.Shared), slices.Clone(n.Limits)
	return &out
}
