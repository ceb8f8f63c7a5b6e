package probe

import (
	"io"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// TestLongPrograms has a target whose threads have ever other programs of the
// greatest length. It does not keep those of the next from being read.
func TestLongPrograms(t *testing.T) {
	c := &collector{sink: wire.NewWriter(io.Discard, "test"), filters: make(map[[32]byte]int), stacks: make(map[stackKey]int)}
	program := make(bpf.Filter, bpf.MaxInstructions)
	for i := range program {
		program[i].Op = bpf.RetK
	}
	next := uint32(0)
	reading := func() *ptrace.Reading {
		next++
		program[0].K = next
		return &ptrace.Reading{Filters: [][]byte{program.Encode(native().ByteOrder())}}
	}
	for name, want := range map[string]int{"one": maxInstructions / len(program), "another": maxInstructions / len(program)} {
		target := newTarget(c, name, []proc.Process{{PID: 1}})
		read := 0
		for range 2 * want {
			id, err := target.stack(reading())
			if err != nil {
				t.Fatal(err)
			}
			if id != wire.NoStack {
				read++
			}
		}
		if read != want || target.problems[wire.CodeTooManyStacks] != 1 {
			t.Errorf("%s: %d stacks were read, want %d; problems %v", name, read, want, target.problems)
		}
	}
}
