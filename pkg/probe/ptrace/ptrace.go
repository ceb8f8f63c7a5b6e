// Package ptrace copies the seccomp filters out of a running thread.
//
// A thread that someone depends on is stopped for it, so everything here is
// about doing that for as short as can be, in bounded time, and leaving the
// thread as it was on every path.
//
// # The stop
//
// PTRACE_SEIZE does not stop the thread, and lets it go on if the tracer is
// killed, which a PTRACE_ATTACHed one does not: it is the only way used.
// PTRACE_INTERRUPT then stops it with neither a signal nor a trace in the
// process, PTRACE_SECCOMP_GET_FILTER copies the programs, index 0 being the
// oldest (ptrace(2) has it the other way round), and PTRACE_DETACH resumes it.
// Between the two nothing is allocated, written or decided that could come
// after.
//
// What the thread was about to do happens: a signal whose delivery is what it
// stopped for is handed on with the detach, and a process that was stopped by
// SIGSTOP stays so. A system call that it was blocked in is interrupted as by a
// signal without a handler: see [proc.Wait] for what that means to whom.
//
// # When it does not stop
//
// A thread in an uninterruptible wait (vfork's parent until its child execs, a
// dead NFS server, a frozen cgroup of version 1) does not stop until that ends,
// and until it stops it cannot be detached. What can always be done is to end
// the tracer: the kernel then detaches all it traces (exit_ptrace in
// kernel/ptrace.c) and takes a stop that is still to come back. A tracer is one
// OS thread, so that is what ends here, whenever anything but a clean detach
// comes out: the thread's exec changed its TID, it died while it was stopped,
// the time is up.
package ptrace

import "time"

// Reading is what was copied out of a thread.
type Reading struct {
	Filters [][]byte      // raw programs in the machine's byte order, oldest first
	Log     []bool        // installed with SECCOMP_FILTER_FLAG_LOG; nil if the kernel (before 4.16) does not tell
	Stopped time.Duration // from the request to stop to the detach
}
