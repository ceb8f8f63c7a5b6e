package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
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
