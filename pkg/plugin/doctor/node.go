package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// node adds the checks of what a node's probe said, and how long that took.
func (d *diagnosis) node(n node, r *report.Report, took time.Duration) {
	probe := v1alpha1.Check{Name: v1alpha1.CheckProbe, Node: n.name, Status: v1alpha1.CheckOK, Message: "image " + d.Options.Image + " runs, and its output is whole"}
	if took > 0 {
		probe.Took = &metav1.Duration{Duration: took.Round(time.Millisecond)}
	}
	d.add(probe)
	d.kernel(n, r)
	d.privileges(n, r.Self)
	d.ptraceScope(n, r.Self)
	d.readFilter(n, r.Self)
	reference := r.Targets[probepod.ReferenceID(0)]
	d.containers(n, r.Self, reference)
	d.runtimeDefault(n, reference)
	d.ociConfig(n, reference)
	d.kubelet(n, r.Node)
}

// kernel checks the version of the node's kernel: from 4.16 on it tells of a filter
// whether calls are logged (PTRACE_SECCOMP_GET_METADATA), and from 5.9 on how many a
// thread has, without which each thread is stopped.
func (d *diagnosis) kernel(n node, r *report.Report) {
	h, s := r.Hello, r.Self
	said := "Linux " + h.Kernel + " on " + h.Machine
	if h.Machine == "x86_64" && s.Mode == wire.ModeDisabled {
		said += map[bool]string{true: ", executes calls of x32", false: ", refuses calls of x32"}[s.X32]
	}
	said += map[bool]string{true: ", has BTF", false: ", has no BTF"}[s.BTF]
	var major, minor int
	if _, err := fmt.Sscanf(h.Kernel, "%d.%d", &major, &minor); err != nil {
		d.unknown(v1alpha1.CheckKernel, n.name, said+": that does not say its version")
		return
	}
	switch before := func(a, b int) bool { return major < a || major == a && minor < b }; {
	case before(4, 16):
		d.failed(v1alpha1.CheckKernel, n.name, said+": older than 4.16", "upgrade the node")
	case before(5, 9):
		d.warning(v1alpha1.CheckKernel, n.name, said+": before 5.9 every thread is stopped, as the kernel does not say how many filters it has", "upgrade the node, if that matters")
	default:
		d.ok(v1alpha1.CheckKernel, n.name, said)
	}
}

// wanted are capabilities without which the probe cannot do its work, by number: see
// probepod.
var wanted = []struct {
	number uint
	name   string
}{{readSearch, "DAC_READ_SEARCH"}, {19, "SYS_PTRACE"}, {21, "SYS_ADMIN"}}

// Of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH either lets files be read.
const override, readSearch = 1, 2

// privileges checks that the probe has what its pod asks for.
func (d *diagnosis) privileges(n node, s *wire.Self) {
	var wrong, remedies []string
	add := func(what, remedy string) {
		wrong = append(wrong, what)
		if !slices.Contains(remedies, remedy) {
			remedies = append(remedies, remedy)
		}
	}
	const mutated = "see what admission made of the pod: `--keep-probe`, then `kubectl get pod -o yaml`"
	if s.Mode != wire.ModeDisabled {
		add("the probe runs under seccomp itself ("+s.Mode.String()+"), so the kernel will not let it read filters",
			"let it run with seccompProfile Unconfined; some CRI-O versions need privileged, too")
	}
	if !s.HostPID {
		add("it is not in the node's PID namespace", mutated)
	}
	if !s.HostUsers {
		add("it is in a user namespace of its own, where no capability counts for this", "let it run with hostUsers: true, on a node that is not rootless")
	}
	var missing []string
	for _, c := range wanted {
		if s.Effective>>c.number&1 == 0 && (c.number != readSearch || s.Effective>>override&1 == 0) {
			missing = append(missing, "CAP_"+c.name)
		}
	}
	if len(missing) > 0 {
		add("it lacks "+strings.Join(missing, " and "), mutated)
	}
	if len(wrong) > 0 {
		d.failed(v1alpha1.CheckPrivileges, n.name, strings.Join(wrong, "; "), strings.Join(remedies, "; "))
		return
	}
	said := "the probe has the capabilities that it needs, and runs under no seccomp filter"
	const tell = "see whether read-filter and runtime-default hold; if not, let the probe run unconfined"
	if s.LabelError != "" {
		d.warning(v1alpha1.CheckPrivileges, n.name, said+", but whether a security module confines it is not known: "+s.LabelError, tell)
		return
	}
	if s.Label == "" || s.Label == "unconfined" || strings.Contains(s.Label, ":spc_t:") {
		if s.Label != "" {
			said += ", label " + s.Label
		}
		d.ok(v1alpha1.CheckPrivileges, n.name, said)
		return
	}
	d.warning(v1alpha1.CheckPrivileges, n.name, said+", and a security module has it under "+s.Label+": that may keep it from reading others",
		tell)
}

// ptraceScope checks Yama's setting: 3 lets nobody trace, until the machine boots
// again (Documentation/admin-guide/LSM/Yama.rst).
func (d *diagnosis) ptraceScope(n node, s *wire.Self) {
	switch {
	case s.PtraceScope == nil:
		d.ok(v1alpha1.CheckPtraceScope, n.name, "the kernel has no Yama")
	case *s.PtraceScope >= 3:
		d.failed(v1alpha1.CheckPtraceScope, n.name, fmt.Sprintf("kernel.yama.ptrace_scope is %d: nobody may trace", *s.PtraceScope),
			"set it to 2 or less where the node's sysctls are set, and boot the node: it cannot be lowered before")
	default:
		d.ok(v1alpha1.CheckPtraceScope, n.name, fmt.Sprintf("kernel.yama.ptrace_scope is %d", *s.PtraceScope))
	}
}

// readFilter checks that the kernel hands out filters.
func (d *diagnosis) readFilter(n node, s *wire.Self) {
	if p := s.Unread; p != nil {
		plain := *p
		plain.Remedy = ""
		d.failed(v1alpha1.CheckReadFilter, n.name, plain.Error(), p.Remedy)
		return
	}
	c := v1alpha1.Check{Name: v1alpha1.CheckReadFilter, Node: n.name, Status: v1alpha1.CheckOK, Message: "a filter was installed and read back; its thread was held for that"}
	if s.StoppedNS > 0 {
		c.Took = &metav1.Duration{Duration: time.Duration(s.StoppedNS).Round(time.Microsecond)}
	}
	d.add(c)
}

// containers checks that the process of a container that is there is found to be of
// one.
func (d *diagnosis) containers(n node, s *wire.Self, reference *report.Target) {
	cgroups := fmt.Sprintf("cgroups of version %d", s.Cgroup)
	if s.Cgroup == 0 {
		cgroups = "cgroups"
	}
	runtime := n.runtime
	if runtime == "" {
		runtime = "the runtime"
	}
	switch {
	case !reference.Found():
		d.unknown(v1alpha1.CheckContainers, n.name, "there is no container to look for: see runtime-default")
	case reference.Container == "":
		d.failed(v1alpha1.CheckContainers, n.name, runtime+" names "+cgroups+" in a way that is not known: containers are not found by their ID",
			"name a process by node/"+n.name+":PID, and report the node's runtime and the output of `cat /proc/PID/cgroup`")
	default:
		d.ok(v1alpha1.CheckContainers, n.name, runtime+" has containers found by their "+cgroups)
	}
}

// runtimeDefault checks that what a container under RuntimeDefault is held to can be
// read.
func (d *diagnosis) runtimeDefault(n node, reference *report.Target) {
	state := reference.Subject()
	switch {
	case state == nil || state.Mode == wire.ModeFilter && state.Stack == nil:
		for i := range reference.Problems {
			p := reference.Problems[i]
			if p.Code == wire.CodeNoConfig {
				continue
			}
			remedy := cmp.Or(p.Remedy, "see the node's kubelet and runtime logs")
			p.Target, p.Remedy = "", ""
			d.failed(v1alpha1.CheckRuntimeDefault, n.name, p.Error(), remedy)
			return
		}
		d.failed(v1alpha1.CheckRuntimeDefault, n.name, "the container's filter was not read", "see what else failed")
	case state.Mode == wire.ModeFilter:
		length := 0
		for _, f := range state.Stack {
			length += len(f)
		}
		d.ok(v1alpha1.CheckRuntimeDefault, n.name, fmt.Sprintf("a container of another user has %s, of %d instructions", count(len(state.Stack), "filter"), length)+known(state.Fingerprint))
	default:
		d.warning(v1alpha1.CheckRuntimeDefault, n.name, "a container that asks for RuntimeDefault has no filter", "have the runtime and the kernel built with seccomp, and a default profile configured")
	}
}

// known tells the fingerprint of a policy, by which nodes are compared.
func known(fingerprint string) string {
	const short = len("s:") + 12
	if len(fingerprint) < short {
		return ""
	}
	return ", fingerprint " + fingerprint[:short]
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// ociConfig checks that the configuration is found with which a container was
// started: verify looks at it.
func (d *diagnosis) ociConfig(n node, reference *report.Target) {
	switch i := slices.IndexFunc(reference.Problems, func(p wire.Problem) bool { return p.Code == wire.CodeNoConfig }); {
	case reference.Config != nil:
		said := "config.json of containers is found"
		if r := reference.Config.Runtime; r != "" {
			said += "; the OCI runtime is " + r
		}
		d.ok(v1alpha1.CheckOCIConfig, n.name, said)
	case i >= 0:
		d.warning(v1alpha1.CheckOCIConfig, n.name, reference.Problems[i].Detail+"; verify cannot tell what the runtime was told", reference.Problems[i].Remedy)
	default:
		d.unknown(v1alpha1.CheckOCIConfig, n.name, "there is no container to look for: see runtime-default")
	}
}

// kubelet checks that it is known what containers get that declare no profile.
func (d *diagnosis) kubelet(n node, k *wire.Node) {
	switch {
	case k == nil:
		d.unknown(v1alpha1.CheckKubelet, n.name, "the probe says nothing of it")
	case k.SeccompDefault == nil:
		d.warning(v1alpha1.CheckKubelet, n.name, "its seccompDefault is not known: "+k.Detail+"; verify cannot tell what a container gets that declares nothing", "have such containers declare a profile")
	default:
		profile := corev1.SeccompProfileTypeUnconfined
		if *k.SeccompDefault {
			profile = corev1.SeccompProfileTypeRuntimeDefault
		}
		d.ok(v1alpha1.CheckKubelet, n.name, fmt.Sprintf("its seccompDefault is %v: containers that declare no profile are %s", *k.SeccompDefault, profile))
	}
}
