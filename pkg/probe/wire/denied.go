package wire

import (
	"errors"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// How a call is known that filters did not simply allow.
type How string

const (
	HowReturned How = "returned" // it came back without having begun
	HowSignal   How = "signal"   // the same, and the thread got SIGSYS for it
	HowEnded    How = "ended"    // the thread ended instead of coming back
	HowBegan    How = "began"    // it has begun, and is one that the filters log, or hand to a tracer or supervisor
)

// Denial is a call that filters did not simply allow (see package denials).
type Denial struct {
	Target string `json:"target"` // as it was asked for
	Seq    int    `json:"seq"`    // counts from 1 in a stream
	TimeNS int64  `json:"timeNs"` // in nanoseconds since the epoch, by the node's clock

	PID     int    `json:"pid"` // of the process, in the node's PID namespace
	TID     int    `json:"tid"`
	NSPID   int    `json:"nspid"` // the same as the process sees them
	NSTID   int    `json:"nstid"`
	Process string `json:"process"` // the comm of its main thread
	Comm    string `json:"comm"`    // of the thread

	ABI    string    `json:"abi"`
	NR     uint32    `json:"nr"`
	Args   [6]uint64 `json:"args"`
	IP     uint64    `json:"ip"`
	How    How       `json:"how"`
	Return int64     `json:"return"` // what the caller was given, where it came back
	Stack  int       `json:"stack"`  // Stack.ID; NoStack: the filters could not be had
	// Runtime is whether a container runtime made it that was bringing a process into
	// the container.
	Runtime bool `json:"runtime,omitempty"`
	// Held is how many like this one were only counted since the last Denial of the
	// kind.
	Held uint64 `json:"held,omitempty"`
}

// Denied is what is to be said of a target at the end.
type Denied struct {
	Target  string `json:"target"`
	BeganNS int64  `json:"beganNs"`
	EndedNS int64  `json:"endedNs"`
	Held    []Held `json:"held,omitempty"` // since the last Denial of the kind

	// Unclear are calls of which it is not known whether they had begun before, or, only
	// counted, whether filters that look at arguments log them or hand them on.
	Unclear uint64 `json:"unclear,omitempty"`
	// What was lost: calls, as there was no room for them or for another kind of
	// them; stacks of filters that could not be copied; and runs of the program that
	// the kernel left out, on the whole node.
	LostCalls  uint64 `json:"lostCalls,omitempty"`
	LostStacks uint64 `json:"lostStacks,omitempty"`
	LostRuns   uint64 `json:"lostRuns,omitempty"`
}

// Held is how many calls of one kind were only counted.
type Held struct {
	ABI    string `json:"abi"`
	NR     uint32 `json:"nr"` // 4294967295 for all that no syscall has
	How    How    `json:"how"`
	Result int32  `json:"result"` // of those that came back: 0, below 0 an errno, or 1 for any other
	Count  uint64 `json:"count"`
}

// MaxHeld is the most kinds that a Denied has; it keeps MaxMessage.
const MaxHeld = 2048

func (*Denial) Type() string { return "denial" }
func (*Denied) Type() string { return "denied" }

func (h How) check() error {
	switch h {
	case HowReturned, HowSignal, HowEnded, HowBegan:
		return nil
	}
	return fmt.Errorf("a call that is known how: %q", clip(string(h)))
}

func (d *Denial) check() error {
	if _, err := syscalls.ParseABI(d.ABI); err != nil {
		return err
	}
	if d.Target == "" || d.TimeNS < 0 || d.PID < 0 || d.TID < 0 || d.NSPID < 0 || d.NSTID < 0 {
		return errors.New("no such call can be")
	}
	return d.How.check()
}

func (d *Denied) check() error {
	if d.Target == "" || d.BeganNS < 0 || d.EndedNS < 0 {
		return errors.New("no target, or an impossible time")
	}
	if len(d.Held) > MaxHeld {
		return fmt.Errorf("%d kinds of calls: more than there can be", len(d.Held))
	}
	for _, h := range d.Held {
		if _, err := syscalls.ParseABI(h.ABI); err != nil {
			return err
		}
		if err := h.How.check(); err != nil {
			return err
		}
		if h.Count == 0 || h.Result < -4095 || h.Result > 1 {
			return errors.New("calls that cannot be")
		}
	}
	return nil
}
