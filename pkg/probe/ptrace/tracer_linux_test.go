package ptrace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

func newTracer(t testing.TB, timeout time.Duration) *Tracer {
	t.Helper()
	tracer, err := New(proc.Host, timeout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracer.Close)
	return tracer
}

// wantProblem checks that an error is a problem with a code.
func wantProblem(t testing.TB, err error, code string) *wire.Problem {
	t.Helper()
	var p *wire.Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v, want a problem", err)
	}
	if p.Code != code {
		t.Fatalf("problem %s: %v, want %s", p.Code, p, code)
	}
	return p
}

// eventually polls until a condition holds: what it waits for is another
// process' doing, for which there is no event.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after 10 seconds: %s", what)
		}
	}
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
	if n := p.finish(); n != 0 {
		t.Errorf("read(2) was interrupted %d times", n)
	}
}

// TestReadUnknownCount reads all filters where the kernel does not say how many
// there are.
func TestReadUnknownCount(t *testing.T) {
	p := start(t, kerneltest.New(t), 3, 3, "read")
	thread := p.thread(p.pid)
	thread.Filters = proc.Unknown
	got, err := newTracer(t, time.Second).Read(t.Context(), thread)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bareDump(t, p.pid), got.Filters); diff != "" {
		t.Error(diff)
	}
}

// TestThreads reads threads of one process that have different filters, or
// equally many that differ.
func TestThreads(t *testing.T) {
	p := start(t, kerneltest.New(t), 4, 1, "threads")
	tracer := newTracer(t, time.Second)
	distinct := make(map[string]int)
	for _, tid := range p.tids() {
		got, err := tracer.Read(t.Context(), p.thread(tid))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(bareDump(t, tid), got.Filters); diff != "" {
			t.Errorf("thread %d:\n%s", tid, diff)
		}
		distinct[fmt.Sprint(got.Filters)]++
		p.free(tid)
	}
	// Of target.c: two threads with the process' filter, three with another
	// one each.
	if len(p.tids()) != 5 || len(distinct) != 4 {
		t.Errorf("%d stacks among %d threads, want 4 among 5", len(distinct), len(p.tids()))
	}
}

// TestThousand stops a thread a thousand times in each of the waits that matter
// and counts how often the thread's own code was told so. Which do is the
// kernel's (signal(7)), and what proc.Wait relies on.
func TestThousand(t *testing.T) {
	stops := kerneltest.Share(1000)
	for _, tt := range []struct {
		mode      string
		sibling   bool // stop the other thread
		interrupt func(n int) bool
	}{
		{"read", false, func(n int) bool { return n == 0 }},
		{"futex", false, func(n int) bool { return n == 0 }},
		{"epoll", false, func(n int) bool { return n > 0 }},
		{"epoll+futex", true, func(n int) bool { return n == 0 }},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			p := start(t, kerneltest.New(t), 2, 2, tt.mode)
			tids := p.tids()
			tid := tids[0]
			if tt.sibling {
				tid = tids[1]
			}
			tracer := newTracer(t, time.Second)
			thread := p.thread(tid)
			var held []time.Duration
			for range stops {
				r, err := tracer.Read(t.Context(), thread)
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Filters) != 2 {
					t.Fatalf("%d filters", len(r.Filters))
				}
				held = append(held, r.Stopped)
			}
			for _, tid := range tids {
				p.free(tid)
			}
			n := p.finish()
			t.Logf("%d stops, held for %v (median): %d EINTR", stops, median(held), n)
			if !tt.interrupt(n) {
				t.Errorf("%d calls were interrupted by %d stops", n, stops)
			}
		})
	}
}

// TestRestartDenied shows what proc.RestartedByNumber is about: a thread whose
// own filters forbid restart_syscall has its nanosleep fail when it is stopped.
func TestRestartDenied(t *testing.T) {
	p := start(t, kerneltest.New(t), 1, 0, "nanosleep")
	eventually(t, "the target sleeps", func() bool { return proc.Host.Wait(p.thread(p.pid)) == proc.RestartedByNumber })
	if _, err := newTracer(t, time.Second).Read(t.Context(), p.thread(p.pid)); err != nil {
		t.Fatal(err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil || line != "eintr 1\n" {
		t.Errorf("the target said %q, %v", line, err)
	}
}

// TestStopped reads a process that is stopped by SIGSTOP. It stays so.
func TestStopped(t *testing.T) {
	p := start(t, kerneltest.New(t), 1, 1, "read")
	p.signal(p.pid, unix.SIGSTOP)
	stopped := func() bool { return p.thread(p.pid).State == 'T' }
	eventually(t, "the target is stopped", stopped)
	tracer := newTracer(t, time.Second)
	for range kerneltest.Share(100) {
		if r, err := tracer.Read(t.Context(), p.thread(p.pid)); err != nil || len(r.Filters) != 1 {
			t.Fatal(err)
		}
		eventually(t, "the target is stopped again", stopped)
	}
	p.signal(p.pid, unix.SIGCONT)
	if n := p.finish(); n != 0 {
		t.Errorf("read(2) was interrupted %d times", n)
	}
}

// TestSignals sends signals to a thread while it is stopped and resumed. None is
// lost.
func TestSignals(t *testing.T) {
	p := start(t, kerneltest.New(t), 1, 1, "signals")
	tracer := newTracer(t, time.Second)
	pending := func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		if err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(string(status), "\nSigPnd:\t0000000000000000\n")
	}
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				sent <- n
				return
			default:
			}
			// One that is still pending would swallow the next.
			for pending() {
			}
			if err := unix.Tgkill(p.pid, p.pid, unix.SIGUSR1); err != nil {
				t.Error(err)
			}
			n++
		}
	}()
	for range kerneltest.Share(2000) {
		if _, err := tracer.Read(t.Context(), p.thread(p.pid)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	want := <-sent
	for pending() {
	}
	if got := p.finish(); got != want {
		t.Errorf("%d signals sent, %d arrived", want, got)
	}
}

func TestProblems(t *testing.T) {
	budget := kerneltest.New(t)
	tracer := newTracer(t, 300*time.Millisecond)

	t.Run("already traced", func(t *testing.T) {
		p := start(t, budget, 1, 1, "read")
		thread := p.thread(p.pid)
		other := exec.Command(bareProgram, "hold", strconv.Itoa(p.pid))
		in, err := other.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other tracer has it", func() bool { return p.thread(p.pid).Tracer != 0 })
		_, err = tracer.Read(t.Context(), thread)
		problem := wantProblem(t, err, wire.CodeAlreadyTraced)
		want := fmt.Sprintf("ptrace seize thread %d (target): EPERM: already traced by pid %d (bare): ", p.pid, other.Process.Pid)
		if !strings.HasPrefix(problem.Error(), want) {
			t.Errorf("got  %v\nwant %s…", problem, want)
		}
		in.Close()
		if err := other.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := tracer.Read(t.Context(), thread); err != nil {
			t.Errorf("when the other tracer is gone: %v", err)
		}
	})

	t.Run("zombie", func(t *testing.T) {
		p := start(t, budget, 1, 1, "zombie")
		eventually(t, "the main thread ends", func() bool { return p.thread(p.pid).Dead() })
		_, err := tracer.Read(t.Context(), p.thread(p.pid))
		wantProblem(t, err, wire.CodeZombie)
	})

	t.Run("exited", func(t *testing.T) {
		p := start(t, budget, 1, 1, "read")
		thread := p.thread(p.pid)
		p.finish()
		_, err := tracer.Read(t.Context(), thread)
		wantProblem(t, err, wire.CodeExited)
	})

	t.Run("another thread with that TID", func(t *testing.T) {
		p := start(t, budget, 1, 1, "read")
		thread := p.thread(p.pid)
		thread.Start--
		_, err := tracer.Read(t.Context(), thread)
		wantProblem(t, err, wire.CodeExited)
		p.free(p.pid)
	})

	t.Run("more filters than before", func(t *testing.T) {
		p := start(t, budget, 2, 2, "read")
		thread := p.thread(p.pid)
		thread.Filters--
		_, err := tracer.Read(t.Context(), thread)
		wantProblem(t, err, wire.CodeChanged)
		p.free(p.pid)
	})

	t.Run("no filters", func(t *testing.T) {
		p := start(t, budget, 0, 0, "read")
		thread := p.thread(p.pid)
		thread.Filters = 1
		_, err := tracer.Read(t.Context(), thread)
		wantProblem(t, err, wire.CodeChanged)
		p.free(p.pid)
	})

	t.Run("kernel thread", func(t *testing.T) {
		const kthreadd = 2
		thread, err := proc.Host.Thread(kthreadd, kthreadd)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tracer.Read(t.Context(), thread)
		wantProblem(t, err, wire.CodeKernelThread)
	})

	t.Run("vfork parent", func(t *testing.T) {
		p := start(t, budget, 1, 1, "vfork")
		eventually(t, "the target waits for its child", func() bool { return p.thread(p.pid).State == 'D' })
		begin := time.Now()
		_, err := tracer.Read(t.Context(), p.thread(p.pid))
		wantProblem(t, err, wire.CodeUninterrupted)
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("it took %v", d)
		}
		if tracer := p.thread(p.pid).Tracer; tracer != 0 {
			t.Errorf("left traced by %d", tracer)
		}
		// It goes on when its child does.
		if n := p.finish(); n != 0 {
			t.Error(n)
		}
	})

	t.Run("context", func(t *testing.T) {
		p := start(t, budget, 1, 1, "vfork")
		eventually(t, "the target waits for its child", func() bool { return p.thread(p.pid).State == 'D' })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := tracer.Read(ctx, p.thread(p.pid)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if tracer := p.thread(p.pid).Tracer; tracer != 0 {
			t.Errorf("left traced by %d", tracer)
		}
	})
}

// TestExits reads children that come and go as fast as they can.
func TestExits(t *testing.T) {
	p := start(t, kerneltest.New(t), 1, 1, "forks")
	tracer := newTracer(t, time.Second)
	outcomes := make(map[string]int)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.pid, p.pid))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
		if err != nil {
			continue
		}
		thread, err := proc.Host.Thread(pid, pid)
		if err != nil {
			continue
		}
		outcomes[outcomeOf(t, tracer, thread, 1)]++
	}
	t.Logf("%v", outcomes)
	if outcomes["read"] == 0 || outcomes[wire.CodeExited]+outcomes[wire.CodeZombie] == 0 {
		t.Error("want some that were read and some that ended")
	}
	eventually(t, "the parent is free", func() bool { return p.thread(p.pid).Tracer == 0 && p.thread(p.pid).State != 't' })
}

// outcomeOf reads a thread that comes and goes or executes programs, and returns
// "read" or the problem's code, one of those that may be.
func outcomeOf(t *testing.T, tracer *Tracer, thread proc.Thread, filters int) string {
	t.Helper()
	r, err := tracer.Read(t.Context(), thread)
	if err == nil {
		if len(r.Filters) != filters {
			t.Fatalf("%d filters, want %d", len(r.Filters), filters)
		}
		return "read"
	}
	var p *wire.Problem
	if !errors.As(err, &p) {
		t.Fatal(err)
	}
	switch p.Code {
	case wire.CodeExited, wire.CodeZombie, wire.CodeChanged:
	default:
		t.Fatalf("%s: %v", p.Code, p)
	}
	return p.Code
}

// TestExecs reads processes that execute themselves over and over, by their main
// thread or by another, which then has the main thread's TID and the others are
// gone. Each thread is read in turn.
func TestExecs(t *testing.T) {
	for _, mode := range []string{"execs", "thread-execs"} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, kerneltest.New(t), 1, 1, mode)
			tracer := newTracer(t, time.Second)
			outcomes := make(map[string]int)
			longest := time.Duration(0)
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
				for _, tid := range p.tids() {
					thread, err := proc.Host.Thread(p.pid, tid)
					if err != nil {
						continue
					}
					begin := time.Now()
					outcomes[outcomeOf(t, tracer, thread, 1)]++
					longest = max(longest, time.Since(begin))
				}
			}
			t.Logf("%v, longest %v", outcomes, longest)
			if outcomes["read"] == 0 {
				t.Error("none was read")
			}
			// It goes on: every program has its stack at another random address.
			before := startStack(t, p.pid)
			eventually(t, "the target executes itself again", func() bool { return startStack(t, p.pid) != before })
		})
	}
}

// startStack returns the address of the bottom of a process' stack.
func startStack(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	const startStackField = 28 - 2 // the name is the second
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))[startStackField]
}

// tracerEnv makes the test binary a tracer of the thread it names, for
// TestKilled.
const tracerEnv = "PTRACE_TEST_TRACER"

func traceUntilKilled(tid string) {
	n, err := strconv.Atoi(tid)
	if err == nil {
		var thread proc.Thread
		if thread, err = proc.Host.Thread(n, n); err == nil {
			var tracer *Tracer
			if tracer, err = New(proc.Host, time.Second); err == nil {
				// The first takes longer.
				_, err = tracer.Read(context.Background(), thread)
				fmt.Println("ready")
				for err == nil {
					_, err = tracer.Read(context.Background(), thread)
				}
			}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestKilled kills the tracing process at random moments. The target is never
// left stopped.
func TestKilled(t *testing.T) {
	p := start(t, kerneltest.New(t), 2, 2, "read")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kills := kerneltest.Share(120)
	traced := 0
	random := rand.New(rand.NewPCG(1, 2))
	for range kills {
		tracer := exec.Command(self)
		tracer.Env = append(os.Environ(), tracerEnv+"="+strconv.Itoa(p.pid))
		out, err := tracer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := tracer.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("tracer said %q, %v", line, err)
		}
		time.Sleep(time.Duration(random.IntN(20_000)) * time.Microsecond) // the random moment
		if p.thread(p.pid).Tracer != 0 {
			traced++
		}
		if err := tracer.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		tracer.Wait()
		p.free(p.pid)
	}
	t.Logf("%d kills, %d of them while the target was traced", kills, traced)
	if traced == 0 {
		t.Error("no kill came while the target was traced")
	}
	if n := p.finish(); n != 0 {
		t.Errorf("read(2) was interrupted %d times", n)
	}
}

// TestVerifyWaits has verify wait for something that another goroutine does, on
// the one processor that there is. If nothing else could run meanwhile, nobody
// could give the worker up.
func TestVerifyWaits(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	identity, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer identity.Close()
	// It ends the wait should the goroutine not.
	last := exec.Command("sleep", "10")
	last.ExtraFiles = []*os.File{end}
	if err := last.Start(); err != nil {
		t.Fatal(err)
	}
	end.Close()
	go last.Process.Kill()
	w := worker{buf: new(buffer)}
	if errno := w.verify(int(identity.Fd()), 1); errno != unix.ESRCH {
		t.Errorf("verify of nothing: %v", errno)
	}
	if err := last.Wait(); err == nil {
		t.Error("nothing else ran while it waited")
	}
}
