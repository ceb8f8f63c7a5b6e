package wire

import (
	"errors"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Began says that calls are recorded from now on. It is sent at most once.
type Began struct {
	BeganNS int64 `json:"beganNs"` // in nanoseconds since the epoch, by the node's clock
}

// Recorded is what calls a target made (see package record). One that is a checkpoint
// says what they are so far, and another one of its target may follow.
type Recorded struct {
	Target string `json:"target"` // as it was asked for, or container://ID of one that came meanwhile
	// Start is whether the container came while calls were recorded, so that its
	// first are here.
	Start      bool `json:"start,omitempty"`
	Checkpoint bool `json:"checkpoint,omitempty"`

	BeganNS int64     `json:"beganNs"`
	EndedNS int64     `json:"endedNs"`
	Calls   []Calls   `json:"calls,omitempty"`
	Values  []Value   `json:"values,omitempty"`
	Refused []Refused `json:"refused,omitempty"`

	// Unclear is how many calls came back that may have begun before the
	// recording or may have been refused: at most one for each thread.
	Unclear uint64 `json:"unclear,omitempty"`
	// What was seen and not counted, by what it is: calls, values of arguments,
	// refused calls, and whether a runtime made a call. Runs are those that the
	// kernel did not let the program see, on the whole node.
	LostCalls    uint64 `json:"lostCalls,omitempty"`
	LostValues   uint64 `json:"lostValues,omitempty"`
	LostRefusals uint64 `json:"lostRefusals,omitempty"`
	LostOrigins  uint64 `json:"lostOrigins,omitempty"`
	LostRuns     uint64 `json:"lostRuns,omitempty"`
}

// Calls is how often a syscall was called.
type Calls struct {
	ABI     string `json:"abi"`
	NR      uint32 `json:"nr"`                // 4294967295 for all that no syscall has
	Runtime bool   `json:"runtime,omitempty"` // a runtime called it that brought a process into the container
	Count   uint64 `json:"count"`
}

// Value is how often an argument had a value.
type Value struct {
	Calls
	Arg   int    `json:"arg"` // from 0
	Value uint32 `json:"value"`
}

// Refused is how often a filter refused a syscall with one result.
type Refused struct {
	Calls
	Return int64 `json:"return"`
}

// Limits of a Recorded: no program comes near them, and it keeps MaxMessage.
const (
	MaxCalls   = 2048
	MaxValues  = 1024
	MaxRefused = 512
)

func (*Began) Type() string    { return "began" }
func (*Recorded) Type() string { return "recorded" }

func (b *Began) check() error {
	if b.BeganNS < 0 {
		return errors.New("impossible time")
	}
	return nil
}

func (r *Recorded) check() error {
	if r.Target == "" || r.BeganNS < 0 || r.EndedNS < 0 {
		return errors.New("no target, or an impossible time")
	}
	if len(r.Calls) > MaxCalls || len(r.Values) > MaxValues || len(r.Refused) > MaxRefused {
		return fmt.Errorf("%d calls, %d values, %d refused: more than there can be", len(r.Calls), len(r.Values), len(r.Refused))
	}
	for i := range r.Calls {
		if err := r.Calls[i].check(); err != nil {
			return err
		}
	}
	for i := range r.Values {
		if v := &r.Values[i]; v.Arg < 0 || v.Arg > 5 {
			return fmt.Errorf("argument %d", v.Arg)
		}
		if err := r.Values[i].Calls.check(); err != nil {
			return err
		}
	}
	for i := range r.Refused {
		if err := r.Refused[i].Calls.check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Calls) check() error {
	if _, err := syscalls.ParseABI(c.ABI); err != nil {
		return err
	}
	if c.Count == 0 {
		return errors.New("call that was not made")
	}
	return nil
}
