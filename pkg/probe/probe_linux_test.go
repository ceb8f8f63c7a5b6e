package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// targetProgram is ptrace/testdata/target.c, compiled.
var targetProgram string

// joinEnv makes the test binary a process that puts itself into a cgroup, of
// which this is the cgroup.procs, and then executes what its arguments are.
const joinEnv = "PROBE_TEST_JOIN"

func join(procs string) error {
	if err := os.WriteFile(procs, []byte("0"), 0); err != nil {
		return err
	}
	return unix.Exec(os.Args[1], os.Args[1:], nil)
}

func TestMain(m *testing.M) {
	if procs := os.Getenv(joinEnv); procs != "" {
		fmt.Fprintln(os.Stderr, join(procs))
		os.Exit(1)
	}
	os.Exit(func() int {
		if os.Getuid() != 0 {
			fmt.Fprintln(os.Stderr, "these tests make cgroups, trace processes and read their seccomp filters: run them as root")
			return 1
		}
		dir, err := os.MkdirTemp("", "probe")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if targetProgram, err = cprogram.Build(dir, "ptrace/testdata/target.c"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// container is a process in a cgroup of its own that looks like a container's.
type container struct {
	ref string
	pid int
	in  io.WriteCloser
}

var containers int

// start runs target.c in a container until it is ready.
func start(t *testing.T, budget *kerneltest.Budget, installs, filters int, mode string) container {
	t.Helper()
	return startProgram(t, budget, installs, targetProgram, strconv.Itoa(filters), mode)
}

// startProgram runs a program that says when it is ready in a container.
func startProgram(t *testing.T, budget *kerneltest.Budget, installs int, args ...string) container {
	t.Helper()
	containers++
	id := fmt.Sprintf("%032x%032x", os.Getpid(), containers)
	pod := filepath.Join(cgroupMount(t), fmt.Sprintf("kubepods-test-%d-%d", os.Getpid(), containers))
	cgroup := filepath.Join(pod, "cri-containerd-"+id+".scope")
	if err := os.MkdirAll(cgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.Rmdir(cgroup), unix.Rmdir(pod)); err != nil {
			t.Errorf("remove %s: %v", cgroup, err)
		}
	})

	budget.Spend(installs, 0)
	procs := filepath.Join(cgroup, "cgroup.procs")
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), joinEnv+"="+procs)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Children, too, until none is left.
		for end := time.Now().Add(10 * time.Second); ; {
			text, err := os.ReadFile(procs)
			if err != nil || time.Now().After(end) {
				t.Errorf("end what is in %s: %v, %q is left", cgroup, err, text)
				break
			}
			for _, field := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil {
					unix.Kill(pid, unix.SIGKILL)
				}
			}
			if len(text) == 0 {
				break
			}
		}
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q said %q, %v", args, line, err)
	}
	return container{"containerd://" + id, cmd.Process.Pid, in}
}

// cgroupMount returns a cgroup filesystem in which a process can be put in a new
// cgroup without further ado.
func cgroupMount(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		// Not cpuset, where a new cgroup has no processors.
		f := strings.Fields(line)
		if f[2] == "cgroup2" || f[2] == "cgroup" && strings.Contains(","+f[3]+",", ",freezer,") {
			return f[1]
		}
	}
	t.Fatal("no cgroup filesystem is mounted")
	return ""
}

// result is what a run said, checked by a wire.Reader.
type result struct {
	hello    *wire.Hello
	targets  []*wire.Target
	filters  []*wire.Filter
	stacks   []*wire.Stack
	states   []*wire.State
	verdicts []*wire.Verdict
	prints   []*wire.Fingerprint
	problems []*wire.Problem
}

func collect(t *testing.T, ctx context.Context, req Request) (r result) {
	t.Helper()
	var out bytes.Buffer
	w := wire.NewWriter(&out, "test")
	if err := Collect(ctx, req, w); err != nil {
		t.Fatal(err)
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	reader := wire.NewReader(&out, "test")
	for {
		m, err := reader.Next()
		if err == io.EOF {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *wire.Hello:
			r.hello = m
		case *wire.Target:
			r.targets = append(r.targets, m)
		case *wire.Filter:
			r.filters = append(r.filters, m)
		case *wire.Stack:
			r.stacks = append(r.stacks, m)
		case *wire.State:
			r.states = append(r.states, m)
		case *wire.Verdict:
			r.verdicts = append(r.verdicts, m)
		case *wire.Fingerprint:
			r.prints = append(r.prints, m)
		case *wire.Problem:
			r.problems = append(r.problems, m)
		}
	}
}

// noProblems fails the test for each problem.
func (r result) noProblems(t *testing.T) {
	t.Helper()
	for _, p := range r.problems {
		t.Errorf("problem %s: %v", p.Code, p)
	}
}

// program decodes a filter's bytes.
func program(t *testing.T, f *wire.Filter) bpf.Filter {
	t.Helper()
	raw, err := f.Raw()
	if err != nil {
		t.Fatal(err)
	}
	p, err := bpf.Decode(raw, native().ByteOrder())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestStacked collects two containers with the same stacked filters and one
// without any.
func TestStacked(t *testing.T) {
	budget := kerneltest.New(t)
	a, b := start(t, budget, 3, 3, "read"), start(t, budget, 3, 3, "read")
	none := start(t, budget, 0, 0, "read")
	r := collect(t, t.Context(), Request{Version: "v0.0.0-test", Targets: []string{a.ref, b.ref, none.ref}})
	r.noProblems(t)
	if r.hello.Version != "v0.0.0-test" || r.hello.Kernel == "" || r.hello.Machine == "" {
		t.Errorf("hello: %+v", r.hello)
	}
	if len(r.targets) != 3 || len(r.filters) != 3 || len(r.stacks) != 1 || len(r.states) != 3 {
		t.Fatalf("%d targets, %d filters, %d stacks, %d states", len(r.targets), len(r.filters), len(r.stacks), len(r.states))
	}
	for i, c := range []container{a, b, none} {
		got := *r.targets[i]
		// It was started a moment ago, by a clock that ticks every 10 ms.
		if age := time.Since(time.Unix(0, got.StartedNS)); age < 0 || age > time.Minute {
			t.Errorf("target %d: started %v ago", i, age)
		}
		got.StartedNS = 0
		if got != (wire.Target{ID: c.ref, PID: c.pid, Processes: 1, Threads: 1, Comm: "target"}) {
			t.Errorf("target %d: %+v", i, got)
		}
	}
	// Oldest first: of target.c, the i-th installed has 4+i instructions.
	for i, id := range r.stacks[0].Filters {
		if n := len(program(t, r.filters[id])); n != 4+i {
			t.Errorf("filter %d has %d instructions, want %d", i, n, 4+i)
		}
	}
	s := r.states[0]
	if !s.Subject || s.Mode != wire.ModeFilter || s.FilterCount != 3 || s.Stack != 0 || !s.NoNewPrivs || len(s.Read) != 1 || s.Read[0].StoppedNS == 0 {
		t.Errorf("state with filters: %+v", s)
	}
	if s = r.states[2]; !s.Subject || s.Mode != wire.ModeDisabled || s.Stack != wire.NoStack || len(s.Read) != 0 || len(s.Sample) != 1 {
		t.Errorf("state without: %+v", s)
	}
	if s.Capabilities.Effective == 0 || s.Capabilities.Bounding == 0 {
		t.Errorf("capabilities: %+v", s.Capabilities)
	}

	// One verdict for each ABI, and here they say what the filters do.
	if len(r.verdicts) != len(r.hello.ABIs) {
		t.Errorf("%d verdicts for %v", len(r.verdicts), r.hello.ABIs)
	}
	stack := bpf.Stack{}
	for _, id := range r.stacks[0].Filters {
		stack = append(stack, program(t, r.filters[id]))
	}
	for _, v := range r.verdicts {
		if want := survey.Of(stack, v.Survey.ABI); !v.Survey.Equal(want) {
			t.Errorf("verdict: %+v, want %+v", v.Survey, want)
		}
	}

	// And one fingerprint.
	p, err := policy.Of(stack, native().ByteOrder())
	if err != nil {
		t.Fatal(err)
	}
	want, err := p.Fingerprint()
	if err != nil || len(r.prints) != 1 || *r.prints[0] != (wire.Fingerprint{Stack: 0, Fingerprint: want}) {
		t.Errorf("fingerprints %v, want %s, %v", r.prints, want, err)
	}
}

// TestThreadsDiffer collects a process whose threads have different filters: see
// target.c. Reading as few as possible cannot tell the three with two filters
// from each other; reading all can.
func TestThreadsDiffer(t *testing.T) {
	c := start(t, kerneltest.New(t), 4, 1, "threads")
	few := collect(t, t.Context(), Request{Targets: []string{c.ref}})
	few.noProblems(t)
	all := collect(t, t.Context(), Request{Targets: []string{c.ref}, AllThreads: true})
	all.noProblems(t)
	type state struct {
		filters, threads, presumed, read int
		subject                          bool
	}
	states := func(r result) (states []state) {
		for _, s := range r.states {
			states = append(states, state{s.FilterCount, s.Threads, s.Presumed, len(s.Read), s.Subject})
		}
		return states
	}
	if got, want := states(few), []state{{1, 2, 1, 1, true}, {2, 3, 2, 1, false}}; !slices.Equal(got, want) {
		t.Errorf("by default: %+v, want %+v", got, want)
	}
	if got, want := states(all), []state{{1, 2, 0, 2, true}, {2, 1, 0, 1, false}, {2, 1, 0, 1, false}, {2, 1, 0, 1, false}}; !slices.Equal(got, want) {
		t.Errorf("all threads: %+v, want %+v", got, want)
	}
}

// TestPreference collects a process whose main thread is in epoll_wait and
// another in futex: that is the one that is stopped.
func TestPreference(t *testing.T) {
	c := start(t, kerneltest.New(t), 1, 1, "epoll+futex")
	for range kerneltest.Share(20) {
		r := collect(t, t.Context(), Request{Targets: []string{c.ref}})
		r.noProblems(t)
		s := r.states[0]
		if len(r.states) != 1 || !s.Subject || s.Threads != 2 || s.Presumed != 1 || len(s.Read) != 1 || s.Read[0].TID == c.pid {
			t.Fatalf("states: %+v", s)
		}
	}
}

// TestForks collects a container whose init makes children without end.
func TestForks(t *testing.T) {
	c := start(t, kerneltest.New(t), 1, 1, "forks")
	for range kerneltest.Share(20) {
		r := collect(t, t.Context(), Request{Targets: []string{c.ref}})
		if len(r.targets) != 1 || r.targets[0].PID != c.pid || len(r.states) == 0 || !r.states[0].Subject || r.states[0].Stack != 0 {
			t.Fatalf("targets %+v, problems %v", r.targets, r.problems)
		}
	}
}

// TestExecs collects a container that executes itself over and over.
func TestExecs(t *testing.T) {
	c := start(t, kerneltest.New(t), 1, 1, "thread-execs")
	read, runs := 0, kerneltest.Share(50)
	for range runs {
		r := collect(t, t.Context(), Request{Targets: []string{c.ref}})
		if len(r.states) > 0 && r.states[0].Stack == 0 {
			read++
		} else if len(r.problems) == 0 {
			t.Fatalf("neither filters nor a problem: %+v", r)
		}
	}
	t.Logf("read %d of %d times", read, runs)
	if read < runs/2 {
		t.Errorf("read only %d of %d times", read, runs)
	}
}

func TestProblems(t *testing.T) {
	budget := kerneltest.New(t)
	ended := start(t, budget, 0, 0, "read")
	if _, err := ended.in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	stuck := start(t, budget, 1, 1, "vfork")
	good := start(t, budget, 1, 1, "read")
	begin := time.Now()
	r := collect(t, t.Context(), Request{Targets: []string{"docker://short", "containerd://" + strings.Repeat("f", 64), stuck.ref, good.ref, good.ref}})
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	var codes []string
	for _, p := range r.problems {
		codes = append(codes, p.Code)
	}
	if want := []string{wire.CodeInvalidTarget, wire.CodeNotFound, wire.CodeUninterrupted}; !slices.Equal(codes, want) {
		t.Errorf("problems %v, want %v", codes, want)
	}
	if p := r.problems[len(r.problems)-1]; p.Target != stuck.ref || p.PID != stuck.pid {
		t.Errorf("problem of %s, pid %d: %v", p.Target, p.PID, p)
	}
	// What /proc says is there all the same; of the child that it waits for, the
	// filters are.
	if len(r.targets) != 2 || r.targets[0].Processes != 2 {
		t.Fatalf("targets: %+v", r.targets)
	}
	if s := r.states[0]; !s.Subject || s.Mode != wire.ModeFilter || s.FilterCount != 1 || s.Stack != wire.NoStack {
		t.Errorf("state of the thread that does not stop: %+v", s)
	}
	if s := r.states[len(r.states)-1]; s.Target != good.ref || s.Stack == wire.NoStack {
		t.Errorf("state of the container beside it: %+v", s)
	}
}

// TestRestartDenied collects a thread whose sleep fails because it was stopped:
// see ptrace's test of the same name. It is not kept quiet.
func TestRestartDenied(t *testing.T) {
	c := start(t, kerneltest.New(t), 1, 0, "nanosleep")
	for end := time.Now().Add(10 * time.Second); ; {
		// That it sleeps by now is its own doing, for which there is no event.
		thread, err := proc.Host.Thread(c.pid, c.pid)
		if err != nil || time.Now().After(end) {
			t.Fatalf("the target does not come to sleep: %v", err)
		}
		if proc.Host.Wait(thread) == proc.RestartedByNumber {
			break
		}
	}
	r := collect(t, t.Context(), Request{Targets: []string{c.ref}})
	if len(r.problems) != 1 || r.problems[0].Code != wire.CodeRestartDenied {
		t.Errorf("problems %v", r.problems)
	}
	if len(r.states) != 1 || r.states[0].Stack != 0 {
		t.Errorf("states %+v", r.states)
	}
}

// TestLimits has fewer threads looked at than there are.
func TestLimits(t *testing.T) {
	c := start(t, kerneltest.New(t), 4, 1, "threads")
	r := collect(t, t.Context(), Request{Targets: []string{c.ref}, MaxThreads: 2})
	if len(r.problems) != 1 || r.problems[0].Code != wire.CodeTooManyThreads {
		t.Errorf("problems %v", r.problems)
	}
	if len(r.targets) != 1 || r.targets[0].Threads != 2 || !r.states[0].Subject {
		t.Errorf("targets %+v", r.targets)
	}
}

// TestContextEnds ends the context before and while something is read.
func TestContextEnds(t *testing.T) {
	budget := kerneltest.New(t)
	stuck := start(t, budget, 1, 1, "vfork")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	r := collect(t, canceled, Request{Targets: []string{stuck.ref}})
	if len(r.problems) != 1 || r.problems[0].Code != wire.CodeInterrupted {
		t.Errorf("canceled: %v", r.problems)
	}
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r = collect(t, short, Request{Targets: []string{stuck.ref}})
	if len(r.problems) == 0 || r.problems[0].Code != wire.CodeTimeout {
		t.Errorf("timed out: %v", r.problems)
	}
}

// TestSelfCheck reads the confinement of a probe that cannot do its work.
func TestSelfCheck(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, tt := range []struct{ seccomp, caps, want string }{
		{"0", "000001ffffffffff", ""},
		{"2", "000001ffffffffff", wire.CodeProbeConfined},
		{"0", "00000000a80425fb", wire.CodePermission},
	} {
		root := t.TempDir()
		dir := filepath.Join(root, pid, "task", pid)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"stat":   pid + " (probe) R 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 77 9 9\n",
			"status": "CapEff:\t" + tt.caps + "\nSeccomp:\t" + tt.seccomp + "\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		code := ""
		if p := selfCheck(proc.FS(root)); p != nil {
			code = p.Code
		}
		if code != tt.want {
			t.Errorf("seccomp %s, capabilities %s: %q, want %q", tt.seccomp, tt.caps, code, tt.want)
		}
	}
}

// limited is a sink that is full after some messages.
type limited struct {
	room     int
	problems []*wire.Problem
}

func (l *limited) Write(m wire.Message) error {
	if p, ok := m.(*wire.Problem); ok {
		l.problems = append(l.problems, p)
		return nil
	}
	if l.room--; l.room < 0 {
		return fmt.Errorf("write %s: %w", m.Type(), wire.ErrTooLarge)
	}
	return nil
}

// TestOutputFull runs into the end of the output at each message: it is told.
func TestOutputFull(t *testing.T) {
	c := start(t, kerneltest.New(t), 2, 2, "read")
	full := func(room int) int {
		sink := &limited{room: room}
		if err := Collect(t.Context(), Request{Targets: []string{c.ref}}, sink); err != nil {
			t.Fatalf("room for %d: %v", room, err)
		}
		n := 0
		for _, p := range sink.problems {
			if p.Code == wire.CodeOutputFull {
				n++
			}
		}
		return n
	}
	messages := 1 + 2 + 1 + 1 + 1 + len(syscalls.OfMachine(runtime.GOARCH)) // hello, filters, stack, target, state, verdicts
	for room := 1; room < messages; room++ {
		if full(room) == 0 {
			t.Errorf("room for %d: nothing said", room)
		}
	}
	if full(messages) != 0 {
		t.Errorf("room for all: said to be full")
	}
}
