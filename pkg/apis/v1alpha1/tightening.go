package v1alpha1

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Tightening is what a policy allows beside what was called.
type Tightening struct {
	metav1.TypeMeta `json:",inline"`

	Source Source `json:"source"` // of the policy
	// Recorded is of what calls were recorded, in how many Runs, and Coverage what was
	// not seen.
	Recorded Source   `json:"recorded"`
	Runs     int      `json:"runs"`
	Coverage Coverage `json:"coverage"`

	// Allowed is how many syscalls are allowed, for some arguments at least, in the
	// machine's own ABI or another one of which a call was made. Used is how many were
	// called.
	Allowed int `json:"allowed"`
	Used    int `json:"used"`
	// Unused are the syscalls that are allowed and were never called, or only with some
	// of the arguments that are allowed: those with a known risk first.
	Unused []UnusedCall `json:"unused"`
	// UnusedABIs are those of which calls are allowed and none was made.
	UnusedABIs []string `json:"unusedABIs,omitempty"`
	// Start are syscalls that were not seen and are not in Unused, as containers call
	// them to start.
	Start []string `json:"start,omitempty"`
	// Missing are calls that were made and that the policy denies, or may.
	Missing []MissingCall `json:"missing,omitempty"`
	// Refused are calls that the filters refused under which it was recorded.
	Refused []RefusedCall `json:"refused,omitempty"`

	// Limit is how many syscalls may be allowed and never called; absent: any number.
	Limit *int `json:"limit,omitempty"`
	// Fits is whether the policy allows what was called, and no more than Limit.
	Fits bool `json:"fits"`
	// Profile is what remains: a file. Only with -o profile it is worked out.
	Profile string `json:"profile,omitempty"`
}

// UnusedCall is a syscall of which some calls are allowed and were not made.
type UnusedCall struct {
	Syscall string   `json:"syscall"`
	ABIs    []string `json:"abis"`
	// Called is whether it was, with other arguments. Condition says of which calls
	// there was none; absent: of all that are allowed.
	Called    bool   `json:"called,omitempty"`
	Condition string `json:"condition,omitempty"`

	Risk       string `json:"risk,omitempty"`
	Capability string `json:"capability,omitempty"` // that the kernel asks for besides
}

// MissingCall is a call that was made and that a policy does not allow.
type MissingCall struct {
	RecordedCall `json:",inline"`

	// Parameter and Value are of the argument that was recorded, if it was.
	Parameter string `json:"parameter,omitempty"`
	Value     string `json:"value,omitempty"`
	Text      string `json:"text,omitempty"`
	// Certain is whether the policy denies it whatever the arguments that were not
	// recorded. If not, it denies it for some of them.
	Certain bool `json:"certain"`
}

// Names are the syscalls that are allowed and were never called.
func (t *Tightening) Names() (names []string) {
	for _, u := range t.Unused {
		if !u.Called {
			names = append(names, u.Syscall)
		}
	}
	slices.Sort(names)
	return names
}

// DeepCopyObject implements runtime.Object.
func (t *Tightening) DeepCopyObject() runtime.Object {
	out := *t
	out.Source, out.Recorded = t.Source.deepCopy(), t.Recorded.deepCopy()
	if t.Coverage.Lost != nil {
		lost := *t.Coverage.Lost
		out.Coverage.Lost = &lost
	}
	out.Unused = cloneEach(t.Unused, func(u UnusedCall) UnusedCall {
		u.ABIs = slices.Clone(u.ABIs)
		return u
	})
	out.UnusedABIs, out.Start = slices.Clone(t.UnusedABIs), slices.Clone(t.Start)
	out.Missing, out.Refused = slices.Clone(t.Missing), slices.Clone(t.Refused)
	if t.Limit != nil {
		limit := *t.Limit
		out.Limit = &limit
	}
	return &out
}
