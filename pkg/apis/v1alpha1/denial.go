package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Denial is a call of a container that its filters did not simply allow.
type Denial struct {
	metav1.TypeMeta `json:",inline"`

	Source Source `json:"source"`
	// Time is when the call was made, by the node's clock; of several calls alike,
	// the first.
	Time metav1.MicroTime `json:"time"`
	// Count is how many calls were alike: by the same container, with the same end,
	// and refused by the same instruction. Of one by itself it is that and those of
	// its kind that were only counted since the last.
	Count   int64  `json:"count"`
	Process Caller `json:"process"`

	ABI     string `json:"abi"`
	Syscall string `json:"syscall,omitempty"` // absent: the number has no name
	Witness `json:",inline"`

	// Action is what the filters make of the call, if they are known.
	Action *Action `json:"action,omitempty"`
	// Outcome is what became of it.
	Outcome DenialOutcome `json:"outcome"`
	// Result is what the caller was given, where it was given something: an errno's
	// name, or a number.
	Result string `json:"result,omitempty"`
	// DecidedBy is the instruction that returned Action.
	DecidedBy *Instruction `json:"decidedBy,omitempty"`
	// Condition is when the filters do the same with the syscall; absent if always,
	// or if that is not known.
	Condition string   `json:"condition,omitempty"`
	Outline   []string `json:"outline,omitempty"` // as in Group
	// Remedy is how the call could be allowed, if it was refused.
	Remedy *Remedy `json:"remedy,omitempty"`
	// Detail is what else is to be said, such as why something is not known.
	Detail string `json:"detail,omitempty"`
}

// DenialOutcome is what became of a call that filters did not simply allow.
type DenialOutcome string

const (
	// OutcomeFailed is a call that came back without having been executed: with an
	// errno, or what a supervisor or a tracer has it return.
	OutcomeFailed DenialOutcome = "Failed"
	// OutcomeSignal is a call in place of which the thread got SIGSYS: it handled
	// that, or its process died of it.
	OutcomeSignal DenialOutcome = "Signal"
	// OutcomeKilled is a call that was the end of its thread alone.
	OutcomeKilled DenialOutcome = "Killed"
	// OutcomeExecuted is a call that was executed, and logged, or first shown to a
	// tracer or a supervisor.
	OutcomeExecuted DenialOutcome = "Executed"
)

// Caller is the thread that made a call.
type Caller struct {
	PID    int    `json:"pid"`    // of its process, in the node's PID namespace
	TID    int    `json:"tid"`    //
	NSPID  int    `json:"nspid"`  // the same as the process sees them
	NSTID  int    `json:"nstid"`  //
	Comm   string `json:"comm"`   // name of the process' main thread
	Thread string `json:"thread"` // name of the thread
	// Runtime is whether it was a container runtime that was bringing a process into
	// the container (kubectl exec, probes), and not the container's workload.
	Runtime bool `json:"runtime,omitempty"`
}

// Remedy is how a refused call could be allowed.
type Remedy struct {
	// Rule is one for the list syscalls of an OCI or Docker profile. It is absent if
	// no rule would do.
	Rule string `json:"rule,omitempty"`
	// Change is what is to be done, for people: to add the rule, or why that is not
	// enough.
	Change string `json:"change"`
	// Allows is what else would be allowed by it.
	Allows []string `json:"allows,omitempty"`
	// Risk is what is known of the syscall.
	Risk string `json:"risk,omitempty"`
}

// DenialList is the calls that filters did not simply allow, those alike as one.
type DenialList struct {
	metav1.TypeMeta `json:",inline"`

	Items []Denial `json:"items"`
	// Containers are those that were looked at.
	Containers []Watched `json:"containers"`
}

// Watched is a container whose calls were looked at.
type Watched struct {
	Source Source      `json:"source"`
	Began  metav1.Time `json:"began"` // by the node's clock
	Ended  metav1.Time `json:"ended"`
	// Mode is the seccomp mode of the container's main thread, and FilterCount how
	// many filters it had, when it began.
	Mode        string `json:"mode,omitempty"`
	FilterCount int    `json:"filterCount"`
	// Counted are calls that were only counted, and of which it cannot be told which
	// of several Denials they are like.
	Counted []CountedDenials `json:"counted,omitempty"`
	// Unclear are calls that came back which may have been refused, or have begun
	// before; and calls that were only counted which may have been logged or handed on,
	// or be allowed, as their arguments are.
	Unclear int64 `json:"unclear,omitempty"`
	// Lost is what was seen and could not be told.
	Lost     *LostDenials `json:"lost,omitempty"`
	Problems []Problem    `json:"problems,omitempty"`
}

// CountedDenials are calls of one kind that were only counted.
type CountedDenials struct {
	RecordedCall `json:",inline"`

	Outcome DenialOutcome `json:"outcome"`
	Result  string        `json:"result,omitempty"` // an errno's name, 0, or "other"
}

// LostDenials is what was seen and could not be told.
type LostDenials struct {
	Calls  int64 `json:"calls,omitempty"`
	Stacks int64 `json:"stacks,omitempty"` // of filters, that could not be copied
	Runs   int64 `json:"runs,omitempty"`   // of the program, that the kernel left out, on the whole node
}

// Refused reports whether the filters refused the call, which was one of the workload.
// One that they allow, and that was not executed, something else has left out.
func (d *Denial) Refused() bool {
	allowed := d.Action != nil && (d.Action.Action == "ALLOW" || d.Action.Action == "LOG")
	return d.Outcome != OutcomeExecuted && !allowed && !d.Process.Runtime
}

// Names is the operand of the container.
func (d *Denial) Names() []string { return []string{d.Source.ref()} }

// Names are the operands of the containers that were refused something.
func (l *DenialList) Names() (names []string) {
	for i := range l.Items {
		if name := l.Items[i].Source.ref(); l.Items[i].Refused() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// DeepCopyObject implements runtime.Object.
func (d *Denial) DeepCopyObject() runtime.Object { return d.DeepCopy() }

// DeepCopy returns a copy that shares nothing with d.
func (d *Denial) DeepCopy() *Denial {
	out := *d
	out.Source = d.Source.deepCopy()
	out.Witness = d.Witness.deepCopy()
	out.Outline = slices.Clone(d.Outline)
	if d.Action != nil {
		action := *d.Action
		out.Action = &action
	}
	if d.DecidedBy != nil {
		by := *d.DecidedBy
		by.Listing = slices.Clone(by.Listing)
		out.DecidedBy = &by
	}
	if d.Remedy != nil {
		remedy := *d.Remedy
		remedy.Allows = slices.Clone(remedy.Allows)
		out.Remedy = &remedy
	}
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *DenialList) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = cloneEach(l.Items, func(d Denial) Denial { return *d.DeepCopy() })
	out.Containers = cloneEach(l.Containers, func(w Watched) Watched {
		w.Source = w.Source.deepCopy()
		w.Counted, w.Problems = slices.Clone(w.Counted), slices.Clone(w.Problems)
		if w.Lost != nil {
			lost := *w.Lost
			w.Lost = &lost
		}
		return w
	})
	return &out
}
