package policy

import (
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// manyOutcomes returns a filter that gives the calls of each of a hundred numbers one
// of hundreds of errnos, which the bits of one argument and the number decide.
func manyOutcomes(arg int) bpf.Stack {
	return bpf.Stack{{
		stmt(bpf.LdAbsW, offNR), jump(bpf.JgtK, 200, 7, 0), stmt(bpf.Tax, 0),
		stmt(bpf.LdAbsW, lo(arg)), stmt(bpf.XorX, 0), stmt(bpf.AndK, 0x1ff),
		stmt(bpf.OrK, 0x50000), stmt(bpf.RetA, 0), stmt(bpf.RetK, eperm), stmt(bpf.RetK, allow),
	}}
}

// manyConditions returns a filter whose condition is another one for each of
// thousands of numbers, and hard to put in words.
func manyConditions() bpf.Stack {
	return bpf.Stack{{
		stmt(bpf.LdAbsW, offNR), stmt(bpf.MulK, 7), stmt(bpf.Tax, 0),
		stmt(bpf.LdAbsW, lo(0)), stmt(bpf.MulK, 5), stmt(bpf.AddX, 0), stmt(bpf.AndK, 0xbdb),
		jump(bpf.JgtK, 0x355, 0, 1), stmt(bpf.RetK, eperm), stmt(bpf.RetK, allow),
	}}
}

// BenchmarkHostile lists and compares what was made to take long.
func BenchmarkHostile(b *testing.B) {
	machine := Options{ABIs: syscalls.OfMachine("amd64")}
	x, y, z := mustOf(b, manyOutcomes(0)), mustOf(b, manyOutcomes(1)), mustOf(b, bpf.Stack{containerFilter()})
	hard, none := mustOf(b, manyConditions()), mustOf(b, nil)
	b.Run("Compare/hard conditions", func(b *testing.B) {
		for b.Loop() {
			c, err := Compare(hard, none, machine)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(c.Differences)), "differences")
		}
	})
	b.Run("Of", func(b *testing.B) {
		for b.Loop() {
			mustOf(b, fixtures()["product with nr"])
		}
	})
	b.Run("Partition", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Partition(machine); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		name  string
		other *Policy
	}{{"with another", y}, {"with a container", z}} {
		b.Run("Compare/"+c.name, func(b *testing.B) {
			for b.Loop() {
				d, err := Compare(x, c.other, machine)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(d.Differences)), "differences")
			}
		})
	}
	// One condition of thousands of nodes, for all calls.
	large := mustOf(b, bpf.Stack{{
		stmt(bpf.LdAbsW, lo(0)), stmt(bpf.AndK, 0xff), stmt(bpf.Tax, 0), stmt(bpf.LdAbsW, lo(1)), stmt(bpf.AndK, 0xff), stmt(bpf.MulX, 0),
		jump(bpf.JsetK, 0x100, 1, 0), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm),
	}})
	b.Run("CompareByName", func(b *testing.B) {
		for b.Loop() {
			if _, err := CompareByName(large, large, machine.ABIs, syscalls.OfMachine("arm64")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Lint", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Lint(machine.ABIs); err != nil {
				b.Fatal(err)
			}
		}
	})
}
