package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Recording is the system calls that a container made while they were recorded, in
// one run or, merged, in several.
type Recording struct {
	metav1.TypeMeta `json:",inline"`

	// Of several runs, RecordedRun is what they are together: the sums of their counts,
	// and of Source what is the same in all of them.
	RecordedRun `json:",inline"`

	// Runs are those that were merged, by ID. Absent: it is one run.
	Runs []RecordedRun `json:"runs,omitempty"`
}

// RecordedRun is what was recorded of a container from one moment to another.
type RecordedRun struct {
	// ID is the same for whatever was saved of one run, and of no other. Absent: of
	// several runs.
	ID     string      `json:"id,omitempty"`
	Source Source      `json:"source"`
	Began  metav1.Time `json:"began"` // by the node's clock
	Ended  metav1.Time `json:"ended"`
	// Mode is the seccomp mode of the container's main thread, and FilterCount how
	// many filters it had, when the recording began. Of several runs, Mode is absent
	// where it differs, and FilterCount is the most.
	Mode        string `json:"mode,omitempty"`
	FilterCount int    `json:"filterCount"`
	// Calls are those that began: that no filter refused.
	Calls []RecordedCall `json:"calls"`
	// Refused are calls that a filter refused.
	Refused []RefusedCall `json:"refused,omitempty"`
	// Values are those that were seen of arguments that profiles put conditions on.
	Values []RecordedValue `json:"values,omitempty"`
	// Runtime are the calls of a container runtime that brought processes into the
	// container (kubectl exec, probes), until these executed the program they were
	// for. They are in none of the others.
	Runtime []RecordedCall `json:"runtime,omitempty"`
	// Coverage says what was not seen.
	Coverage Coverage  `json:"coverage"`
	Problems []Problem `json:"problems,omitempty"`
}

// RecordingList is recordings: of the containers of pods.
type RecordingList struct {
	metav1.TypeMeta `json:",inline"`

	Items []Recording `json:"items"`
}

// RecordedCall is how often a syscall was called.
type RecordedCall struct {
	ABI     string `json:"abi"`
	Syscall string `json:"syscall,omitempty"` // absent: of all numbers that no syscall has
	NR      string `json:"nr,omitempty"`      // absent: the same
	Count   int64  `json:"count"`
	// Runs is in how many of several runs it was seen. Absent: there is one.
	Runs int `json:"runs,omitempty"`
}

// RefusedCall is how often a filter refused a syscall with one result.
type RefusedCall struct {
	RecordedCall `json:",inline"`

	// Errno is what the call returned; "0" if that was no error. It is absent
	// where the call was not let return: the thread got SIGSYS (TRAP, KILL_PROCESS).
	Errno string `json:"errno,omitempty"`
}

// RecordedValue is how often an argument had a value.
type RecordedValue struct {
	RecordedCall `json:",inline"`

	Parameter string `json:"parameter"`
	Value     string `json:"value"`          // its lower 32 bits
	Text      string `json:"text,omitempty"` // the same by names, where it has some
}

// Coverage is what a recording saw, and what it did not.
type Coverage struct {
	// Start is whether the container's first calls were seen, in one run of several.
	// Those of one that ran already were not.
	Start bool `json:"start"`
	// Unclear is how many calls came back that had begun before, or were refused:
	// at most one for each thread that was there.
	Unclear int64 `json:"unclear,omitempty"`
	// Lost is what was seen and could not be counted.
	Lost *Lost `json:"lost,omitempty"`
}

// Lost is what was seen and could not be counted.
type Lost struct {
	Calls   int64 `json:"calls,omitempty"`
	Values  int64 `json:"values,omitempty"`  // of arguments
	Refused int64 `json:"refused,omitempty"` // calls that were
	// Origins are calls counted as the container's that a runtime may have made.
	Origins int64 `json:"origins,omitempty"`
	// Runs are those of the recording program that the kernel left out, on the
	// whole node.
	Runs int64 `json:"runs,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (r *Recording) DeepCopyObject() runtime.Object { return r.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (l *RecordingList) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = cloneEach(l.Items, func(r Recording) Recording { return *r.DeepCopy() })
	return &out
}

// DeepCopy returns a copy that shares nothing with r.
func (r *Recording) DeepCopy() *Recording {
	out := *r
	out.RecordedRun = r.RecordedRun.deepCopy()
	out.Runs = cloneEach(r.Runs, RecordedRun.deepCopy)
	return &out
}

func (r RecordedRun) deepCopy() RecordedRun {
	r.Source = r.Source.deepCopy()
	r.Calls, r.Refused, r.Values, r.Runtime = slices.Clone(r.Calls), slices.Clone(r.Refused), slices.Clone(r.Values), slices.Clone(r.Runtime)
	if r.Coverage.Lost != nil {
		lost := *r.Coverage.Lost
		r.Coverage.Lost = &lost
	}
	r.Problems = slices.Clone(r.Problems)
	return r
}
