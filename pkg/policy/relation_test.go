package policy

import (
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// relating returns a filter for amd64 that gives what test lets fall through to its
// end to dup2(oldfd, newfd), both unsigned ints, or to an unnamed number, an errno;
// where a jump of test goes to "no" it is allowed. Jumps are given as with labels
// for the distance from the end of test: yes is 0, no 1.
func relating(nr uint32, test ...bpf.Instruction) bpf.Stack {
	f := bpf.Filter{
		stmt(bpf.LdAbsW, offArch), jump(bpf.JeqK, archAMD64, 0, uint8(len(test)+3)),
		stmt(bpf.LdAbsW, offNR), jump(bpf.JeqK, nr, 0, uint8(len(test)+1)),
	}
	f = append(f, test...)
	return bpf.Stack{append(f, stmt(bpf.RetK, eperm), stmt(bpf.RetK, allow))}
}

// TestRelation has conditions on two arguments at a time put in words.
func TestRelation(t *testing.T) {
	const number = 5000 // no system call
	// words loads a word into X and another one into A.
	words := func(x, a uint32) bpf.Filter {
		return bpf.Filter{stmt(bpf.LdAbsW, x), stmt(bpf.Tax, 0), stmt(bpf.LdAbsW, a)}
	}
	then := func(f bpf.Filter, more ...bpf.Instruction) []bpf.Instruction { return append(f, more...) }
	for _, c := range []struct {
		name string
		nr   uint32
		test []bpf.Instruction
		want string // when it is denied
	}{
		{"equal", number, then(words(lo(1), lo(0)), jump(bpf.JeqX, 0, 0, 1)), "(u32)args[0] == (u32)args[1]"},
		{"not equal", number, then(words(lo(1), lo(0)), jump(bpf.JeqX, 0, 1, 0)), "(u32)args[0] != (u32)args[1]"},
		{"an upper word", number, then(words(hi(2), lo(0)), jump(bpf.JeqX, 0, 0, 1)), "(u32)args[0] == args[2]>>32"},
		{"greater", number, then(words(lo(1), lo(0)), jump(bpf.JgtX, 0, 0, 1)), "(u32)args[0] > (u32)args[1]"},
		{"at least", number, then(words(lo(1), lo(0)), jump(bpf.JgeX, 0, 0, 1)), "(u32)args[0] >= (u32)args[1]"},
		{"less", number, then(words(lo(1), lo(0)), jump(bpf.JgeX, 0, 1, 0)), "(u32)args[0] < (u32)args[1]"},
		{"common bits", number, then(words(lo(1), hi(0)), jump(bpf.JsetX, 0, 0, 1)), "(u32)(args[0]>>32) & (u32)args[1] != 0"},
		{"sum", number, then(words(lo(1), lo(0)), stmt(bpf.AddX, 0), jump(bpf.JeqK, 1000, 0, 1)), "(u32)args[0] + (u32)args[1] == 0x3e8"},
		{"sum that is not", number, then(words(lo(1), lo(0)), stmt(bpf.AddX, 0), jump(bpf.JeqK, 1000, 1, 0)), "(u32)args[0] + (u32)args[1] != 0x3e8"},
		{"difference", number, then(words(lo(1), hi(0)), stmt(bpf.SubX, 0), jump(bpf.JeqK, 7, 0, 1)), "(u32)(args[0]>>32) - (u32)args[1] == 7"},
		{"named arguments", 33, then(words(lo(1), lo(0)), jump(bpf.JeqX, 0, 0, 1)), "(u32)oldfd == (u32)newfd"},
		{"64 bits", number, append(then(words(hi(1), hi(0)), jump(bpf.JeqX, 0, 0, 5)),
			then(words(lo(1), lo(0)), jump(bpf.JeqX, 0, 0, 1))...), "args[0] == args[1]"},
		{"64 bits, greater", number, append(then(words(hi(1), hi(0)), jump(bpf.JgtX, 0, 5, 0), jump(bpf.JeqX, 0, 0, 5)),
			then(words(lo(1), lo(0)), jump(bpf.JgtX, 0, 0, 1))...), "args[0] > args[1]"},
		{"some bits", number, []bpf.Instruction{stmt(bpf.LdAbsW, lo(1)), stmt(bpf.AndK, 0xffff00), stmt(bpf.Tax, 0),
			stmt(bpf.LdAbsW, lo(0)), stmt(bpf.AndK, 0xffff00), jump(bpf.JeqX, 0, 0, 1)},
			"(u32)args[0] & 0xffff00 == (u32)args[1] & 0xffff00"},
		{"and something else", number, append(then(words(lo(1), lo(0)), jump(bpf.JeqX, 0, 0, 3)),
			stmt(bpf.LdAbsW, lo(2)), jump(bpf.JsetK, 12, 0, 1)), "(u32)args[0] == (u32)args[1] && args[2] & 0xc != 0"},
		{"or something else", number, append(then(words(lo(1), lo(0)), jump(bpf.JeqX, 0, 2, 0)),
			stmt(bpf.LdAbsW, lo(2)), jump(bpf.JgtK, 12, 0, 1)), "(u32)args[0] == (u32)args[1] || (u32)args[2] > 0xc"},
		{"one of themselves", number, append(then(words(lo(1), lo(0)), jump(bpf.JeqX, 0, 0, 2)),
			jump(bpf.JgtK, 12, 0, 1)), "(u32)args[0] == (u32)args[1] && (u32)args[0] > 0xc"},
		{"two relations", number, append(then(words(lo(1), lo(0)), jump(bpf.JeqX, 0, 0, 5)),
			then(words(hi(2), hi(3)), jump(bpf.JeqX, 0, 1, 0))...), "(u32)args[0] == (u32)args[1] && args[2]>>32 != args[3]>>32"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustOf(t, relating(c.nr, c.test...))
			part, err := p.Partition(Options{ABIs: []syscalls.ABI{syscalls.AMD64}})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range part.find(t, syscalls.AMD64, c.nr).Decisions {
				if got := d.Condition.String(); d.Outcome.Return == bpf.Return(eperm) && got != c.want {
					t.Errorf("condition is %q, want %q", got, c.want)
				}
				if d.Condition.Wide() {
					t.Errorf("no words for %v", d.Outcome.Return)
				}
			}
			checkPartition(t, p, part)
		})
	}
}

// TestRelationKernelView drops the casts where the kernel looks at no more anyway.
func TestRelationKernelView(t *testing.T) {
	f := []bpf.Instruction{stmt(bpf.LdAbsW, lo(1)), stmt(bpf.Tax, 0), stmt(bpf.LdAbsW, lo(0)), jump(bpf.JeqX, 0, 0, 1)}
	part, err := mustOf(t, relating(33, f...)).KernelView().Partition(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range part.find(t, syscalls.AMD64, 33).Decisions {
		if got := d.Condition.String(); !strings.HasPrefix(got, "oldfd ") || !strings.HasSuffix(got, "= newfd") {
			t.Errorf("condition is %q", got)
		}
	}
}
