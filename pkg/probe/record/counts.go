package record

import (
	"cmp"
	"slices"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Result is what was recorded.
type Result struct {
	Counts []Counts   // of the containers that were there, by their numbers
	New    []Newcomer // those that came meanwhile, in that order
	// LeftOut is how many of those were not recorded, for lack of room.
	LeftOut uint64
}

// Newcomer is a container that came while calls were recorded.
type Newcomer struct {
	Cgroup string        // the name of its cgroup
	After  time.Duration // how long after the recording began its cgroup was made
	Counts
}

// Counts is what was recorded of one container.
type Counts struct {
	Calls   []Counted // that began, by ABI and number
	Values  []Value
	Refused []Refusal // that did not begin, as a filter was in the way
	// Unclear is how many calls came back without having begun that may have
	// begun before the recording. None of them is in Refused.
	Unclear uint64
	Lost    Lost
}

// Call is a syscall as it was made.
type Call struct {
	ABI syscalls.ABI
	NR  uint32 // Other for those that no syscall has
	// Runtime is whether a container runtime made it that was bringing a process
	// into the container, and not the container's workload.
	Runtime bool
}

// Counted is how often a syscall was called.
type Counted struct {
	Call
	Count uint64
}

// Value is how often an argument of a syscall had a value.
type Value struct {
	Call
	Arg   int    // its place, from 0
	Value uint32 // its lower 32 bits
	Count uint64
}

// Refusal is how often a filter refused a syscall with one result.
type Refusal struct {
	Call
	// Return is what the caller was given: minus an errno; the call's own number
	// where it got a signal instead.
	Return int64
	Count  uint64
}

// Lost is what could not be counted: all of it is 0, unless a container makes more
// different calls than any program does.
type Lost struct {
	Calls    uint64 // of a number for which there was no room
	Values   uint64 // the same of arguments
	Refusals uint64
	Origins  uint64 // calls of which it is not known whether a runtime made them: they count as the workload's
	Runs     uint64 // runs of the program that the kernel left out, on the whole node
}

// Any reports whether something was lost.
func (l Lost) Any() bool { return l != Lost{} }

func (c Call) compare(d Call) int {
	runtime := func(c Call) int {
		if c.Runtime {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(runtime(c), runtime(d)), cmp.Compare(c.ABI, d.ABI), cmp.Compare(c.NR, d.NR))
}

func (c *Counts) sort() {
	slices.SortFunc(c.Calls, func(a, b Counted) int { return a.compare(b.Call) })
	slices.SortFunc(c.Values, func(a, b Value) int {
		return cmp.Or(a.compare(b.Call), cmp.Compare(a.Arg, b.Arg), cmp.Compare(a.Value, b.Value))
	})
	slices.SortFunc(c.Refused, func(a, b Refusal) int { return cmp.Or(a.compare(b.Call), cmp.Compare(a.Return, b.Return)) })
}
