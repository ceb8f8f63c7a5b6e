package doctor

import (
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// TestNodeChecks changes one thing that a healthy node says, each time.
func TestNodeChecks(t *testing.T) {
	reference := func(r *report.Report) *report.Target { return r.Targets[probepod.ReferenceID(0)] }
	for name, test := range map[string]struct {
		change      func(*report.Report)
		check       string
		status      v1alpha1.CheckStatus
		say, remedy string
		also        []string // checks that go with it
	}{
		"old":       {func(r *report.Report) { r.Hello.Kernel = "4.15.0-213-generic" }, v1alpha1.CheckKernel, v1alpha1.CheckFailed, "older than 4.16", "upgrade the node", nil},
		"uncounted": {func(r *report.Report) { r.Hello.Kernel = "5.4.0" }, v1alpha1.CheckKernel, v1alpha1.CheckWarning, "before 5.9 every thread is stopped", "", nil},
		"versions":  {func(r *report.Report) { r.Hello.Kernel = "linux\x1b[2J" }, v1alpha1.CheckKernel, v1alpha1.CheckUnknown, `Linux linux\x1b[2J on x86_64`, "", nil},
		"confined": {func(r *report.Report) {
			r.Self.Mode = wire.ModeFilter
			r.Self.Unread = &wire.Problem{Code: wire.CodeProbeConfined, Op: "check the probe's own confinement", Detail: "it runs under seccomp itself", Remedy: "Unconfined"}
		}, v1alpha1.CheckPrivileges, v1alpha1.CheckFailed, "the probe runs under seccomp itself (filter)", "seccompProfile Unconfined", []string{v1alpha1.CheckReadFilter}},
		"own PIDs":        {func(r *report.Report) { r.Self.HostPID = false }, v1alpha1.CheckPrivileges, v1alpha1.CheckFailed, "not in the node's PID namespace", "--keep-probe", nil},
		"user namespace":  {func(r *report.Report) { r.Self.HostUsers = false }, v1alpha1.CheckPrivileges, v1alpha1.CheckFailed, "in a user namespace of its own", "hostUsers", nil},
		"no capabilities": {func(r *report.Report) { r.Self.Effective = 0xa80425fb &^ 2 }, v1alpha1.CheckPrivileges, v1alpha1.CheckFailed, "it lacks CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE and CAP_SYS_ADMIN", "", nil},
		"DAC_OVERRIDE":    {func(r *report.Report) { r.Self.Effective = 0x280002 }, v1alpha1.CheckPrivileges, v1alpha1.CheckOK, "the capabilities that it needs", "", nil},
		"AppArmor":        {func(r *report.Report) { r.Self.Label = "cri-containerd.apparmor.d (enforce)" }, v1alpha1.CheckPrivileges, v1alpha1.CheckWarning, "under cri-containerd.apparmor.d (enforce)", "unconfined", nil},
		"no label": {func(r *report.Report) { r.Self.LabelError = "read the security label of pid 7: permission denied" }, v1alpha1.CheckPrivileges, v1alpha1.CheckWarning,
			"whether a security module confines it is not known: read the security label of pid 7: permission denied", "read-filter", nil},
		"unconfined":   {func(r *report.Report) { r.Self.Label = "unconfined" }, v1alpha1.CheckPrivileges, v1alpha1.CheckOK, "label unconfined", "", nil},
		"SELinux":      {func(r *report.Report) { r.Self.Label = "system_u:system_r:spc_t:s0" }, v1alpha1.CheckPrivileges, v1alpha1.CheckOK, "spc_t", "", nil},
		"ptrace_scope": {func(r *report.Report) { r.Self.PtraceScope = new(3) }, v1alpha1.CheckPtraceScope, v1alpha1.CheckFailed, "ptrace_scope is 3: nobody may trace", "boot the node", nil},
		"no Yama":      {func(r *report.Report) { r.Self.PtraceScope = nil }, v1alpha1.CheckPtraceScope, v1alpha1.CheckOK, "no Yama", "", nil},
		"checkpoint": {func(r *report.Report) {
			r.Self.Unread = &wire.Problem{Code: wire.CodeUnsupported, Op: "ptrace get filter", Errno: "EINVAL", Detail: "the kernel has no PTRACE_SECCOMP_GET_FILTER", Remedy: "it must be built with CONFIG_CHECKPOINT_RESTORE"}
		}, v1alpha1.CheckReadFilter, v1alpha1.CheckFailed, "EINVAL: the kernel has no PTRACE_SECCOMP_GET_FILTER", "it must be built with CONFIG_CHECKPOINT_RESTORE", nil},
		"unknown cgroup": {func(r *report.Report) { reference(r).Container = "" }, v1alpha1.CheckContainers, v1alpha1.CheckFailed, "containerd://2.1.0 names cgroups of version 2 in a way that is not known", "/proc/PID/cgroup", nil},
		"no default": {func(r *report.Report) {
			reference(r).States[0] = &report.State{State: wire.State{Subject: true, Stack: wire.NoStack}}
		}, v1alpha1.CheckRuntimeDefault, v1alpha1.CheckWarning, "has no filter", "", nil},
		"default not read": {func(r *report.Report) {
			reference(r).States[0].Stack = nil
			reference(r).Problems = []wire.Problem{{Target: "x", Code: wire.CodePermission, Op: "ptrace seize", Errno: "EPERM", Detail: "the kernel does not let it be traced", Remedy: "no LSM against it"}}
		}, v1alpha1.CheckRuntimeDefault, v1alpha1.CheckFailed, "ptrace seize: EPERM: the kernel does not let it be traced", "no LSM against it", nil},
		"no reference": {func(r *report.Report) {
			*reference(r) = report.Target{Problems: []wire.Problem{{Code: wire.CodeNoReference, Op: "find the reference container", Detail: "RunContainerError: no"}}}
		}, v1alpha1.CheckRuntimeDefault, v1alpha1.CheckFailed, "find the reference container: RunContainerError: no", "", []string{v1alpha1.CheckContainers, v1alpha1.CheckOCIConfig}},
		"no config": {func(r *report.Report) {
			reference(r).Config = nil
			reference(r).Problems = []wire.Problem{{Code: wire.CodeNoConfig, Detail: "there is no /run/x", Remedy: "the runtime keeps it elsewhere"}}
		}, v1alpha1.CheckOCIConfig, v1alpha1.CheckWarning, "there is no /run/x; verify cannot tell", "the runtime keeps it elsewhere", nil},
		"kubelet":       {func(r *report.Report) { r.Node = &wire.Node{Detail: "no kubelet runs on the node"} }, v1alpha1.CheckKubelet, v1alpha1.CheckWarning, "no kubelet runs on the node", "declare", nil},
		"default off":   {func(r *report.Report) { r.Node.SeccompDefault = new(false) }, v1alpha1.CheckKubelet, v1alpha1.CheckOK, "seccompDefault is false: containers that declare no profile are Unconfined", "", nil},
		"no BTF":        {func(r *report.Report) { r.Self.BTF = false }, v1alpha1.CheckKernel, v1alpha1.CheckOK, "has no BTF", "", nil},
		"x32":           {func(r *report.Report) { r.Self.X32 = true }, v1alpha1.CheckKernel, v1alpha1.CheckOK, "executes calls of x32", "", nil},
		"other machine": {func(r *report.Report) { r.Hello.Machine = "aarch64" }, v1alpha1.CheckKernel, v1alpha1.CheckOK, "on aarch64, has BTF", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := healthy()
			test.change(r)
			d := newAPIServer(t).examine(t, probepod.Options{}, []string{"node-a"}, func(string) (*report.Report, error) { return r, nil })
			others(t, d, append(test.also, test.check)...)
			if c := check(t, d, test.check, "node-a"); c.Status != test.status || !strings.Contains(c.Message, test.say) || !strings.Contains(c.Remedy, test.remedy) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestLeastPrivilege says what the probe has.
func TestLeastPrivilege(t *testing.T) {
	d := newAPIServer(t).examine(t, probepod.Options{LeastPrivilege: true}, []string{"node-a"}, func(string) (*report.Report, error) {
		r := healthy()
		r.Self.Effective = 1<<2 | 1<<19 | 1<<21
		return r, nil
	})
	others(t, d)
	if c := check(t, d, v1alpha1.CheckPrivileges, "node-a"); !strings.Contains(c.Message, "the capabilities that it needs") {
		t.Errorf("%+v", c)
	}
}
