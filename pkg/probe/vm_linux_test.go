//go:build vm

package probe

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestTallestStack collects a process with as many filters as the kernel allows
// one to have. It is read, or it is told why not; here an emulated processor may
// take too long. To free the filters at once can take a kernel down: see
// kerneltest.
func TestTallestStack(t *testing.T) {
	if !kerneltest.Emulated() {
		t.Fatal("this would take the machine down: it is for a virtual one (go run ./hack/vm)")
	}
	c := start(t, kerneltest.New(t), 0, 0, "tallest")
	thread, err := proc.Host.Thread(c.pid, c.pid)
	if err != nil {
		t.Fatal(err)
	}
	// MAX_INSNS_PER_PATH is 2^15 instructions. Each filter counts 4 more, and
	// they count as translated to eBPF, which makes five or so of one.
	if thread.Filters < 3000 {
		t.Fatalf("the kernel counts only %d filters", thread.Filters)
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var out bytes.Buffer
	w := wire.NewWriter(&out, "test")
	begin := time.Now()
	if err := Collect(t.Context(), Request{Targets: []string{c.ref}}, w); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	now, err := proc.Host.Thread(c.pid, c.pid)
	if err != nil || now.Tracer != 0 || now.State == 't' || now.State == 'T' {
		t.Errorf("the thread is left in state %c, traced by %d, %v", now.State, now.Tracer, err)
	}
	length := out.Len()
	r, err := report.Read(t.Context(), &out, "test")
	if err != nil {
		t.Fatal(err)
	}
	target := r.Targets[c.ref]
	s := target.Subject()
	if s == nil || s.FilterCount != thread.Filters {
		t.Fatalf("state %+v", s)
	}
	memory := (after.Sys - before.Sys) >> 20
	t.Logf("%d filters: %v in all, %d KiB of output, %d MiB more memory", thread.Filters, took, length>>10, memory)
	if memory > 64 {
		t.Errorf("%d MiB more memory", memory)
	}
	if s.Stack == nil {
		if len(target.Problems) != 1 || target.Problems[0].Code != wire.CodeTooManyFilters {
			t.Errorf("neither filters nor the problem: %v", target.Problems)
		}
		for _, p := range target.Problems {
			t.Logf("problem %s: %v", p.Code, &p)
		}
		return
	}
	if len(target.Problems) > 0 || len(s.Stack) != thread.Filters || len(s.Read) != 1 {
		t.Fatalf("%d filters, problems %v", len(s.Stack), target.Problems)
	}
	t.Logf("stopped for %v", time.Duration(s.Read[0].StoppedNS))
	for i, f := range s.Stack {
		if want := (bpf.Instruction{Op: bpf.RetK, K: uint32(bpf.Allow) | uint32(i)}); len(f) != 1 || f[0] != want {
			t.Fatalf("filter %d, the oldest being 0, is %v, want %v", i, f, want)
		}
	}
}

// TestCompat collects a 32-bit process, which is told apart, and whose filters
// are about 32-bit calls.
func TestCompat(t *testing.T) {
	compatProgram := filepath.Join(os.Getenv(cprogram.Folder), "workload-compat")
	budget := kerneltest.New(t)
	c, native := startProgram(t, budget, 2, compatProgram, "stack", "-n", "2"), start(t, budget, 1, 1, "read")
	r := collect(t, t.Context(), Request{Targets: []string{c.ref, native.ref}})
	r.noProblems(t)
	if len(r.targets) != 2 || r.targets[0].Compat != 1 || r.targets[0].Processes != 1 || r.targets[1].Compat != 0 {
		t.Errorf("targets %+v and %+v", r.targets[0], r.targets[1])
	}
	if s := r.states[0]; s.FilterCount != 2 || s.Stack != 0 {
		t.Fatalf("state %+v", s)
	}
	var stack bpf.Stack
	for _, id := range r.stacks[0].Filters {
		stack = append(stack, program(t, r.filters[id]))
	}
	for _, abi := range syscalls.OfMachine(runtime.GOARCH) {
		nr, ok := abi.Number("acct")
		if !ok {
			t.Fatalf("%v has no acct", abi)
		}
		// Of images/workload: the first filter refuses this call.
		want := bpf.Allow.With(0)
		if abi.Bits() == 32 {
			want = bpf.Errno.With(uint16(unix.EPERM))
		}
		if got := stack.Run(&bpf.Data{NR: nr, Arch: abi.AuditArch()}, abi.ByteOrder()).Ret; got != want {
			t.Errorf("acct of %v gets %v, want %v", abi, got, want)
		}
	}
}
