package ptrace

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Tracer reads threads one at a time. Its methods are for one goroutine.
type Tracer struct {
	fs      proc.FS
	timeout time.Duration
	buf     *buffer // nil while a worker that was given up may still write to it
	worker  *worker // nil before the first Read and after one whose thread ended
}

// New returns a tracer that waits for the time given for a thread to stop.
func New(fs proc.FS, timeout time.Duration) (*Tracer, error) {
	if err := prepareSignals(); err != nil {
		return nil, err
	}
	return &Tracer{fs: fs, timeout: timeout}, nil
}

// Close ends the tracer's OS thread. It holds nothing by then.
func (t *Tracer) Close() {
	if t.worker != nil {
		close(t.worker.calls)
		<-t.worker.done
		t.worker = nil
	}
}

// Read stops a thread, copies its filters and lets it go. What it returns are all
// filters of the thread that was looked up in the FS, or it says that the thread
// changed since. When it returns, nothing of the thread is held any more.
//
// Its errors are *wire.Problem, whose Target is for the caller to fill in; or
// the context's.
func (t *Tracer) Read(ctx context.Context, thread proc.Thread) (*Reading, error) {
	// A main thread that has ended while another executes a program refuses to be
	// seized, as all dead threads do, and by the time one looks that other is the
	// main thread, alive and well. A refusal for lack of permission is one that
	// stands.
	const refusals = 8
	for i := 1; ; i++ {
		reading, err := t.try(ctx, thread)
		var p *wire.Problem
		if i == refusals || !errors.As(err, &p) || p.Code != wire.CodePermission || p.Op != stepSeize.String() {
			return reading, err
		}
	}
}

func (t *Tracer) try(ctx context.Context, thread proc.Thread) (*Reading, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if t.worker == nil {
		if t.buf == nil {
			t.buf = newBuffer()
		}
		w, err := startWorker(t.fs, t.buf)
		if err != nil {
			return nil, err
		}
		t.worker = w
	}
	c := call{ctx: ctx, thread: thread, deadline: time.Now().Add(t.timeout), reply: make(chan outcome, 1)}
	t.worker.calls <- c

	// The worker keeps the deadline by itself where it can: everywhere but in
	// PTRACE_SEIZE, and in what it reads right after that, which wait for as long
	// as the thread's process is in an execve, and no signal takes them out of
	// there. Then the worker is left
	// behind. It detaches, by ending, when it gets out.
	grace := time.NewTimer(t.timeout + time.Second)
	defer grace.Stop()
	select {
	case out := <-c.reply:
		return t.conclude(ctx, thread, out)
	case <-grace.C:
		t.worker.abandoned.Store(true)
		t.worker, t.buf = nil, nil
		return nil, diagnose(t.fs, thread, outcome{step: stepSeize, timedOut: true})
	}
}

// conclude makes a reading or an error of what came of a call.
func (t *Tracer) conclude(ctx context.Context, thread proc.Thread, out outcome) (*Reading, error) {
	if out.held {
		<-t.worker.done
		awaitExit(t.worker.tid)
		t.worker = nil
	}
	switch {
	case out.canceled:
		return nil, ctx.Err()
	case out.step != stepDone:
		return nil, diagnose(t.fs, thread, out)
	}
	reading := t.buf.reading(out)
	if thread.Filters == proc.Unknown {
		return reading, nil
	}
	// As many were read as the thread had when it was looked up. Filters are
	// never removed: if that is how many it has now, it is how many it had then.
	now, err := t.fs.Thread(thread.PID, thread.TID)
	if err != nil || now.Start != thread.Start || now.Filters != thread.Filters {
		return nil, diagnose(t.fs, thread, outcome{step: stepGetFilter, errno: unix.ESRCH})
	}
	return reading, nil
}

// awaitExit waits until one of this process' threads is gone, which is when the
// kernel has detached what it traced. Go has no event for it. It is a matter of
// microseconds; should it not be, there is nothing better to do than go on.
func awaitExit(tid int) {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(20 * time.Microsecond) {
		if unix.Tgkill(unix.Getpid(), tid, 0) == unix.ESRCH {
			return
		}
	}
}

// onOwnThread runs f on a goroutine that is wired to an OS thread, which is not
// the process' main thread: a wired goroutine that ends takes its thread along,
// except for that one, which Go only parks. If f returns false the thread ends.
func onOwnThread(f func() bool) {
	var started sync.WaitGroup
	started.Add(1)
	var start func(first bool)
	start = func(first bool) {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// Hold the main thread until the next try has another.
			go start(false)
			started.Wait()
			runtime.UnlockOSThread()
			return
		}
		started.Done()
		if f() {
			runtime.UnlockOSThread()
		}
	}
	go start(true)
}
