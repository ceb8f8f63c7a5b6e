package bpf

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
)

// The kernel is asked through a child: this test binary again, with the name of
// a file in jobVariable that holds a job. The answer goes to a file beside it.
const jobVariable = "BPF_TEST_JOB"

// A job is one of three: install Stack and make Calls; install Stack and make
// the one call that is to be the Last; have each of Judge judged.
type job struct {
	Stack []Filter
	Calls []call
	Last  *call
	Judge []Filter
}

type call struct {
	NR   uint32
	Args [6]uint64
}

type answer struct {
	Error   string // the job could not be done
	Results []result
	Last    string   // what became of the caller: "returned", or "thread" if only its thread died
	Judged  []string // of as many of Judge as may be installed at once: "" or the kernel's error
}

// result is what a call returned: R if Errno is 0.
type result struct {
	R     uint64
	Errno syscall.Errno
}

// event is what a tracer sees of a call: SECCOMP_RET_TRACE or SECCOMP_RET_TRAP
// and its data.
type event struct {
	Action Action
	Data   uint16
}

// A filter holds for the thread that installs it, and a child's calls are made
// by its first thread, which is the one that is traced.
func init() {
	if os.Getenv(jobVariable) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	path := os.Getenv(jobVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	var j job
	if err := readGob(path, &j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	a := j.do()
	if err := writeGob(path+".answer", a); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(0)
}

func readGob(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return gob.NewDecoder(f).Decode(v)
}

func writeGob(path string, v any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return gob.NewEncoder(f).Encode(v)
}

// do is what the child does.
func (j *job) do() (a answer) {
	var err error
	// Whoever dies of SIGSYS leaves no core.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return answer{Error: err.Error()}
	}
	switch {
	case j.Judge != nil:
		a.Judged, err = judge(j.Judge)
	case j.Last != nil:
		a.Last, err = last(j.Stack, *j.Last)
	default:
		if err = install(j.Stack); err != nil {
			break
		}
		a.Results = make([]result, len(j.Calls))
		for i, c := range j.Calls {
			a.Results[i] = c.make()
		}
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

func (c call) make() result {
	r, _, errno := unix.RawSyscall6(uintptr(c.NR), uintptr(c.Args[0]), uintptr(c.Args[1]), uintptr(c.Args[2]),
		uintptr(c.Args[3]), uintptr(c.Args[4]), uintptr(c.Args[5]))
	if maxErrno := uintptr(MaxErrno); r == -maxErrno && errno == 0 {
		return result{0, MaxErrno} // for Go the highest errno is one less
	}
	return result{uint64(r), errno}
}

// install puts the filters on the calling thread, oldest first.
func install(stack []Filter) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	for i, f := range stack {
		if errno := setFilter(f, 0); errno != 0 {
			return fmt.Errorf("install filter %d: %w", i, errno)
		}
	}
	return nil
}

func setFilter(f Filter, flags uintptr) syscall.Errno {
	raw := f.Encode(binary.NativeEndian)
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(raw)))}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(raw)
	return errno
}

// judge offers programs to the kernel without ever having one act. They are to
// hold for all threads, which cannot be, since another thread has a filter of
// its own already; of a program that passes the checks the kernel says ESRCH,
// and drops it. What is offered is limited as kerneltest has it.
func judge(progs []Filter) (errs []string, err error) {
	ready, done := make(chan error), make(chan struct{})
	defer close(done)
	go func() {
		runtime.LockOSThread()
		ready <- install([]Filter{{stmt(RetK, uint32(Allow))}})
		<-done
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, err
	}
	installed, refused := 1, 0
	for _, f := range progs {
		if installed >= judgedInstalled || refused >= judgedRefused {
			break
		}
		switch errno := setFilter(f, unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH); errno {
		case unix.ESRCH:
			installed++
			errs = append(errs, "")
		case 0:
			return nil, errors.New("the kernel synchronised threads with different filters")
		default:
			refused++
			errs = append(errs, errno.Error())
		}
	}
	return errs, nil
}

// A child may use up half of the budget by programs that pass and half by such
// that do not.
const (
	judgedInstalled = kerneltest.MaxInstalled / 2
	judgedRefused   = kerneltest.MaxRefused / 2
)

// last makes a call from a thread of its own, so that it can be seen whether
// the thread dies or, by there being no answer, the process.
func last(stack []Filter, c call) (string, error) {
	type thread struct {
		id  int
		err error
	}
	ready, returned := make(chan thread), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		ready <- thread{unix.Gettid(), install(stack)}
		// Not RawSyscall6: the scheduler has to get along without the thread.
		syscall.Syscall6(uintptr(c.NR), uintptr(c.Args[0]), uintptr(c.Args[1]), uintptr(c.Args[2]),
			uintptr(c.Args[3]), uintptr(c.Args[4]), uintptr(c.Args[5]))
		close(returned)
		select {} // keep the thread
	}()
	t := <-ready
	if t.err != nil {
		return "", t.err
	}
	// Nothing tells of the end of a thread, so look for it.
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		select {
		case <-returned:
			return "returned", nil
		case <-time.After(200 * time.Microsecond):
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", t.id)); errors.Is(err, fs.ErrNotExist) {
			return "thread", nil
		}
	}
	return "", errors.New("the call neither returned nor ended the thread")
}

// oracle asks the kernel.
type oracle struct {
	t      *testing.T
	budget *kerneltest.Budget
	path   string
	events []event // of the last child, if it was traced
}

func newOracle(t *testing.T) *oracle {
	return &oracle{t: t, budget: kerneltest.New(t), path: filepath.Join(t.TempDir(), "job")}
}

// ask has a child do j. The answer is nil if the child died of SIGSYS.
func (o *oracle) ask(j job, traced bool) *answer {
	o.t.Helper()
	if j.Judge != nil {
		o.budget.Spend(judgedInstalled, judgedRefused)
	} else {
		o.budget.Spend(len(j.Stack), 0)
	}
	if err := writeGob(o.path, j); err != nil {
		o.t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), jobVariable+"="+o.path)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: traced}
	if traced {
		runtime.LockOSThread() // the tracer is a thread
		defer runtime.UnlockOSThread()
	}
	if err := cmd.Start(); err != nil {
		o.t.Fatalf("start a child that asks the kernel: %v", err)
	}
	var status syscall.WaitStatus
	if traced {
		status, o.events, err = trace(cmd.Process.Pid)
		cmd.Process.Release()
		if err != nil {
			o.t.Fatalf("trace the child that asks the kernel: %v", err)
		}
	} else {
		cmd.Wait() // the status says it all
		status = cmd.ProcessState.Sys().(syscall.WaitStatus)
	}
	if status.Signaled() && status.Signal() == syscall.SIGSYS {
		return nil
	}
	var a answer
	if err := readGob(o.path+".answer", &a); err != nil || status != 0 {
		o.t.Fatalf("child that asks the kernel: wait status %#x: %v", status, err)
	}
	os.Remove(o.path + ".answer")
	if a.Error != "" {
		o.t.Fatalf("child that asks the kernel: %s", a.Error)
	}
	return &a
}

// trace lets a child that has stopped at its execve run to its end.
func trace(pid int) (status syscall.WaitStatus, events []event, err error) {
	started := false
	for {
		if _, err := syscall.Wait4(pid, &status, unix.WALL, nil); err != nil {
			return status, events, fmt.Errorf("wait: %w", err)
		}
		if status.Exited() || status.Signaled() {
			return status, events, nil
		}
		deliver := 0
		switch sig := status.StopSignal(); {
		case sig == syscall.SIGTRAP && status.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
			data, err := unix.PtraceGetEventMsg(pid)
			if err != nil {
				return status, events, fmt.Errorf("get the event's data: %w", err)
			}
			events = append(events, event{Trace, uint16(data)})
		case sig == syscall.SIGTRAP && !started:
			started = true
			const options = unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_EXITKILL
			if err := unix.PtraceSetOptions(pid, options); err != nil {
				return status, events, fmt.Errorf("set options: %w", err)
			}
		case sig == syscall.SIGSYS:
			// si_errno follows si_signo, except on mips; the union has room.
			var info [32]int32
			if _, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_GETSIGINFO, uintptr(pid), 0,
				uintptr(unsafe.Pointer(&info)), 0, 0); errno != 0 {
				return status, events, fmt.Errorf("get the signal's siginfo: %w", errno)
			}
			events = append(events, event{Trap, uint16(info[1])})
		default:
			deliver = int(sig)
		}
		if err := syscall.PtraceCont(pid, deliver); err != nil {
			return status, events, fmt.Errorf("continue: %w", err)
		}
	}
}
