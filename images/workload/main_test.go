//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
)

// asWorkload makes the test binary run as the program itself, in children.
const asWorkload = "KUBECTL_SECCOMP_AS_WORKLOAD"

func TestMain(m *testing.M) {
	if os.Getenv(asWorkload) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen at once.
const patience = 20 * time.Second

// process is the program as a child of the test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
}

// start runs the program and returns when it is ready.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), asWorkload+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, lines: make(chan string)}
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range p.lines {
		}
		cmd.Wait()
	})
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	p.expect("ready")
	return p
}

// expect takes the next line that the program prints.
func (p *process) expect(want string) {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("the program ended before it printed %q", want)
		}
		if line != want {
			p.t.Fatalf("the program printed %q, want %q", line, want)
		}
	case <-time.After(patience):
		p.t.Fatalf("the program did not print %q within %s", want, patience)
	}
}

// end sends SIGTERM and wants the program to print lines and exit with 0.
func (p *process) end(lines ...string) {
	p.t.Helper()
	p.signal(unix.SIGTERM)
	p.finish(lines...)
}

func (p *process) finish(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		p.expect(line)
	}
	select {
	case line, more := <-p.lines:
		if more {
			p.t.Fatalf("the program printed %q, want it to end", line)
		}
	case <-time.After(patience):
		p.t.Fatalf("the program did not end within %s", patience)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("the program ended: %v", err)
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// filters returns how many filters each thread has, by comm. The threads of the
// Go runtime share the comm of the main thread.
func (p *process) filters() map[string][]int {
	p.t.Helper()
	counts := make(map[string][]int)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, path := range tasks {
		status, err := os.ReadFile(path)
		if err != nil {
			p.t.Fatal(err)
		}
		n, err := strconv.Atoi(field(status, "Seccomp_filters"))
		if err != nil {
			p.t.Fatal(err)
		}
		counts[field(status, "Name")] = append(counts[field(status, "Name")], n)
	}
	return counts
}

// field returns a line's value from /proc/PID/status.
func field(status []byte, name string) string {
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// ownFilters is how many filters this test itself lives under.
func ownFilters(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(field(status, "Seccomp_filters"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// comm is that of the program's main thread: the name it was executed by.
const comm = "exe"

func TestFiltersInstalled(t *testing.T) {
	budget := kerneltest.New(t)
	base := ownFilters(t)
	for _, test := range []struct {
		args   []string
		main   int // filters on the main thread and those of the Go runtime
		single []string
		total  int
	}{
		{args: []string{"sleep"}},
		{args: []string{"stack"}, main: 3, total: 3},
		{args: []string{"stack", "-n", "32"}, main: 32, total: 32},
		{args: []string{"args"}, main: 1, total: 1},
		{args: []string{"threads"}, single: []string{"one-more"}, total: 1},
		{args: []string{"threads", "-same-count"}, single: []string{"left", "right"}, total: 2},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			budget.Spend(test.total, 0)
			p := start(t, test.args...)
			counts := p.filters()
			if len(counts[comm]) < 2 {
				t.Errorf("%d threads named %q, want the main thread and the Go runtime's", len(counts[comm]), comm)
			}
			for _, n := range counts[comm] {
				if n != base+test.main {
					t.Errorf("threads named %q have %v filters, want %d each", comm, counts[comm], base+test.main)
					break
				}
			}
			delete(counts, comm)
			for _, name := range test.single {
				if got := counts[name]; len(got) != 1 || got[0] != base+1 {
					t.Errorf("threads named %q have %v filters, want one with %d", name, got, base+1)
				}
				delete(counts, name)
			}
			if len(counts) > 0 {
				t.Errorf("other threads: %v", counts)
			}
			p.end()
		})
	}
}

// TestBlocking stops and continues the program a number of times. signal(7)
// lists which calls the kernel ends with EINTR then.
func TestBlocking(t *testing.T) {
	const stops = 20
	for _, test := range []struct {
		behaviour string
		calls     []uintptr
		eintr     bool
	}{
		{"epoll", epollCalls, true},
		{"futex", []uintptr{unix.SYS_FUTEX}, false},
		{"read", []uintptr{unix.SYS_READ}, false},
	} {
		t.Run(test.behaviour, func(t *testing.T) {
			p := start(t, test.behaviour)
			total := 0
			for range stops {
				p.awaitBlocked(test.calls)
				p.signal(unix.SIGSTOP)
				var status unix.WaitStatus
				if _, err := unix.Wait4(p.cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
					t.Fatalf("wait for the stop: status %#x, %v", status, err)
				}
				p.signal(unix.SIGCONT)
				if test.eintr {
					total++
					p.expect(fmt.Sprint("eintr ", total))
				}
				// Signals to the process are no interruption.
				p.signal(unix.SIGURG)
				p.signal(unix.SIGWINCH)
			}
			p.awaitBlocked(test.calls)
			p.end(fmt.Sprint("total eintr ", total))
		})
	}
}

// epollCalls are the numbers of epoll_wait, if there is one, and epoll_pwait.
var epollCalls = func() []uintptr {
	calls := []uintptr{unix.SYS_EPOLL_PWAIT}
	if nr, ok := native.Number("epoll_wait"); ok {
		calls = append(calls, uintptr(nr))
	}
	return calls
}()

// awaitBlocked returns when the main thread sleeps in one of the calls. There
// is no event for that.
func (p *process) awaitBlocked(calls []uintptr) {
	p.t.Helper()
	task := fmt.Sprintf("/proc/%d/task/%[1]d", p.cmd.Process.Pid)
	var stat, call []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var err error
		if stat, err = os.ReadFile(task + "/stat"); err != nil {
			p.t.Fatal(err)
		}
		if call, err = os.ReadFile(task + "/syscall"); err != nil {
			p.t.Fatal(err)
		}
		for _, nr := range calls {
			if bytes.Contains(stat, []byte(") S ")) && bytes.HasPrefix(call, fmt.Appendf(nil, "%d ", nr)) {
				return
			}
		}
	}
	p.t.Fatalf("the main thread does not block in system call %v: %s%s", calls, stat, call)
}

func TestFork(t *testing.T) {
	p := start(t, "fork", "-children", "3", "-life", "50ms")
	children := fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid)
	seen := make(map[string]bool)
	for deadline := time.Now().Add(patience); len(seen) < 12; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d children seen within %s, want 12", len(seen), patience)
		}
		list, err := os.ReadFile(children)
		if err != nil {
			t.Fatal(err)
		}
		pids := strings.Fields(string(list))
		if len(pids) > 3 {
			t.Fatalf("%d children at once, want 3 at most", len(pids))
		}
		for _, pid := range pids {
			seen[pid] = true
		}
	}
	p.end()
	for pid := range seen {
		status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
		if err == nil && field(status, "Name") == comm && field(status, "PPid") == "1" {
			t.Errorf("child %s outlives the program", pid)
		}
	}
}

func TestForkKilled(t *testing.T) {
	p := start(t, "fork", "-children", "1", "-life", "1h")
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(list)))
	if err != nil {
		t.Fatal(err)
	}
	child, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(child)
	p.signal(unix.SIGKILL)
	poll := []unix.PollFd{{Fd: int32(child), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, int(patience.Milliseconds()))
	for err == unix.EINTR {
		n, err = unix.Poll(poll, int(patience.Milliseconds()))
	}
	if n != 1 || err != nil {
		t.Errorf("the child of a killed program lives on (%d, %v)", n, err)
	}
}

func TestExit(t *testing.T) {
	start(t, "exit", "-after", "1ms").finish()
	start(t, "exit", "-after", "1h").end()
}

func TestBadArguments(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "no behaviour"},
		{"dance", `unknown behaviour "dance"`},
		{"sleep well", `sleep: unexpected argument "well"`},
		{"sleep -n 1", "sleep: flag provided but not defined: -n"},
		{"stack -n 0", "stack: -n 0: want 1 to 32"},
		{"stack -n 33", "stack: -n 33: want 1 to 32"},
		{"fork -children 17", "fork: -children 17: want 1 to 16"},
		{"fork -life 1ms", "fork: -life 1ms: want 50ms or more"},
		{"exit -after soon", "exit: invalid value"},
	} {
		cmd := exec.Command("/proc/self/exe", strings.Fields(test.args)...)
		cmd.Env = append(os.Environ(), asWorkload+"=1")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.HasPrefix(stderr.String(), "workload: "+test.want) {
			t.Errorf("%q: exit code %d, %q; want 2, %q", test.args, code, stderr.String(), test.want)
		}
	}
}
