//go:build linux

package ptrace

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// The C programs of testdata, compiled.
var targetProgram, bareProgram string

func TestMain(m *testing.M) {
	if spec := os.Getenv(tracerEnv); spec != "" {
		traceUntilKilled(spec)
	}
	os.Exit(func() int {
		if os.Getuid() != 0 {
			fmt.Fprintln(os.Stderr, "these tests trace processes and read their seccomp filters: run them as root")
			return 1
		}
		dir, err := os.MkdirTemp("", "ptrace")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if targetProgram, err = cprogram.Build(dir, "testdata/target.c"); err == nil {
			bareProgram, err = cprogram.Build(dir, "testdata/bare.c")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// target is a running testdata/target.c.
type target struct {
	t   testing.TB
	pid int
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs testdata/target.c until it is ready. installs is how many filters
// that is in all.
func start(t testing.TB, budget *kerneltest.Budget, installs, filters int, mode string) *target {
	t.Helper()
	budget.Spend(installs, 0)
	p := &target{t: t, cmd: exec.Command(targetProgram, strconv.Itoa(filters), mode)}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid = p.cmd.Process.Pid
	t.Cleanup(func() {
		// What is about to be killed may have children, which share its pipes.
		p.cmd.Process.Kill()
		p.in.Close()
		p.cmd.Wait()
	})
	if line, err := p.out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("target %s: said %q, %v", mode, line, err)
	}
	return p
}

// finish ends the target and returns how many of its calls were interrupted.
func (p *target) finish() int {
	p.t.Helper()
	if _, err := p.in.Write([]byte("\n")); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("target ended without a word: %v", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "eintr ")))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("target: %v", err)
	}
	return n
}

// thread returns what /proc says of a thread of the target.
func (p *target) thread(tid int) proc.Thread {
	p.t.Helper()
	thread, err := proc.Host.Thread(p.pid, tid)
	if err != nil {
		p.t.Fatal(err)
	}
	return thread
}

// tids returns the target's threads in the order in which it made them.
func (p *target) tids() []int {
	p.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var tids []int
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			p.t.Fatal(err)
		}
		tids = append(tids, tid)
	}
	return tids
}

// free checks that a thread is neither traced nor stopped.
func (p *target) free(tid int) {
	p.t.Helper()
	thread := p.thread(tid)
	if thread.Tracer != 0 || thread.State == 't' || thread.State == 'T' {
		p.t.Fatalf("thread %d is left in state %c, traced by %d", tid, thread.State, thread.Tracer)
	}
}

// bareDump returns the filters of a thread as the C program reads them.
func bareDump(t testing.TB, tid int) [][]byte {
	t.Helper()
	out, err := exec.Command(bareProgram, "dump", strconv.Itoa(tid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var filters [][]byte
	for line := range bytes.Lines(out) {
		var raw []byte
		if _, err := fmt.Sscanf(string(line), "%x", &raw); err != nil {
			t.Fatal(err)
		}
		filters = append(filters, raw)
	}
	return filters
}

// signal sends a signal to a thread of the target.
func (p *target) signal(tid int, sig unix.Signal) {
	p.t.Helper()
	if err := unix.Tgkill(p.pid, tid, sig); err != nil {
		p.t.Fatal(err)
	}
}
