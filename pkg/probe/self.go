package probe

import (
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
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
