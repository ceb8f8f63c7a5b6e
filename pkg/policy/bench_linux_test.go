//go:build linux && amd64

package policy

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// The limits that analysis is held to: a policy built in 100 ms, two built and
// compared in 150 ms, with a heap of 256 MiB; beside running the filters themselves
// once for every number.

// benchStacks are those of the fixtures that are like what there is in practice, and
// the two that relate arguments; what libseccomp compiles in both its layouts; and the
// rawStacks.
func benchStacks(b *testing.B) (names []string, stacks []bpf.Stack) {
	for _, name := range []string{"container", "stacked", "equal", "sum"} {
		names, stacks = append(names, name), append(stacks, fixtures()[name])
	}
	l := newLibseccomp(b)
	rules := lines(libseccompRules())
	names = append(names, "libseccomp chain", "libseccomp tree")
	stacks = append(stacks, l.compile(b, rules, eperm, 1).stack, l.compile(b, rules, eperm, 2).stack)
	raw, more := rawStacks(b)
	return append(names, raw...), append(stacks, more...)
}

func BenchmarkOf(b *testing.B) {
	names, stacks := benchStacks(b)
	for i, s := range stacks {
		b.Run(names[i], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !mustOf(b, s).Decided() {
					b.Fatal("undecided")
				}
			}
		})
	}
}

// BenchmarkCompare builds both policies of every pair and compares them.
func BenchmarkCompare(b *testing.B) {
	names, stacks := benchStacks(b)
	for i, s := range stacks {
		b.Run(names[i], func(b *testing.B) {
			var slowest time.Duration
			for b.Loop() {
				for _, r := range stacks {
					start := time.Now()
					if _, err := Compare(mustOf(b, s), mustOf(b, r), Options{}); err != nil {
						b.Fatal(err)
					}
					slowest = max(slowest, time.Since(start))
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N*len(stacks)), "ms/pair")
			b.ReportMetric(slowest.Seconds()*1000, "ms/slowest")
			// The largest size that the heap has had, of all benchmarks so far.
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.HeapSys)/(1<<20), "MiB-heap")
		})
	}
}

// BenchmarkRunEveryNumber is what the exact analysis is held against: running
// the filters once for every number of the machine's ABIs.
func BenchmarkRunEveryNumber(b *testing.B) {
	names, stacks := benchStacks(b)
	var all []bpf.Data
	for _, abi := range syscalls.OfMachine("amd64") {
		for _, call := range abi.Table() {
			all = append(all, bpf.Data{NR: call.Number, Arch: abi.AuditArch()})
		}
	}
	for i, s := range stacks {
		b.Run(names[i], func(b *testing.B) {
			for b.Loop() {
				for _, d := range slices.Clone(all) {
					s.Run(&d, le)
				}
			}
		})
	}
}
