package ptrace

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// diagnose finds out why a call failed, from where it did, the errno and what
// /proc says of the thread. The kernel gives the same errno for many things.
func diagnose(fs proc.FS, thread proc.Thread, out outcome) *wire.Problem {
	p := &wire.Problem{PID: thread.PID, TID: thread.TID, Comm: thread.Comm, Op: out.step.String(), Code: wire.CodeInternal}
	if out.errno != 0 && !out.timedOut {
		if p.Errno = unix.ErrnoName(out.errno); p.Errno == "" {
			p.Errno = fmt.Sprintf("errno %d", int(out.errno))
		}
	}
	now, err := fs.Thread(thread.PID, thread.TID)
	switch {
	case out.timedOut && out.step == stepGetFilter:
		p.Code, p.Detail = wire.CodeTooManyFilters, fmt.Sprintf("of its %d filters only %d could be copied in the time for which a thread is held", now.Filters, out.filters)
	case out.timedOut:
		neverStopped(fs, now, p)
	case out.exited,
		errors.Is(err, proc.ErrGone), err == nil && now.Start != thread.Start:
		p.Code, p.Errno, p.Detail = wire.CodeExited, "", "it ended meanwhile"
	case err == nil && now.Dead():
		p.Code, p.Errno, p.Detail = wire.CodeZombie, "", "it is dead and waits to be reaped"
	case out.errno == unix.ECHILD, out.errno == unix.ESRCH:
		p.Code, p.Errno, p.Detail = wire.CodeChanged, "", "its process executes another program, or it installs filters"
	case out.step == stepSeize && out.errno == unix.EPERM:
		seizeRefused(fs, now, p)
	case out.step == stepGetFilter:
		readRefused(now, out.errno, p)
	}
	return p
}

// neverStopped says why a thread may not stop.
func neverStopped(fs proc.FS, now proc.Thread, p *wire.Problem) {
	p.Code, p.Detail = wire.CodeDoesNotStop, "it did not stop in time"
	wchan := fs.WaitChannel(p.PID, p.TID)
	switch {
	case strings.Contains(wchan, "refrigerator"):
		p.Code = wire.CodeFrozen
		p.Detail, p.Remedy = "its cgroup is frozen", "thaw it (freezer.state), then try again"
	case now.State == 'D':
		p.Code = wire.CodeUninterrupted
		p.Detail = "it is in an uninterruptible wait"
		p.Remedy = "try again when the wait is over"
	}
	if wchan != "" {
		p.Detail += ", in " + wchan
	}
}

// seizeRefused says why the kernel does not let a thread be traced, which is
// EPERM whatever the reason (ptrace_attach in kernel/ptrace.c).
func seizeRefused(fs proc.FS, now proc.Thread, p *wire.Problem) {
	switch {
	case now.Tracer != 0:
		p.Code = wire.CodeAlreadyTraced
		p.Detail = fmt.Sprintf("already traced by pid %d", now.Tracer)
		if tracer, err := fs.Thread(now.Tracer, now.Tracer); err == nil {
			p.Detail += " (" + tracer.Comm + ")"
		}
		p.Remedy = "end the tracer, or read another thread with --all-threads"
	case now.Kernel:
		p.Code, p.Detail = wire.CodeKernelThread, "it is a thread of the kernel's, which has no filters"
	case now.PID == unix.Getpid():
		p.Code, p.Detail = wire.CodePermission, "it is the probe itself"
	default:
		p.Code = wire.CodePermission
		p.Detail = "the kernel does not let it be traced"
		p.Remedy = "the probe needs CAP_SYS_PTRACE, kernel.yama.ptrace_scope below 3, and no LSM against it"
	}
}

// readRefused says why the filters of a stopped thread cannot be read
// (seccomp_get_filter in kernel/seccomp.c).
func readRefused(now proc.Thread, errno unix.Errno, p *wire.Problem) {
	switch errno {
	case unix.EACCES:
		p.Code, p.Detail = wire.CodePermission, "the kernel does not let filters be read"
		p.Remedy = "the probe needs CAP_SYS_ADMIN in the first user namespace, and no seccomp filter of its own"
	case unix.ENOENT:
		p.Code, p.Errno, p.Detail = wire.CodeChanged, "", "it has fewer filters than before: it is another program's thread now"
	case unix.EINVAL:
		if now.Seccomp != filterMode {
			p.Code, p.Errno, p.Detail = wire.CodeChanged, "", "it has no filters any more: it is another program's thread now"
			return
		}
		p.Code, p.Detail = wire.CodeUnsupported, "the kernel has no PTRACE_SECCOMP_GET_FILTER"
		p.Remedy = "it must be built with CONFIG_CHECKPOINT_RESTORE"
	case unix.EMEDIUMTYPE:
		p.Code, p.Detail = wire.CodeUnsupported, "a filter is not classic BPF"
	}
}

// filterMode is SECCOMP_MODE_FILTER.
const filterMode = 2
