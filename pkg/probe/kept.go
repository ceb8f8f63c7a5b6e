package probe

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// kept are the readings of one process, until they are counted. Each of its
// thousands of threads can have other filters, as long as those of a whole
// target may be: so they are bounded by the same limits.
type kept struct {
	readings map[stackKey]*ptrace.Reading
	length   int // of their programs, in instructions
}

// keep reports whether there is room for a reading. Equal ones share their
// programs.
func (k *kept) keep(r *ptrace.Reading) bool {
	key := keyOf(r)
	if same := k.readings[key]; same != nil {
		r.Filters, r.Log = same.Filters, same.Log
		return true
	}
	if len(k.readings) >= maxStacks || k.length >= maxInstructions {
		return false
	}
	if k.readings == nil {
		k.readings = make(map[stackKey]*ptrace.Reading)
	}
	k.readings[key] = r
	for _, raw := range r.Filters {
		k.length += len(raw) / bpf.InstructionSize
	}
	return true
}

// tooManyStacks is the problem of others than the first few stacks.
func tooManyStacks(op string, stacks, length int) *wire.Problem {
	return &wire.Problem{Code: wire.CodeTooManyStacks, Op: op,
		Detail: fmt.Sprintf("there are others than the first %d different stacks of filters, of %d instructions", stacks, length)}
}
