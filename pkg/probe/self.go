package probe

import (
	"context"
	"os"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Capabilities by number (include/uapi/linux/capability.h).
const (
	capSysPtrace = 19
	capSysAdmin  = 21
)

// selfCheck tells what keeps this process from reading filters, nil if nothing
// that shows does.
func selfCheck(fs proc.FS) *wire.Problem {
	const op = "check the probe's own confinement"
	self, err := fs.Self()
	switch {
	case err != nil:
		return &wire.Problem{Code: wire.CodeUnreadable, Op: op, Detail: err.Error()}
	case self.Seccomp != 0:
		// seccomp_get_filter (kernel/seccomp.c) refuses whoever has a mode.
		return &wire.Problem{Code: wire.CodeProbeConfined, Op: op, Detail: "it runs under seccomp itself, so the kernel will not let it read filters",
			Remedy: "let the probe pod run with seccompProfile Unconfined; some CRI-O versions need privileged, too"}
	}
	var missing []string
	if self.Effective>>capSysPtrace&1 == 0 {
		missing = append(missing, "CAP_SYS_PTRACE")
	}
	if self.Effective>>capSysAdmin&1 == 0 {
		missing = append(missing, "CAP_SYS_ADMIN")
	}
	if missing != nil {
		return &wire.Problem{Code: wire.CodePermission, Op: op, Detail: "it lacks " + strings.Join(missing, " and "),
			Remedy: "run the probe as root, privileged or with these capabilities"}
	}
	return nil
}

// self writes what this process finds of itself. Why it cannot read filters stands
// there, too, if anything is known that keeps it from that.
func (c *collector) self(ctx context.Context) error {
	s := new(wire.Self)
	pid := os.Getpid()
	if self, err := c.fs.Self(); err == nil {
		s.Mode, s.Effective = wire.Mode(self.Seccomp), wire.Caps(self.Effective)
		s.X32 = self.Seccomp == 0 && x32()
	}
	var err error
	if s.Label, err = c.fs.Label(pid); err != nil {
		s.LabelError = err.Error()
	}
	s.HostUsers, _ = c.fs.AllUsers(pid)
	s.Cgroup, _ = c.fs.CgroupVersion()
	if scope, ok := c.fs.PtraceScope(); ok {
		s.PtraceScope = &scope
	}
	s.BTF = BTF()
	if process, err := c.fs.Process(pid); err == nil {
		// A parent in another PID namespace is 0 (pid_namespaces(7)).
		s.HostPID = process.PPID != 0
	}
	if s.Unread = c.refused; c.tracer != nil {
		var reading *ptrace.Reading
		if reading, s.Unread = c.readKnown(ctx); s.Unread == nil {
			s.StoppedNS = reading.Stopped.Nanoseconds()
		}
	}
	return c.sink.Write(s)
}

// BTF reports whether the running kernel describes its types, which programs need
// that are to work on any kernel.
func BTF() bool {
	_, err := os.Stat("/sys/kernel/btf/vmlinux")
	return err == nil
}
