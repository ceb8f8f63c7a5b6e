// Package survey tells what a stack of filters does with every syscall number,
// decided by running it.
//
// A filter is a program without loops whose only input is the call, and a run
// records which words of the call it read. A run that read only the number and
// the architecture would go the same way for every call with that number: its
// outcome is a fact. A run that read an argument or the instruction pointer
// proves nothing about other arguments, and is reported as depending on them,
// even where all of them would turn out alike. So a survey never guesses, and
// what it leaves open is for an exact analysis of the stack to decide.
package survey

import (
	"fmt"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Outcome is what happens to the calls of one number.
type Outcome struct {
	Return    bpf.Return // normalised; 0 if the outcome depends or is undecided
	Depends   bool       // on more than the number and the ABI
	Words     bpf.Words  // if Depends: what else was read when all of it was zero; other values may lead to more
	Undecided bool       // not looked at: the stack is over budget (see Of), or the number outside the survey
}

// Run is a maximal run of numbers with equal outcomes, both ends included.
type Run struct {
	First, Last uint32
	Outcome
}

// Survey is what a stack does with the numbers of one ABI.
type Survey struct {
	ABI syscalls.ABI
	// Default is the outcome of most numbers inside the surveyed ranges that no
	// syscall has, of the lowest of them where two outcomes are as frequent.
	// Where there are none, it is Beyond.
	Default Outcome
	// Beyond is the outcome of the number that follows the first range: what a
	// syscall that a later kernel adds will most likely get.
	Beyond Outcome
	// Runs covers the surveyed ranges in ascending order. For most ABIs that is
	// one range: from 0 (x32: 0x40000000) to the last number of the table. Numbers
	// that lie far from all others, as ARM's private ones, make a range of their
	// own.
	Runs []Run
}

// maxGap is the longest row of unassigned numbers inside one range. The longest
// in a table's main part is amd64's, 90 numbers.
const maxGap = 1024

// MaxSteps bounds the work of Of, in instructions: a fifth of a second or so.
// Where running every number of the ABI once could take more, all outcomes are
// Undecided. It leaves room for any stack that a kernel holds: at most 32768
// instructions (MAX_INSNS_PER_PATH in kernel/seccomp.c), for up to 600 numbers.
const MaxSteps = 1 << 25

// Of surveys a stack for an ABI.
func Of(s bpf.Stack, abi syscalls.ABI) Survey {
	spans := spansOf(abi.Table())
	e := evaluator{stack: s, abi: abi, affordable: cost(s, spans) <= MaxSteps}

	out := Survey{ABI: abi}
	holes := make(map[Outcome]int)
	var holeOrder []Outcome
	for _, span := range spans {
		for nr := span.first; ; nr++ {
			o := e.outcome(nr)
			if last := len(out.Runs) - 1; last >= 0 && out.Runs[last].Outcome == o && out.Runs[last].Last+1 == nr {
				out.Runs[last].Last = nr
			} else {
				out.Runs = append(out.Runs, Run{nr, nr, o})
			}
			if _, named := abi.Name(nr); !named {
				if holes[o]++; holes[o] == 1 {
					holeOrder = append(holeOrder, o)
				}
			}
			if nr == span.last {
				break
			}
		}
	}
	if len(spans) > 0 {
		out.Beyond = e.outcome(spans[0].last + 1)
	} else {
		out.Beyond = Outcome{Undecided: true}
	}
	out.Default = out.Beyond
	for i, o := range holeOrder {
		if i == 0 || holes[o] > holes[out.Default] {
			out.Default = o
		}
	}
	return out
}

// span is a range of numbers, both ends included.
type span struct{ first, last uint32 }

// spansOf returns the ranges of numbers that a table lies in.
func spansOf(table []syscalls.Syscall) []span {
	if len(table) == 0 {
		return nil
	}
	// Down to the round number below the first: 0, x32's bit, MIPS' 4000.
	spans := []span{{table[0].Number &^ (1<<30 - 1), table[0].Number}}
	if spans[0].last-spans[0].first > maxGap {
		spans[0].first = spans[0].last
	}
	for _, call := range table[1:] {
		if last := &spans[len(spans)-1]; call.Number-last.last <= maxGap {
			last.last = call.Number
		} else {
			spans = append(spans, span{call.Number, call.Number})
		}
	}
	return spans
}

// cost returns the most instructions that running the stack for every number of
// the spans, and one more, can take.
func cost(s bpf.Stack, spans []span) int {
	length, numbers := 0, 1
	for _, f := range s {
		length += len(f)
	}
	for _, span := range spans {
		numbers += int(span.last-span.first) + 1
	}
	return length * numbers
}

type evaluator struct {
	stack      bpf.Stack
	abi        syscalls.ABI
	affordable bool
}

func (e *evaluator) outcome(nr uint32) Outcome {
	if !e.affordable {
		return Outcome{Undecided: true}
	}
	run := e.stack.Run(&bpf.Data{NR: nr, Arch: e.abi.AuditArch()}, e.abi.ByteOrder())
	if run.Reads.Within(bpf.NRArch) {
		return Outcome{Return: run.Ret}
	}
	return Outcome{Depends: true, Words: run.Reads &^ bpf.NRArch}
}

// Outcome returns the outcome of a number. One outside the survey is Undecided.
func (s Survey) Outcome(nr uint32) Outcome {
	i, found := slices.BinarySearchFunc(s.Runs, nr, func(r Run, nr uint32) int {
		switch {
		case r.Last < nr:
			return -1
		case r.First > nr:
			return 1
		}
		return 0
	})
	if !found {
		return Outcome{Undecided: true}
	}
	return s.Runs[i].Outcome
}

// Equal reports whether two surveys say the same.
func (s Survey) Equal(t Survey) bool {
	return s.ABI == t.ABI && s.Default == t.Default && s.Beyond == t.Beyond && slices.Equal(s.Runs, t.Runs)
}

// Check reports what cannot be in a survey: an unknown ABI, runs out of order or
// not maximal, outcomes that contradict themselves. A survey from elsewhere that
// passes is well formed; whether it is true is another matter.
func (s Survey) Check() error {
	if !slices.Contains(syscalls.ABIs(), s.ABI) {
		return fmt.Errorf("survey of unknown ABI %d", s.ABI)
	}
	for _, o := range []Outcome{s.Default, s.Beyond} {
		if err := o.check(); err != nil {
			return err
		}
	}
	for i, r := range s.Runs {
		if err := r.check(); err != nil {
			return fmt.Errorf("numbers %d to %d: %w", r.First, r.Last, err)
		}
		if r.First > r.Last {
			return fmt.Errorf("numbers %d to %d are no run", r.First, r.Last)
		}
		if i == 0 {
			continue
		}
		switch before := s.Runs[i-1]; {
		case before.Last >= r.First:
			return fmt.Errorf("numbers from %d are out of order", r.First)
		case before.Last+1 == r.First && before.Outcome == r.Outcome:
			return fmt.Errorf("numbers from %d belong to the run before", r.First)
		}
	}
	return nil
}

func (o Outcome) check() error {
	switch {
	case o.Undecided && o != (Outcome{Undecided: true}),
		o.Depends && (o.Return != 0 || o.Words == 0 || o.Words&bpf.NRArch != 0),
		!o.Depends && o.Words != 0,
		o.Return != o.Return.Normalize():
		return fmt.Errorf("no such outcome can be: %#v", o)
	}
	return nil
}
