package probe

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// unharmed checks that a thread is not traced, and not stopped but by itself.
func (c container) unharmed(t *testing.T, stopped bool) {
	t.Helper()
	thread, err := proc.Host.Thread(c.pid, c.pid)
	if err != nil {
		t.Fatal(err)
	}
	if thread.Tracer != 0 || (thread.State == 'T') != stopped || thread.State == 't' {
		t.Errorf("afterwards pid %d is in state %c, traced by %d", c.pid, thread.State, thread.Tracer)
	}
}

// TestNames collects a process whose name is made for terminals and for whoever
// parses /proc. It arrives, and its control characters do not as such.
func TestNames(t *testing.T) {
	const name = "\x1b[2J\n) R 1 (\xff"
	whole := targetProgram
	targetProgram = filepath.Join(t.TempDir(), name)
	defer func() { targetProgram = whole }()
	program, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(targetProgram, program, 0o755); err != nil {
		t.Fatal(err)
	}
	c := start(t, kerneltest.New(t), 1, 1, "read")
	var out bytes.Buffer
	if err := Collect(t.Context(), Request{Targets: []string{c.ref}, AllThreads: true}, wire.NewWriter(&out, "test")); err != nil {
		t.Fatal(err)
	}
	if i := bytes.IndexFunc(out.Bytes(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
		t.Errorf("the output has a control character: %q", out.Bytes()[max(0, i-20):i+1])
	}
	r := collect(t, t.Context(), Request{Targets: []string{c.ref}})
	r.noProblems(t)
	want := strings.ToValidUTF8(name, "\uFFFD")
	if len(r.targets) != 1 || r.targets[0].Comm != want || r.targets[0].PID != c.pid || r.states[0].Read[0].Comm != want || r.states[0].FilterCount != 1 {
		t.Errorf("targets %+v, states %+v", r.targets, r.states)
	}
}

// TestManyThreads collects a process of three thousand threads: all of them, and
// of all only as many as are asked for.
func TestManyThreads(t *testing.T) {
	c := start(t, kerneltest.New(t), 1, 1, "many")
	begin := time.Now()
	r := collect(t, t.Context(), Request{Targets: []string{c.ref}})
	r.noProblems(t)
	if len(r.targets) != 1 || r.targets[0].Threads != 3001 || len(r.states) != 1 {
		t.Fatalf("targets %+v, states %+v", r.targets, r.states)
	}
	if s := r.states[0]; s.Threads != 3001 || s.Presumed != 3000 || len(s.Read) != 1 || len(s.Sample) != wire.MaxSample {
		t.Errorf("state %+v", s)
	}
	t.Logf("one of 3001 threads stopped, in %v", time.Since(begin))

	begin = time.Now()
	r = collect(t, t.Context(), Request{Targets: []string{c.ref}, AllThreads: true, MaxThreads: 500})
	if len(r.problems) != 1 || r.problems[0].Code != wire.CodeTooManyThreads {
		t.Errorf("problems %v", r.problems)
	}
	if s := r.states[0]; s.Threads != 500 || s.Presumed != 0 || len(s.Read) != wire.MaxSample {
		t.Errorf("state %+v", s)
	}
	t.Logf("500 of them stopped, in %v", time.Since(begin))
	c.unharmed(t, false)
}

// TestStopped collects a container that SIGSTOP has stopped. It stays so.
func TestStopped(t *testing.T) {
	c := start(t, kerneltest.New(t), 1, 1, "read")
	if err := unix.Kill(c.pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool {
		thread, err := proc.Host.Thread(c.pid, c.pid)
		return err == nil && thread.State == 'T'
	})
	r := collect(t, t.Context(), Request{Targets: []string{c.ref}})
	r.noProblems(t)
	if len(r.states) != 1 || r.states[0].Stack != 0 {
		t.Errorf("states %+v", r.states)
	}
	c.unharmed(t, true)
}

// TestFrozen collects a container whose cgroup is frozen, and one beside it.
// Under cgroup v1 a frozen thread does not stop; that is told, in time, and the
// thread goes on as if nothing had been when it thaws.
func TestFrozen(t *testing.T) {
	budget := kerneltest.New(t)
	c, good := start(t, budget, 1, 1, "read"), start(t, budget, 1, 1, "read")
	cgroup := c.cgroup(t)
	file, frozen, thawed := filepath.Join(cgroup, "freezer.state"), "FROZEN", "THAWED"
	v1 := true
	if _, err := os.Stat(file); err != nil {
		v1 = false
		file, frozen, thawed = filepath.Join(cgroup, "cgroup.freeze"), "1", "0"
	}
	set := func(state string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(state), 0); err != nil {
			t.Fatal(err)
		}
	}
	set(frozen)
	t.Cleanup(func() { os.WriteFile(file, []byte(thawed), 0) })
	if v1 {
		await(t, func() bool {
			text, err := os.ReadFile(file)
			return err == nil && strings.TrimSpace(string(text)) == frozen
		})
	}
	begin := time.Now()
	r := collect(t, t.Context(), Request{Targets: []string{c.ref, good.ref}})
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	if v1 && (len(r.problems) != 1 || r.problems[0].Code != wire.CodeFrozen || r.problems[0].Target != c.ref) || !v1 && len(r.problems) != 0 {
		t.Errorf("problems %v", r.problems)
	}
	if len(r.states) != 2 || r.states[0].FilterCount != 1 || (r.states[0].Stack == wire.NoStack) != v1 || r.states[1].Stack == wire.NoStack {
		t.Errorf("states %+v", r.states)
	}
	set(thawed)
	if _, err := c.in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	// It reads its input and ends: nothing holds it.
	await(t, func() bool {
		thread, err := proc.Host.Thread(c.pid, c.pid)
		return err != nil || thread.Dead()
	})
	good.unharmed(t, false)
}

// await waits for what there is no event for.
func await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// cgroup returns the name of the container's cgroup.
func (c container) cgroup(t *testing.T) string {
	t.Helper()
	matches, err := filepath.Glob(filepath.Join(cgroupMount(t), "kubepods-test-*", "cri-containerd-"+strings.TrimPrefix(c.ref, "containerd://")+".scope"))
	if err != nil || len(matches) != 1 {
		t.Fatalf("cgroups of %s: %v, %v", c.ref, matches, err)
	}
	return matches[0]
}
