package policy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// rawStacks are, if POLICY_FILTERS names a directory, the raw little-endian
// filters *.bpf in it, each by itself; and for those named NAME.N.bpf, N being 0
// for the oldest, the stack NAME besides.
func rawStacks(t testing.TB) (names []string, stacks []bpf.Stack) {
	dir := os.Getenv("POLICY_FILTERS")
	if dir == "" {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.bpf"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no filters in %s: %v", dir, err)
	}
	parts := map[string]bpf.Stack{}
	for _, file := range files { // in lexical order
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := bpf.Decode(raw, le)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".bpf")
		names = append(names, name)
		stacks = append(stacks, bpf.Stack{f})
		if whole, n, ok := strings.Cut(name, "."); ok && strings.Trim(n, "0123456789") == "" {
			parts[whole] = append(parts[whole], f)
		}
	}
	for name, s := range parts {
		names = append(names, name)
		stacks = append(stacks, s)
	}
	return names, stacks
}

// benchStacks are a fixture and the rawStacks.
func benchStacks(b *testing.B) (names []string, stacks []bpf.Stack) {
	names, stacks = rawStacks(b)
	return append([]string{"container"}, names...), append([]bpf.Stack{{containerFilter()}}, stacks...)
}

func BenchmarkOf(b *testing.B) {
	names, stacks := benchStacks(b)
	for i, s := range stacks {
		b.Run(names[i], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				mustOf(b, s)
			}
		})
	}
}

// BenchmarkCompare builds both policies of every pair and compares them.

func BenchmarkCompare(b *testing.B) {
	names, stacks := benchStacks(b)
	for i, s := range stacks {
		b.Run(names[i], func(b *testing.B) {
			for b.Loop() {
				for _, r := range stacks {
					if _, err := Compare(mustOf(b, s), mustOf(b, r), Options{}); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N*len(stacks)), "ms/pair")
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
