package ptrace

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// tracerEnv makes the test binary a tracer that is to be killed.
const tracerEnv = "PTRACE_TEST_TRACER"

func traceUntilKilled(string) {}

func newTracer(t testing.TB, timeout time.Duration) *Tracer {
	t.Helper()
	tracer, err := New(proc.Host, timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracer.Close)
	return tracer
}

// problem returns the *wire.Problem that an error is.
func problem(t testing.TB, err error) *wire.Problem {
	t.Helper()
	var p *wire.Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v is not a problem", err)
	}
	return p
}

// TestRead reads stacked filters, and what an independent program reads is the
// same.
func TestRead(t *testing.T) {
	budget := kerneltest.New(t)
	p := start(t, budget, 5, 5, "read")
	tracer := newTracer(t, time.Second)
	got, err := tracer.Read(t.Context(), p.thread(p.pid))
	if err != nil {
		t.Fatal(err)
	}
	p.free(p.pid)
	if diff := cmp.Diff(bareDump(t, p.pid), got.Filters); diff != "" {
		t.Errorf("filters (-testdata/bare.c +Read):\n%s", diff)
	}
	// Of target.c: the i-th installed has 4+i instructions, and every second
	// has the log flag.
	var lengths []int
	for _, raw := range got.Filters {
		lengths = append(lengths, len(raw)/instructionSize)
	}
	if diff := cmp.Diff([]int{4, 5, 6, 7, 8}, lengths); diff != "" {
		t.Errorf("lengths, oldest first:\n%s", diff)
	}
	if diff := cmp.Diff([]bool{false, true, false, true, false}, got.Log); diff != "" {
		t.Errorf("log flags:\n%s", diff)
	}
	t.Logf("held for %v", got.Stopped)
	if n := p.finish(); n != 0 {
		t.Errorf("read(2) was interrupted %d times", n)
	}
}
