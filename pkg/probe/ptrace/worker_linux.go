package ptrace

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// Requests of ptrace(2) that golang.org/x/sys has no wrapper for on all
// architectures (include/uapi/linux/ptrace.h).
const (
	ptraceSeize       = 0x4206
	ptraceInterrupt   = 0x4207
	ptraceDetach      = 17
	ptraceGetFilter   = 0x420c
	ptraceGetMetadata = 0x420d

	ptraceEventStop = 128

	// For what this thread traces, whatever other children the process has: a
	// traced main thread that gives way to another's execve is gone, and what has
	// its TID then may be a child of this process' own.
	waitTracee = unix.WALL | unix.WNOTHREAD

	// SECCOMP_FILTER_FLAG_LOG (include/uapi/linux/seccomp.h).
	filterFlagLog = 1 << 1
)

// worker is an OS thread that traces. It runs one call after another, and ends
// with the first that leaves a thread held.
type worker struct {
	fs        proc.FS
	tid       int
	calls     chan call
	done      chan struct{} // closed when no call will be run any more
	abandoned atomic.Bool   // nobody waits for the reply: end
	ticker    ticker
	buf       *buffer
}

type call struct {
	ctx      context.Context
	thread   proc.Thread
	deadline time.Time
	reply    chan outcome
}

// step is how far a call came.
type step uint8

const (
	stepSeize step = iota
	stepVerify
	stepInterrupt
	stepWait
	stepGetFilter
	stepDetach
	stepDone
)

func (s step) String() string {
	return [...]string{"ptrace seize", "verify", "ptrace interrupt", "wait for the stop of", "read the filters of", "ptrace detach", "done"}[s]
}

// outcome is what came of a call, in a form that takes no allocation.
type outcome struct {
	step     step          // the one that failed, stepDone if none did
	errno    syscall.Errno // what it failed with
	filters  int           // how many were read
	log      bool          // their log flags were, too
	stopped  time.Duration
	held     bool // the thread is still traced: the worker must end
	exited   bool // the thread was reaped
	timedOut bool
	canceled bool
}

func startWorker(fs proc.FS, buf *buffer) (*worker, error) {
	w := &worker{fs: fs, calls: make(chan call), done: make(chan struct{}), buf: buf}
	ready := make(chan error, 1)
	onOwnThread(func() bool {
		defer close(w.done)
		w.tid = unix.Gettid()
		if err := w.ticker.create(w.tid); err != nil {
			ready <- fmt.Errorf("create a timer: %w", err)
			return true
		}
		defer w.ticker.delete()
		ready <- nil
		for c := range w.calls {
			out := w.read(c)
			c.reply <- out
			if out.held || w.abandoned.Load() {
				return false
			}
		}
		return true
	})
	return w, <-ready
}

// read is the surgery. While the thread is stopped it keeps to raw system calls:
// Go's others tell the scheduler, which may then give the processor away.
func (w *worker) read(c call) (out outcome) {
	tid := c.thread.TID
	identity, err := unix.Open(w.fs.StatFile(c.thread.PID, tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		out.errno = unix.ESRCH
		return out
	}
	defer unix.Close(identity)

	// This one may wait: see Tracer.try.
	if _, _, out.errno = unix.Syscall6(unix.SYS_PTRACE, ptraceSeize, uintptr(tid), 0, 0, 0, 0); out.errno != 0 {
		return out
	}
	// From here on the TID is not given to another until it is reaped by us.
	out.held = true
	out.step = stepVerify
	if out.errno = w.verify(identity, c.thread.Start); out.errno != 0 || w.abandoned.Load() {
		return out
	}
	if out.errno = w.ticker.start(tick); out.errno != 0 {
		return out
	}
	settle()

	out.step = stepInterrupt
	begin := time.Now()
	if _, _, out.errno = unix.RawSyscall6(unix.SYS_PTRACE, ptraceInterrupt, uintptr(tid), 0, 0, 0, 0); out.errno == 0 {
		w.copyStopped(c, &out)
	}
	out.stopped = time.Since(begin)
	w.ticker.start(0)
	return out
}

// verify checks that the thread that is traced is the one that was meant, and
// not a later one with its TID. An open file of a thread's /proc directory is
// that thread's for good.
//
// To read it may take as long as PTRACE_SEIZE, if the thread executes another
// program in between (see package proc), and the thread is not stopped yet: so
// Go's scheduler is told.
func (w *worker) verify(identity int, start uint64) syscall.Errno {
	n, _, errno := unix.Syscall(unix.SYS_READ, uintptr(identity), uintptr(unsafe.Pointer(&w.buf.code)), uintptr(len(w.buf.code)))
	if errno != 0 {
		return errno
	}
	if now, err := proc.ParseStart(w.buf.code[:n]); err != nil || now != start {
		return unix.ESRCH
	}
	return 0
}

// settle lets those of Go's threads that the call woke come to rest, which would
// otherwise compete for a processor with the thread that is to stop: without it
// that thread is held for half as long again.
func settle() {
	// With the kernel's timer slack it is 100 µs.
	pause := unix.NsecToTimespec(int64(50 * time.Microsecond))
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&pause)), 0, 0)
}

// copyStopped waits for the thread to stop, copies and detaches.
func (w *worker) copyStopped(c call, out *outcome) {
	tid := c.thread.TID
	out.step = stepWait
	signal := w.wait(c, out)
	if signal < 0 {
		return
	}
	out.step = stepGetFilter
	errno := w.buf.copyFrom(tid, c.thread.Filters, c.deadline, out)

	if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, ptraceDetach, uintptr(tid), 0, uintptr(signal), 0, 0); e != 0 {
		// Killed while it was stopped.
		out.step, out.errno, out.timedOut = stepDetach, e, false
		return
	}
	out.held = false
	if out.errno = errno; errno == 0 {
		out.step = stepDone
	}
}

// wait waits for the thread to stop and returns the signal to hand on when it
// resumes, 0 for none; or -1 if it does not stop.
func (w *worker) wait(c call, out *outcome) int {
	var status uint32
	for raw := true; ; {
		var pid uintptr
		// A stop takes some 50 µs. Until the first tick the processor is kept;
		// from then on others may have it.
		if raw {
			pid, _, out.errno = unix.RawSyscall6(unix.SYS_WAIT4, uintptr(c.thread.TID), uintptr(unsafe.Pointer(&status)), waitTracee, 0, 0, 0)
		} else {
			pid, _, out.errno = unix.Syscall6(unix.SYS_WAIT4, uintptr(c.thread.TID), uintptr(unsafe.Pointer(&status)), waitTracee, 0, 0, 0)
		}
		switch {
		case out.errno == unix.EINTR:
			raw = false
			if out.canceled = c.ctx.Err() != nil; out.canceled {
				return -1
			}
			if out.timedOut = !time.Now().Before(c.deadline); out.timedOut {
				return -1
			}
			// This changes nothing, and tells whether the thread is still traced,
			// also where this thread is by chance the parent of the process and
			// wait4 finds something to wait for in any case.
			if _, _, out.errno = unix.RawSyscall6(unix.SYS_PTRACE, ptraceInterrupt, uintptr(c.thread.TID), 0, 0, 0, 0); out.errno != 0 {
				return -1
			}
			continue
		case out.errno != 0:
			// ECHILD: the thread was a process' main one, and another thread's
			// execve took its place; or the thread's own execve made it the main
			// one, and it is still held under that TID.
			return -1
		case int(pid) != c.thread.TID:
			continue
		}
		ws := unix.WaitStatus(status)
		switch {
		case !ws.Stopped():
			out.held, out.exited = false, true
			return -1
		case status>>16 == ptraceEventStop:
			// Our stop, or the process' own by SIGSTOP, which persists.
			return 0
		}
		// About to take a signal.
		return int(ws.StopSignal())
	}
}

// buffer is where filters are copied to. It holds any stack that a thread can
// have.
type buffer struct {
	// Programs, one after the other. The last must have room for any program,
	// since the kernel copies without being told the room.
	code  [(maxPath + maxProgram) * instructionSize]byte
	size  [maxFilters]uint16 // of each program, in instructions
	flags [maxFilters]metadata
}

// Limits of the kernel: MAX_INSNS_PER_PATH in kernel/seccomp.c counts every
// program and 4 more, so that there are at most as many filters.
const (
	maxPath         = (1 << 18) / instructionSize
	maxFilters      = maxPath / (1 + 4)
	maxProgram      = 4096 // BPF_MAXINSNS
	instructionSize = 8
)

// metadata is struct seccomp_metadata (include/uapi/linux/ptrace.h).
type metadata struct {
	index uint64
	flags uint64
}

func newBuffer() *buffer {
	b := new(buffer)
	// Have the pages now, not while a thread is stopped.
	for i := 0; i < len(b.code); i += 4096 {
		b.code[i] = 1
	}
	for i := range b.flags {
		b.flags[i].index = uint64(i)
		b.size[i] = 1
	}
	return b
}

// deadlineEvery is after how many filters copying looks at its deadline.
const deadlineEvery = 64

// copyFrom copies the filters of a stopped thread: as many as want says, or all
// if that is proc.Unknown. To ask for one more than there are takes as long as
// to copy one. The kernel walks the whole stack for each filter (get_nth_filter
// in kernel/seccomp.c), so that thousands take time in proportion to the square:
// it ends at the deadline.
func (b *buffer) copyFrom(tid, want int, deadline time.Time, out *outcome) syscall.Errno {
	out.log = true
	offset := 0
	for i := 0; ; i++ {
		if i == want {
			out.filters = i
			return 0
		}
		if offset > len(b.code)-maxProgram*instructionSize || i == maxFilters {
			return unix.E2BIG // not as long as the kernel's limits are what they are
		}
		if i%deadlineEvery == deadlineEvery-1 && !time.Now().Before(deadline) {
			out.filters, out.timedOut = i, true
			return unix.ETIME
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, ptraceGetFilter, uintptr(tid), uintptr(i), uintptr(unsafe.Pointer(&b.code[offset])), 0, 0)
		if errno == unix.ENOENT && i > 0 && want == proc.Unknown {
			out.filters = i
			return 0
		}
		if errno != 0 {
			return errno
		}
		b.size[i] = uint16(n)
		offset += int(n) * instructionSize
		if out.log {
			b.flags[i].index = uint64(i)
			_, _, errno = unix.RawSyscall6(unix.SYS_PTRACE, ptraceGetMetadata, uintptr(tid), unsafe.Sizeof(b.flags[i]), uintptr(unsafe.Pointer(&b.flags[i])), 0, 0)
			out.log = errno == 0
		}
	}
}

// reading returns a copy of what is in the buffer.
func (b *buffer) reading(out outcome) *Reading {
	r := &Reading{Filters: make([][]byte, out.filters), Stopped: out.stopped}
	offset := 0
	for i := range r.Filters {
		end := offset + int(b.size[i])*instructionSize
		r.Filters[i] = append([]byte(nil), b.code[offset:end]...)
		offset = end
	}
	if out.log {
		r.Log = make([]bool, out.filters)
		for i := range r.Log {
			r.Log[i] = b.flags[i].flags&filterFlagLog != 0
		}
	}
	return r
}
