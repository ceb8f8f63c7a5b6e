package probepod

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
)

const (
	// DefaultNamespace is where probe pods run unless the user says otherwise.
	// It exists in every cluster, is seldom subject to a Pod Security level that
	// forbids what a probe needs, and belongs to those who may do what a probe
	// does. The namespace of the target is never chosen: who may look at a pod
	// there need not want privileged pods beside it.
	DefaultNamespace = metav1.NamespaceSystem

	// DefaultTimeout bounds a run, the pull of the image included.
	DefaultTimeout = time.Minute
)

// Labels of a probe pod, the recommended ones
// (https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).
const (
	LabelName      = "app.kubernetes.io/name"       // Name
	LabelManagedBy = "app.kubernetes.io/managed-by" // ManagedBy
	LabelVersion   = "app.kubernetes.io/version"    // the plugin's
	LabelInstance  = "app.kubernetes.io/instance"   // the run
)

// Values of a probe pod's labels.
const (
	Name      = "seccomp-probe"
	ManagedBy = "kubectl-seccomp"
)

// Selector selects every probe pod, of whatever run and version.
const Selector = LabelName + "=" + Name + "," + LabelManagedBy + "=" + ManagedBy

// annotationPrefix is what the keys of our annotations begin with.
const annotationPrefix = "seccomp.kubectl.dev/"

// AnnotationTargets lists the containers that a probe pod reads, for whoever
// comes across it.
const AnnotationTargets = annotationPrefix + "targets"

// AnnotationKeep is on a probe pod that the user wants kept (Options.Keep): later
// runs leave it alone, and so does Cleanup unless it is told otherwise.
const AnnotationKeep = annotationPrefix + "keep"

const (
	containerName = "probe"

	// The image's program, and what it is told to do. By these, among others, the
	// pods of earlier runs are known (see made): they stay.
	probeCommand   = "/probe"
	collectCommand = "collect"

	// collectTimeout is how long the probe looks at its node at most. On a busy
	// node it takes a fraction of a second.
	collectTimeout = 20 * time.Second

	// deadlineMargin is how much longer than the run a pod lives whose client
	// was killed. kubelet counts from when it first saw the pod.
	deadlineMargin = 15 * time.Second

	// gracePeriod in seconds: what the probe has, after SIGTERM, to let go of
	// the thread it holds. That takes microseconds, and a probe that is killed
	// lets go as well, as it seizes threads and does not attach to them.
	gracePeriod = 2

	// memoryLimit bounds the probe, which has its garbage collector work harder
	// before that (see package main of the image).
	memoryLimit = "64Mi"
)

// New returns the pod that answers a request.
func New(r Request, o Options, name, run string) *corev1.Pod {
	annotations := map[string]string{AnnotationTargets: r.list()}
	if o.Keep {
		annotations[AnnotationKeep] = "true"
	}
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Namespace:   o.namespace(),
			Labels:      o.labels(run),
			Annotations: annotations,
		},
		Spec: corev1.PodSpec{
			// Past the scheduler, which a cordoned node or a full one would
			// keep from placing the pod, and past every taint.
			NodeName:    r.Node,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},

			// It runs once, and not for long, whatever becomes of its client.
			RestartPolicy:                 corev1.RestartPolicyNever,
			ActiveDeadlineSeconds:         ptr.To(o.deadlineSeconds()),
			TerminationGracePeriodSeconds: ptr.To(o.gracePeriod()),

			// The targets' processes are in the node's PID namespace. Nothing
			// else of the node is shared: no network, no IPC, no files.
			HostPID: true,

			// Quotas and admission go by these, and the pull of the image.
			PriorityClassName:  o.PriorityClass,
			ServiceAccountName: o.ServiceAccount,
			ImagePullSecrets:   pullSecrets(o),

			// It talks to nobody.
			AutomountServiceAccountToken: ptr.To(false),
			EnableServiceLinks:           ptr.To(false),

			SecurityContext: podSecurity(),
			// kubelet starts containers in this order: when the probe runs, it finds
			// the references.
			Containers: append(references(r, o), corev1.Container{
				Name:            containerName,
				Image:           o.Image,
				ImagePullPolicy: o.PullPolicy,
				Command:         []string{probeCommand},
				Args:            arguments(r, o, run),
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{
						corev1.ResourceCPU:    resource.MustParse("50m"),
						corev1.ResourceMemory: resource.MustParse(memoryLimit),
					},
					// No limit of CPU: a probe that has used up its quota is
					// throttled for the rest of the period (100 ms), and the
					// thread that it holds stays stopped for as long.
					Limits: corev1.ResourceList{
						corev1.ResourceMemory: resource.MustParse(memoryLimit),
					},
				},
				// What a failed probe has to say is on stderr, which its log
				// holds: then the pod's status says it too.
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
				SecurityContext:          containerSecurity(o),
			}),
		},
	}
}

// labels are those of what a run creates.
func (o Options) labels(run string) map[string]string {
	return map[string]string{
		LabelName:      Name,
		LabelManagedBy: ManagedBy,
		LabelVersion:   labelValue(cmp.Or(o.Version, "unknown")),
		LabelInstance:  run,
	}
}

// deadlineSeconds is how long a pod lives at most.
func (o Options) deadlineSeconds() int64 {
	return int64((o.timeout() + o.watch() + deadlineMargin).Seconds())
}

func pullSecrets(o Options) (list []corev1.LocalObjectReference) {
	for _, name := range o.PullSecrets {
		list = append(list, corev1.LocalObjectReference{Name: name})
	}
	return list
}

func arguments(r Request, o Options, run string) []string {
	args := []string{collectCommand, "--run", run, "--timeout", min(collectTimeout, o.timeout()).String()}
	if o.AllThreads {
		args = append(args, "--all-threads")
	}
	if o.Record > 0 {
		args = append(args, "--record", o.Record.String())
		if r.New {
			args = append(args, "--record-new")
		}
	}
	if o.Denials > 0 {
		args = append(args, "--denials", o.Denials.String())
	}
	if r.All {
		args = append(args, "--all")
	}
	if r.Configs {
		args = append(args, "--config")
	}
	if r.Self {
		args = append(args, "--self")
	}
	for _, id := range r.targets() {
		args = append(args, "--target", id)
	}
	if r.Configs {
		for _, c := range r.Containers {
			if c.Declared.Localhost != "" {
				args = append(args, "--localhost", c.ID+"="+c.Declared.Localhost)
			}
		}
	}
	return args
}

// references are the containers of a request's references.
func references(r Request, o Options) (list []corev1.Container) {
	for n, ref := range r.References {
		list = append(list, corev1.Container{
			Name:            referenceName(n),
			Image:           o.Image,
			ImagePullPolicy: o.PullPolicy,
			Command:         []string{probeCommand},
			Args:            []string{"reference", strconv.Itoa(n), "--for", (o.timeout() + deadlineMargin).String()},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{
					corev1.ResourceCPU:    resource.MustParse("10m"),
					corev1.ResourceMemory: resource.MustParse("16Mi"),
				},
				Limits: corev1.ResourceList{
					corev1.ResourceMemory: resource.MustParse("16Mi"),
				},
			},
			// Nobody, with no capability in effect: those that it has are in its
			// bounding set, which is what the runtime goes by.
			SecurityContext: &corev1.SecurityContext{
				RunAsUser:              ptr.To(int64(nobody)),
				ReadOnlyRootFilesystem: ptr.To(true),
				Capabilities:           ref.Capabilities,
				SeccompProfile:         &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		})
	}
	return list
}

func referenceName(n int) string { return "reference-" + strconv.Itoa(n) }

// nobody is the user that owns nothing.
const nobody = 65534

// podSecurity lifts what confines the probe by default. PTRACE_SECCOMP_GET_FILTER
// refuses a caller that has a seccomp filter itself (seccomp_get_filter in
// kernel/seccomp.c), so RuntimeDefault would be in the way, and an unset profile
// becomes RuntimeDefault where kubelet's seccompDefault is on. AppArmor's
// profile of the runtime denies ptrace of processes under other profiles.
func podSecurity() *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{
		SeccompProfile:  &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined},
		AppArmorProfile: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined},
	}
}

// capabilities are those of a probe that is not privileged.
var capabilities = []corev1.Capability{
	// PTRACE_SECCOMP_GET_FILTER demands it in the initial user namespace
	// (seccomp_get_filter in kernel/seccomp.c). It does for BPF programs too,
	// where calls are recorded or refused ones looked for: bpf_capable and perfmon_capable in
	// include/linux/capability.h take it for CAP_BPF and CAP_PERFMON.
	"SYS_ADMIN",
	// PTRACE_SEIZE, and /proc/PID/syscall and /proc/PID/ns/* of processes of
	// other users or with capabilities of their own (__ptrace_may_access in
	// kernel/ptrace.c, cap_ptrace_access_check in security/commoncap.c), with
	// Yama's ptrace_scope at 1 and 2 too (yama_ptrace_access_check).
	"SYS_PTRACE",
	// /proc/PID/syscall has mode 0400 and is its process' user's, so that root
	// without capabilities is kept from opening it before ptrace's rules are
	// asked (generic_permission in fs/namei.c). This one reads and searches
	// only; DAC_OVERRIDE would write as well.
	"DAC_READ_SEARCH",
}

func containerSecurity(o Options) *corev1.SecurityContext {
	s := &corev1.SecurityContext{
		// Capabilities are those of root: without this an image or a policy
		// could make the probe another user, who has none.
		RunAsUser:              ptr.To(int64(0)),
		ReadOnlyRootFilesystem: ptr.To(true),
	}
	if !o.LeastPrivilege {
		// Privileged implies all of the other branch, and works under the
		// runtimes and policies that deny one of these by itself.
		s.Privileged = ptr.To(true)
		return s
	}
	s.Capabilities = &corev1.Capabilities{
		Drop: []corev1.Capability{"ALL"},
		Add:  capabilities,
	}
	// container_t may not ptrace, or read /proc of, what runs under another
	// label; spc_t is container-selinux' type for containers that may. Nodes
	// without SELinux ignore it.
	s.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"}
	return s
}

// maxAnnotation bounds the list of targets, in bytes.
const maxAnnotation = 4 << 10

// nameSuffixFunc makes pods' names unique. Tests replace it.
var nameSuffixFunc = rand.String

const (
	maxNodeInName = 40
	suffixLength  = 5
)

// podName returns a name for a probe pod: chosen here and not by the API server,
// so that a pod whose creation was not answered can be found and deleted.
func podName(node string) string { return namePrefix(node) + nameSuffixFunc(suffixLength) }

// namePrefix is what the names of a node's probe pods begin with.
func namePrefix(node string) string {
	node = strings.ReplaceAll(node, ".", "-")
	if len(node) > maxNodeInName {
		node = node[:maxNodeInName]
	}
	return Name + "-" + strings.TrimRight(node, "-") + "-"
}

// labelValue returns s as a label's value: what it cannot hold is replaced.
func labelValue(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-', r == '_':
			return r
		}
		return '_' // a "+" before a version's build metadata, say
	}, s)
	return strings.Trim(s[:min(len(s), 63)], ".-_")
}
