package probe

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// TestProcess collects single processes: one in a container, one outside, and
// what is none.
func TestProcess(t *testing.T) {
	c := start(t, kerneltest.New(t), 4, 1, "threads")
	ref := fmt.Sprintf("pid://%d", c.pid)
	self := fmt.Sprintf("pid://%d", os.Getpid())
	thread := ""
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", c.pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != fmt.Sprint(c.pid) {
			thread = "pid://" + e.Name()
		}
	}
	r := collect(t, t.Context(), Request{Targets: []string{ref, self, thread, "pid://0", "pid://x", "pid://007", "pid://4194304", ref}})
	if len(r.targets) != 2 || r.targets[0].ID != ref || r.targets[1].ID != self {
		t.Fatalf("targets %+v", r.targets)
	}
	if got := r.targets[0]; got.PID != c.pid || got.Processes != 1 || got.Threads != 5 || "containerd://"+got.Container != c.ref || got.Comm != "target" {
		t.Errorf("a container's process: %+v", got)
	}
	if got := r.targets[1]; got.PID != os.Getpid() || got.Container != "" {
		t.Errorf("this process: %+v", got)
	}
	if len(r.states) != 3 || !r.states[0].Subject || r.states[0].Threads != 2 || r.states[1].Threads != 3 {
		t.Errorf("states %+v", r.states)
	}
	want := map[string]string{thread: wire.CodeInvalidTarget, "pid://0": wire.CodeInvalidTarget, "pid://x": wire.CodeInvalidTarget,
		"pid://007": wire.CodeInvalidTarget, "pid://4194304": wire.CodeNotFound}
	if len(r.problems) != len(want) {
		t.Errorf("%d problems, want %d", len(r.problems), len(want))
	}
	for _, p := range r.problems {
		if want[p.Target] != p.Code {
			t.Errorf("problem of %s: %s, want %s: %v", p.Target, p.Code, want[p.Target], p)
		}
	}
}

// TestAll finds containers and processes without being told of them, except for
// one that it was told of.
func TestAll(t *testing.T) {
	budget := kerneltest.New(t)
	a, b := start(t, budget, 1, 1, "read"), start(t, budget, 1, 1, "read")
	none := start(t, budget, 0, 0, "read")
	r := collect(t, t.Context(), Request{All: true, Targets: []string{b.ref}})
	targets := make(map[string]*wire.Target)
	for _, target := range r.targets {
		if targets[target.ID] != nil {
			t.Errorf("%s twice", target.ID)
		}
		targets[target.ID] = target
	}
	found := func(ref string) string { return "container://" + strings.TrimPrefix(ref, "containerd://") }
	if got := targets[found(a.ref)]; got == nil || got.PID != a.pid {
		t.Errorf("%s: %+v", found(a.ref), got)
	}
	if targets[b.ref] == nil || targets[found(b.ref)] != nil {
		t.Error("a container that was asked for is missing, or found once more")
	}
	if targets[found(none.ref)] != nil || targets[fmt.Sprintf("pid://%d", none.pid)] != nil {
		t.Error("a container without filters is found")
	}
	for _, s := range r.states {
		if strings.HasPrefix(s.Target, "pid://") && s.Mode == wire.ModeDisabled && s.Threads == targets[s.Target].Threads {
			t.Errorf("a process without filters is found: %+v", s)
		}
	}
}
