package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Explanation is what a source does with one syscall, and why.
type Explanation struct {
	metav1.TypeMeta `json:",inline"`

	Source  Source `json:"source"`
	ABI     string `json:"abi"`
	Syscall string `json:"syscall,omitempty"` // absent: the number has no name
	NR      string `json:"nr"`
	// View is as in Selection.
	View string `json:"view,omitempty"`
	// Parameters are the kernel's, where they are known.
	Parameters []Parameter `json:"parameters,omitempty"`
	// Verdict is about the call that was asked for. Absent if none was, and it
	// depends on the arguments.
	Verdict *Verdict `json:"verdict,omitempty"`
	// Decisions are what is done with the syscall, and when: exactly one holds for
	// any call, unless Truncated.
	Decisions []Decision `json:"decisions"`
	Truncated bool       `json:"truncated,omitempty"`
	// Findings are those about the syscall.
	Findings   []Finding   `json:"findings,omitempty"`
	Background *Background `json:"background,omitempty"`
}

// Parameter is one of a syscall.
type Parameter struct {
	Name string `json:"name"`
	Type string `json:"type"` // in C
}

// Decision is an action and when it is.
type Decision struct {
	Action    Action   `json:"action"`
	Condition string   `json:"condition,omitempty"` // as in Group
	Outline   []string `json:"outline,omitempty"`   // as in Group
	// Holds tells that this is the one for the call of the Verdict.
	Holds bool `json:"holds,omitempty"`
}

// Verdict is what the filters do with one call.
type Verdict struct {
	Witness `json:",inline"`

	Action Action `json:"action"`
	// ReachedBy is the call that the filters were run with, if it is another: with
	// ViewKernel one that the kernel cannot tell from the one that was asked for, and
	// with which the filters let it get furthest.
	ReachedBy *Witness `json:"reachedBy,omitempty"`
	// DecidedBy is the instruction that returned Action; absent without filters,
	// and if Action is ActionUndecided.
	DecidedBy *Instruction `json:"decidedBy,omitempty"`
}

// Instruction is a place in a stack of filters.
type Instruction struct {
	Filter  int `json:"filter"`  // from 0, the oldest
	Filters int `json:"filters"` // how many there are
	PC      int `json:"pc"`      // from 0
	// Listing is the instruction disassembled, and some around it; First is the
	// index of the first of them.
	First   int      `json:"first"`
	Listing []string `json:"listing"`
}

// Background is what a reviewer may want to know about a syscall.
type Background struct {
	What       string   `json:"what,omitempty"`
	Risk       string   `json:"risk,omitempty"`
	Capability string   `json:"capability,omitempty"`
	For        string   `json:"for,omitempty"` // the part of the call that needs the capability
	Since      string   `json:"since,omitempty"`
	Twins      []string `json:"twins,omitempty"` // syscalls that reach the same
	Source     string   `json:"source,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (e *Explanation) DeepCopyObject() runtime.Object {
	out := *e
	out.Source = e.Source.deepCopy()
	out.Parameters = slices.Clone(e.Parameters)
	out.Findings = slices.Clone(e.Findings)
	out.Decisions = cloneEach(e.Decisions, func(d Decision) Decision {
		d.Outline = slices.Clone(d.Outline)
		return d
	})
	if e.Verdict != nil {
		v := *e.Verdict
		v.Witness = v.Witness.deepCopy()
		if v.ReachedBy != nil {
			by := v.ReachedBy.deepCopy()
			v.ReachedBy = &by
		}
		if v.DecidedBy != nil {
			by := *v.DecidedBy
			by.Listing = slices.Clone(by.Listing)
			v.DecidedBy = &by
		}
		out.Verdict = &v
	}
	if e.Background != nil {
		b := *e.Background
		b.Twins = slices.Clone(b.Twins)
		out.Background = &b
	}
	return &out
}
