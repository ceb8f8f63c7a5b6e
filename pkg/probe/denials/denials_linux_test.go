package denials

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestObjects holds the objects against the sources that they say they are of.
func TestObjects(t *testing.T) {
	h := sha256.New()
	for _, name := range []string{"../tracing/containers.h", "program/denials.c"} {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(source)
	}
	want := hex.EncodeToString(h.Sum(nil))
	for name, object := range map[string][]byte{"denials_bpfel.o": littleEndian, "denials_bpfeb.o": bigEndian} {
		f, err := elf.NewFile(bytes.NewReader(object))
		if err != nil {
			t.Fatal(err)
		}
		section := f.Section("source")
		if section == nil {
			t.Fatalf("%s does not say what it was compiled from", name)
		}
		text, err := section.Data()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimRight(string(text), "\x00"); got != want {
			t.Errorf("%s is not compiled from denials.c: run `make generate`", name)
		}
	}
}

// caller is a process in a container's cgroup.
type caller struct {
	t   *testing.T
	id  string
	cmd *exec.Cmd
	in  io.Writer
	out io.Reader
}

var build struct {
	sync.Once
	dir, path string
	err       error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
	os.Exit(code)
}

// start starts a caller in a container of its own.
func start(t *testing.T) *caller {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("these tests load BPF programs and make cgroups: run them as root")
	}
	build.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "denials"); build.err == nil {
			build.path, build.err = cprogram.Build(build.dir, "testdata/caller.c")
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	var b [32]byte
	rand.Read(b[:])
	c := &caller{t: t, id: hex.EncodeToString(b[:]), cmd: exec.Command(build.path)}
	dir := ""
	for _, hierarchy := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(hierarchy, "cgroup.procs")); err == nil && dir == "" {
			dir = filepath.Join(hierarchy, c.id)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.cmd.Wait()
		if err := unix.Rmdir(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(c.cmd.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	c.do("-") // a letter without a meaning: it has been through main once
	return c
}

func (c *caller) ref() string { return "containerd://" + c.id }

// do has a caller do what the letters say.
func (c *caller) do(letters string) {
	c.t.Helper()
	for _, l := range letters {
		if _, err := fmt.Fprintf(c.in, "%c", l); err != nil {
			c.t.Fatal(err)
		}
		var b [1]byte
		if _, err := io.ReadFull(c.out, b[:]); err != nil || rune(b[0]) != l {
			c.t.Fatalf("%c: the caller says %q, %v", l, b, err)
		}
	}
}

// stream keeps what is written, and says when the looking begins.
type stream struct {
	mu       sync.Mutex
	messages []wire.Message
	began    chan struct{}
}

func (s *stream) Write(m wire.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
	if _, ok := m.(*wire.Began); ok {
		close(s.began)
	}
	return nil
}

// seen is what was told of.
type seen struct {
	t        *testing.T
	filters  []bpf.Filter
	stacks   []bpf.Stack
	logs     [][]wire.Log
	denials  []*wire.Denial
	denied   map[string]*wire.Denied
	problems []*wire.Problem
}

// observe looks at callers while they do something.
func observe(t *testing.T, do func(), callers ...*caller) *seen {
	t.Helper()
	req := Request{Duration: time.Minute}
	for _, c := range callers {
		req.Targets = append(req.Targets, c.ref())
	}
	s := &stream{began: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, req, &Known{Sink: s}) }()
	select {
	case <-s.began:
	case err := <-done:
		for _, m := range s.messages {
			t.Logf("%+v", m)
		}
		t.Fatalf("it did not begin: %v", err)
	}
	do()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	out := &seen{t: t, denied: make(map[string]*wire.Denied)}
	for _, m := range s.messages {
		switch m := m.(type) {
		case *wire.Filter:
			raw, err := m.Raw()
			if err != nil {
				t.Fatal(err)
			}
			f, err := bpf.Decode(raw, native().ByteOrder())
			if err != nil {
				t.Fatal(err)
			}
			out.filters = append(out.filters, f)
		case *wire.Stack:
			var stack bpf.Stack
			for _, id := range m.Filters {
				stack = append(stack, out.filters[id])
			}
			out.stacks = append(out.stacks, stack)
			out.logs = append(out.logs, m.Log)
		case *wire.Denial:
			out.denials = append(out.denials, m)
		case *wire.Denied:
			out.denied[m.Target] = m
		case *wire.Problem:
			out.problems = append(out.problems, m)
		}
	}
	for _, p := range out.problems {
		t.Errorf("problem: %v", p)
	}
	for target, d := range out.denied {
		if d.LostCalls+d.LostRuns+d.LostStacks > 0 {
			t.Errorf("%s: lost %+v", target, d)
		}
	}
	return out
}

func native() syscalls.ABI { return syscalls.OfMachine(runtime.GOARCH)[0] }

// list writes what a target was refused in a form to compare.
func (s *seen) list(c *caller) (list []string) {
	for _, d := range s.denials {
		if d.Target != c.ref() {
			continue
		}
		abi, err := syscalls.ParseABI(d.ABI)
		if err != nil {
			s.t.Fatal(err)
		}
		name, _ := abi.Name(d.NR)
		by := "filters unknown"
		if d.Stack != wire.NoStack {
			run := s.stacks[d.Stack].Run(&bpf.Data{NR: d.NR, Arch: abi.AuditArch(), IP: d.IP, Args: d.Args}, abi.ByteOrder())
			by = fmt.Sprintf("%s by filter %d of %d, instruction %d", run.Ret.Format(abi), run.Filter+1, len(s.stacks[d.Stack]), run.PC)
		}
		text := fmt.Sprintf("%s %s %s", d.ABI, name, d.How)
		if d.How == wire.HowReturned {
			text += fmt.Sprintf(" %d", d.Return)
		}
		list = append(list, text+": "+by)
	}
	return list
}

func (s *seen) diff(c *caller, want string) {
	s.t.Helper()
	if got := strings.Join(s.list(c), "\n"); got != strings.TrimSpace(want) {
		s.t.Errorf("told of\n%s\nwant\n%s", got, strings.TrimSpace(want))
	}
}

// TestActions has a caller make a call for each action, and others beside, some of
// which fail by the kernel's own checks.
func TestActions(t *testing.T) {
	kerneltest.New(t).Spend(8, 0)
	c, beside := start(t), start(t)
	s := observe(t, func() {
		c.do("ekf") // nothing is refused yet, and setsid fails
		beside.do("fe")
		c.do("ek0pt")
		c.do("PT1rlu")
		c.do("so")
		c.do("et")
	}, c)
	s.diff(c, `
amd64 getpgid returned -1: ERRNO(EPERM) by filter 1 of 1, instruction 2
amd64 getgroups returned 0: ERRNO(0) by filter 1 of 1, instruction 16
amd64 personality returned -13: ERRNO(EACCES) by filter 1 of 1, instruction 20
amd64 getsid signal: TRAP(7) by filter 1 of 1, instruction 4
amd64 getpriority signal: KILL_PROCESS by filter 1 of 1, instruction 6
amd64 getresuid ended: KILL_THREAD by filter 1 of 1, instruction 8
amd64 getresuid signal: KILL_THREAD by filter 1 of 1, instruction 8
amd64 getresgid returned -38: TRACE(3) by filter 1 of 1, instruction 10
amd64 sched_getscheduler began: LOG by filter 1 of 1, instruction 12
amd64 sched_getparam returned -38: USER_NOTIF by filter 1 of 1, instruction 14
amd64 sched_yield signal: KILL_PROCESS by filter 4 of 4, instruction 2
amd64 getpgid returned -2: ERRNO(ENOENT) by filter 2 of 2, instruction 4
amd64 getsid signal: TRAP(7) by filter 1 of 2, instruction 4`)
	if t.Failed() {
		return
	}
	first := s.denials[0]
	if first.Args != [6]uint64{42, 43, 44, 45, 46, 47} || first.PID != c.cmd.Process.Pid || first.TID != first.PID ||
		first.Comm != "caller" || first.Process != "caller" || first.IP == 0 {
		t.Errorf("%+v, want the caller's, with arguments 42 to 47", first)
	}
	if age := time.Since(time.Unix(0, first.TimeNS)); age < 0 || age > time.Minute {
		t.Errorf("it is said to have been %v ago", age)
	}
	killed := s.denials[4]
	if killed.PID == first.PID || killed.TID != killed.PID || killed.Comm != "to be \x1b[31mkill" {
		t.Errorf("%+v, want the child, by its name", killed)
	}
	if thread := s.denials[5]; thread.PID != first.PID || thread.TID == thread.PID {
		t.Errorf("%+v, want another thread of the caller", thread)
	}
	if logs := s.logs[s.denials[10].Stack]; len(logs) != 4 || logs[0] || logs[1] || logs[2] || !logs[3] {
		t.Errorf("filters with flag LOG: %v, want the fourth alone", logs)
	}
}

// TestMediated has calls handed to a supervisor and to a tracer, which let some go on.
func TestMediated(t *testing.T) {
	kerneltest.New(t).Spend(2, 0)
	c := start(t)
	s := observe(t, func() { c.do("UR") }, c)
	s.diff(c, `
amd64 getpgid began: USER_NOTIF by filter 1 of 1, instruction 2
amd64 getpgid returned 4711: USER_NOTIF by filter 1 of 1, instruction 2
amd64 getresgid began: TRACE(5) by filter 1 of 1, instruction 2`)
}

// TestX32 has a call of x32 refused, which shares its architecture with amd64.
func TestX32(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("x32 is of amd64")
	}
	kerneltest.New(t).Spend(1, 0)
	c := start(t)
	observe(t, func() { c.do("x") }, c).diff(c, `x32 getpid returned -38: ERRNO(ENOSYS) by filter 1 of 1, instruction 2`)
}

// TestBefore has a filter installed before anybody looks. The caller is in a read
// then, which comes back without having begun and was not refused.
func TestBefore(t *testing.T) {
	kerneltest.New(t).Spend(2, 0)
	c := start(t)
	c.do("fs")
	s := observe(t, func() { c.do("el") }, c)
	s.diff(c, `
amd64 getpgid returned -2: ERRNO(ENOENT) by filter 2 of 2, instruction 4
amd64 sched_getscheduler began: LOG by filter 1 of 2, instruction 12`)
	if d := s.denied[c.ref()]; d == nil || d.Unclear != 0 {
		t.Errorf("at the end: %+v, want nothing unclear", d)
	}
}

// TestMany has more refused than is told of: the rest is counted.
func TestMany(t *testing.T) {
	kerneltest.New(t).Spend(2, 0)
	c, beside := start(t), start(t)
	s := observe(t, func() {
		c.do("f")
		beside.do("f")
		c.do("E")
		beside.do("e")
	}, c, beside)
	var told, held uint64
	for _, d := range s.denials {
		if d.Target == c.ref() {
			told += 1
			held += d.Held
		}
	}
	d := s.denied[c.ref()]
	if d == nil || len(d.Held) != 1 {
		t.Fatalf("at the end: %+v, want one kind of which calls were counted", d)
	}
	if h := d.Held[0]; h.ABI != native().String() || h.How != wire.HowReturned || h.Result != -1 {
		t.Errorf("%+v, want getpgid with EPERM", h)
	}
	held += d.Held[0].Count
	if told+held != 5000 || told < perSecond || told > 20*perSecond {
		t.Errorf("%d calls told of and %d counted, want 5000, the most of them counted", told, held)
	}
	s.diff(beside, `amd64 getpgid returned -1: ERRNO(EPERM) by filter 1 of 1, instruction 2`)
}

// TestMuch has more going on than is told of, and nothing of it refused: threads that
// come back from calls which began before, and calls of which only others are logged.
func TestMuch(t *testing.T) {
	kerneltest.New(t).Spend(2, 0)
	waiting, logged := start(t), start(t)
	waiting.do("fw")
	logged.do("L")
	s := observe(t, func() {
		waiting.do("W")
		logged.do("E")
	}, waiting, logged)
	s.diff(waiting, "")
	s.diff(logged, "amd64 getpgid began: LOG by filter 1 of 1, instruction 4")
	if d := s.denied[waiting.ref()]; d == nil || len(d.Held) > 0 || d.Unclear > 0 {
		t.Errorf("threads that come back: %+v, want nothing", d)
	}
	if d := s.denied[logged.ref()]; d == nil || len(d.Held) > 0 || d.Unclear < 4500 || d.Unclear >= 5000 {
		t.Errorf("calls that are not logged: %+v, want the most of 5000 unclear", d)
	}
}

// TestVerified has the programs stay far from what a verifier follows at the most, which
// is a million instructions: other kernels follow more of them than this one.
func TestVerified(t *testing.T) {
	kerneltest.New(t)
	w, err := load("")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for _, p := range []*ebpf.Program{w.objects.OnEnter, w.objects.OnExit, w.objects.OnEnd} {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := info.VerifiedInstructions(); ok && n > 500_000 {
			t.Errorf("%s: %d instructions were followed, of a million", info.Name, n)
		}
	}
}

// TestNone has nobody to look at.
func TestNone(t *testing.T) {
	for refs, code := range map[string]string{"x": wire.CodeInvalidTarget} {
		s := &stream{began: make(chan struct{})}
		if err := Run(t.Context(), Request{Targets: []string{refs}, Duration: time.Second}, &Known{Sink: s}); err != nil {
			t.Fatal(err)
		}
		if len(s.messages) != 1 || s.messages[0].(*wire.Problem).Code != code {
			t.Errorf("%s: %v, want problem %s", refs, s.messages, code)
		}
	}
}

// TestRuntime brings a process into a container as runtimes do, under a filter that
// refuses it a call before it executes a program of the container, and after.
func TestRuntime(t *testing.T) {
	kerneltest.New(t).Spend(2, 0)
	c := start(t)
	dir, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	path := "/sys/fs/cgroup/"
	if strings.Contains(string(dir), ":pids:") {
		path += "pids/"
	}
	s := observe(t, func() {
		// In a mount namespace of its own it is a runtime, until it executes a program
		// in that of this process, which is the container's.
		cmd := exec.Command("unshare", "--mount", "sh", "-c", `echo $$ >"$1"; exec "$2"`, "sh", path+c.id+"/cgroup.procs", build.path)
		cmd.Stdin = strings.NewReader("fe")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		c.do("fe")
	}, c)
	s.diff(c, `
amd64 getpgid returned -1: ERRNO(EPERM) by filter 1 of 1, instruction 2
amd64 getpgid returned -1: ERRNO(EPERM) by filter 1 of 1, instruction 2`)
	if len(s.denials) == 2 && (!s.denials[0].Runtime || s.denials[1].Runtime) {
		t.Errorf("the runtime's: %v and %v, want only the first to be", s.denials[0].Runtime, s.denials[1].Runtime)
	}
}
