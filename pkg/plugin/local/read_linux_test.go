package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// These tests read processes of this machine: they run as root.

// start runs the C program that package ptrace is tested with, until it is ready,
// and returns its PID.
func start(t *testing.T, budget *kerneltest.Budget, filters int, mode string) int {
	t.Helper()
	program, err := cprogram.Build(t.TempDir(), "../../probe/ptrace/testdata/target.c")
	if err != nil {
		t.Fatal(err)
	}
	budget.Spend(filters, 0)
	cmd := exec.Command(program, strconv.Itoa(filters), mode)
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
		in.Close()
		if mode == "vfork" {
			killChildren(t, cmd.Process.Pid)
		}
		cmd.Process.Kill()
		io.Copy(io.Discard, out)
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("target said %q, %v", line, err)
	}
	return cmd.Process.Pid
}

// killChildren ends those of a process that waits for one in vfork.
func killChildren(t *testing.T, pid int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Error(err)
	}
	for _, child := range strings.Fields(string(text)) {
		n, _ := strconv.Atoi(child)
		if p, err := os.FindProcess(n); err == nil {
			p.Kill()
		}
	}
}

// status is what /proc says of a thread in a field.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("/proc/%d/status has no %s", pid, field)
	return ""
}

func pidRef(pid int) string { return "pid://" + strconv.Itoa(pid) }

// installed is the filter that target.c installs for a mark, in instructions.
func installed(mark int) (f bpf.Filter) {
	for range mark {
		f = append(f, bpf.Instruction{Op: bpf.LdImm, K: 0xabcd0000 + uint32(mark)})
	}
	return append(f,
		bpf.Instruction{Op: bpf.LdAbsW}, bpf.Instruction{Op: bpf.JeqK, K: 0xfff0 + uint32(mark), Jt: 1},
		bpf.Instruction{Op: bpf.RetK, K: uint32(bpf.Allow)}, bpf.Instruction{Op: bpf.RetK, K: uint32(bpf.Errno.With(1))})
}

func TestRead(t *testing.T) {
	budget := kerneltest.New(t)
	two, none := start(t, budget, 2, "futex"), start(t, budget, 0, "futex")
	const absent = 1 << 22 // PID_MAX_LIMIT: no process has it
	r, err := Read(context.Background(), probe.Request{Version: "test", Targets: []string{pidRef(two), pidRef(none), pidRef(absent)}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) > 0 || r.Hello.Version != "test" || r.Hello.Kernel == "" {
		t.Errorf("report: %+v", r)
	}
	subject := func(pid int) *report.State {
		target := r.Targets[pidRef(pid)]
		if target == nil || target.PID != pid || target.Subject() == nil {
			t.Fatalf("pid %d: %+v", pid, target)
		}
		return target.Subject()
	}
	if s := subject(none); s.Mode != wire.ModeDisabled || s.Stack != nil {
		t.Errorf("without filters: %+v", s)
	}
	s := subject(two)
	want := bpf.Stack{installed(0), installed(1)}
	if len(s.Stack) == 2 && slices.Equal(s.Stack[0], installed(1)) {
		want = bpf.Stack{installed(1), installed(2)}
	}
	if !slices.EqualFunc(s.Stack, want, slices.Equal[bpf.Filter]) || s.Read[0].Comm != "target" {
		t.Errorf("with two filters: %+v\nwant %v", s, want)
	}
	missing := r.Targets[pidRef(absent)]
	if missing == nil || len(missing.Problems) != 1 || missing.Problems[0].Code != wire.CodeNotFound || strings.Contains(missing.Problems[0].Error(), "node") {
		t.Errorf("a process that is not there: %+v", missing)
	}
	for _, pid := range []int{two, none} {
		if tracer, state := status(t, pid, "TracerPid"), status(t, pid, "State"); tracer != "0" || state[0] == 't' || state[0] == 'T' {
			t.Errorf("pid %d is left in state %s, traced by %s", pid, state, tracer)
		}
	}
}

// TestReadAll finds what has filters by itself.
func TestReadAll(t *testing.T) {
	pid := start(t, kerneltest.New(t), 1, "read")
	r, err := Read(context.Background(), probe.Request{All: true})
	if err != nil {
		t.Fatal(err)
	}
	// A test may itself run in a container.
	found := false
	for _, target := range r.Targets {
		found = found || target.PID == pid && target.Subject() != nil && len(target.Subject().Stack) >= 1
	}
	if !found {
		t.Errorf("pid %d is not among %d targets", pid, len(r.Targets))
	}
}

// TestReadCanceled ends the context while a thread is waited for that does not
// stop: the thread is let go of before Read returns.
func TestReadCanceled(t *testing.T) {
	pid := start(t, kerneltest.New(t), 1, "vfork")
	for status(t, pid, "State")[0] != 'D' { // it was about to
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("enough")
	type result struct {
		*report.Report
		error
	}
	done := make(chan result)
	go func() {
		r, err := Read(ctx, probe.Request{Targets: []string{pidRef(pid)}})
		done <- result{r, err}
	}()
	var got result
	for ended := false; !ended; {
		select {
		case got = <-done:
			t.Fatalf("Read ended before it was told to: %+v, %v", got.Report, got.error)
		default:
		}
		ended = status(t, pid, "TracerPid") != "0"
	}
	cancel(why)
	if got = <-done; !errors.Is(got.error, why) || got.Report != nil {
		t.Errorf("%+v, %v; want %v", got.Report, got.error, why)
	}
	if tracer := status(t, pid, "TracerPid"); tracer != "0" {
		t.Errorf("pid %d is left traced by %s", pid, tracer)
	}
}

// TestHere has problems speak of this machine.
func TestHere(t *testing.T) {
	for _, p := range []wire.Problem{
		{Code: wire.CodePermission, Op: "check the probe's own confinement", Detail: "it lacks CAP_SYS_PTRACE", Remedy: "run the probe as root, privileged or with these capabilities"},
		{Code: wire.CodePermission, PID: 7, TID: 7, Op: "seize", Detail: "the kernel does not let it be traced", Remedy: "the probe needs CAP_SYS_PTRACE"},
		{Code: wire.CodeProbeConfined, Op: "check the probe's own confinement", Detail: "x", Remedy: "let the probe pod run Unconfined"},
		{Code: wire.CodeNotFound, Target: "pid://7", Op: "find the process", Detail: "no process on this node", Remedy: "hostPID"},
	} {
		here(&p)
		if text := p.Error(); strings.Contains(text, "probe") || strings.Contains(text, "node") || strings.Contains(text, "pod") || p.Remedy == "" {
			t.Errorf("%q is not about this machine", text)
		}
	}
}
