//go:build vm

package ptrace

import (
	"slices"
	"testing"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// TestTallestStack reads as many filters as the kernel allows a thread to have,
// all of them if there is time, and else none. To free them at once can take a
// kernel down: see kerneltest.
func TestTallestStack(t *testing.T) {
	if !kerneltest.Emulated() {
		t.Fatal("this would take the machine down: it is for a virtual one (go run ./hack/vm)")
	}
	p := start(t, kerneltest.New(t), 0, 0, "tallest")
	thread := p.thread(p.pid)

	// It is less than the processor can do, and more than it takes to stop.
	const short = 50 * time.Millisecond
	begin := time.Now()
	_, err := newTracer(t, short).Read(t.Context(), thread)
	problem := wantProblem(t, err, wire.CodeTooManyFilters)
	t.Logf("%v: %v", time.Since(begin), problem)
	p.free(p.pid)

	r, err := newTracer(t, time.Minute).Read(t.Context(), thread)
	if err != nil {
		t.Fatal(err)
	}
	p.free(p.pid)
	t.Logf("%d filters, stopped for %v", len(r.Filters), r.Stopped)
	if len(r.Filters) != thread.Filters || len(r.Log) != thread.Filters {
		t.Errorf("%d filters, want %d", len(r.Filters), thread.Filters)
	}
	if !slices.EqualFunc(r.Filters, bareDump(t, p.pid), slices.Equal) {
		t.Error("testdata/bare.c reads other filters")
	}
	if n := p.finish(); n != 0 {
		t.Errorf("read(2) was interrupted %d times", n)
	}
}
