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

// TestKept has a process whose threads have equal stacks, and then ever others,
// of the greatest length and short ones.
func TestKept(t *testing.T) {
	for name, test := range map[string]struct{ length, want int }{
		"long":  {bpf.MaxInstructions, maxInstructions / bpf.MaxInstructions},
		"short": {1, maxStacks},
	} {
		program := make(bpf.Filter, test.length)
		reading := func(k int) *ptrace.Reading {
			program[0] = bpf.Instruction{Op: bpf.RetK, K: uint32(k)}
			return &ptrace.Reading{Filters: [][]byte{program.Encode(native().ByteOrder())}}
		}
		var kept kept
		first := reading(0)
		for i := range 2 * maxStacks {
			r := first
			if i > 0 {
				r = reading(0)
			}
			if !kept.keep(r) || &r.Filters[0][0] != &first.Filters[0][0] {
				t.Fatalf("%s: an equal stack takes room", name)
			}
		}
		n := 1
		for n <= 2*test.want && kept.keep(reading(n)) {
			n++
		}
		if n != test.want {
			t.Errorf("%s: %d different stacks are kept, want %d", name, n, test.want)
		}
		if kept.keep(reading(n)) || !kept.keep(reading(0)) {
			t.Errorf("%s: one that is kept is no longer, or another is", name)
		}
	}
}

// TestTooManyThreads tells what can be done, where something can.
func TestTooManyThreads(t *testing.T) {
	c := &collector{req: Request{MaxThreads: 7}}
	one := newTarget(c, "pid://1", []proc.Process{{PID: 1}})
	one.single = true
	want := "read the threads: only the first 7 were looked at"
	if got := one.tooManyThreads().Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	many := newTarget(c, "container://1", []proc.Process{{PID: 1}})
	want += ": ask for others of its processes by their PID on the node"
	if got := many.tooManyThreads().Error(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestKilled has a container whose only thread is being killed by its filters: in
// a mode that has no name. It has ended, and the run goes on.
func TestKilled(t *testing.T) {
	c := &collector{sink: wire.NewWriter(io.Discard, "test")}
	target := newTarget(c, "container://1", []proc.Process{{PID: 1}})
	thread := proc.Thread{PID: 1, TID: 1, State: 'R', Confinement: proc.Confinement{Seccomp: 3, Filters: 1}}
	if err := target.count(target.processes[0], []proc.Thread{thread}, nil); err != nil {
		t.Fatal(err)
	}
	if err := target.report(); err != nil || target.problems[wire.CodeExited] != 1 {
		t.Errorf("error %v, problems %v", err, target.problems)
	}
}
