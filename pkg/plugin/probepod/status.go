package probepod

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// event is news of the pod.
type event struct {
	pod     *corev1.Pod
	problem string // why there is no news, "" when there is again
	err     error  // final
}

// watch sends the pod as it changes, until the context ends or after an error
// that is final. A watch that breaks is begun again.
func (p *probe) watch(ctx context.Context) <-chan event {
	events := make(chan event)
	send := func(e event) bool {
		select {
		case events <- e:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		for version := p.version; ctx.Err() == nil; version = "" {
			p.watchOnce(ctx, version, send)
			waitFor(ctx, retryInterval)
		}
	}()
	return events
}

// watchOnce watches the pod from a version on, or from what it is now ("").
func (p *probe) watchOnce(ctx context.Context, version string, send func(event) bool) {
	if version == "" {
		pod, err := p.pods.Get(ctx, p.pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && pod.UID != p.uid:
			send(event{err: p.gone()})
			return
		case failure.IsRBAC(err):
			send(event{err: p.permission("get", "").Of("look at "+p.String(), err)})
			return
		case err != nil:
			send(event{problem: "the API server does not answer: " + failure.Clip(err.Error())})
			return
		}
		send(event{pod: pod})
		version = pod.ResourceVersion
	}
	w, err := p.pods.Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, p.pod.Name).String(),
		ResourceVersion: version,
	})
	if failure.IsRBAC(err) {
		send(event{err: p.permission("watch", "").Of("watch "+p.String(), err)})
		return
	}
	if err != nil {
		send(event{problem: "the API server does not answer: " + failure.Clip(err.Error())})
		return
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		pod, ok := e.Object.(*corev1.Pod)
		if !ok {
			return // an error, such as a version that is too old
		}
		if e.Type == watch.Deleted {
			send(event{err: p.gone()})
			return
		}
		if !send(event{pod: pod}) {
			return
		}
	}
}

func (p *probe) gone() error {
	return failure.New(ErrGone, "read the output of "+p.String(), "the pod was deleted while it ran",
		"see `"+p.opts.kubectl()+" get events -n "+p.pod.Namespace+" --field-selector involvedObject.name="+p.pod.Name+"`; run this again")
}

// waitingFor says what a reading waits for.
func (r *reading) waitingFor() string {
	s := r.status
	if r.problem != "" {
		if s != "" {
			s += "; "
		}
		s += r.problem
	}
	return s
}

func container(pod *corev1.Pod) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if s := &pod.Status.ContainerStatuses[i]; s.Name == containerName {
			return s
		}
	}
	return nil
}

func terminated(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	if s := container(pod); s != nil {
		return s.State.Terminated
	}
	return nil
}

func exit(t *corev1.ContainerStateTerminated) string {
	s := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Signal != 0 {
		s = fmt.Sprintf("signal %d", t.Signal)
	}
	if t.Reason != "" && t.Reason != "Error" {
		s += " (" + t.Reason + ")"
	}
	if t.Message != "" {
		s += ": " + failure.Clip(t.Message)
	}
	return s
}

// statusLine says in a few words what the pod is doing.
func statusLine(pod *corev1.Pod) string {
	s := string(cmp.Or(pod.Status.Phase, corev1.PodPending))
	if c := container(pod); c != nil {
		switch {
		case c.State.Waiting != nil:
			s += ": " + said(c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Running != nil:
			s += ": reading its output"
		case c.State.Terminated != nil:
			s += ": the probe ended with " + exit(c.State.Terminated)
		}
	} else if pod.Status.Phase == corev1.PodPending || pod.Status.Phase == "" {
		s += ": kubelet has not taken it up"
	}
	return terminal.Line(s)
}

func said(reason, message string) string {
	if message == "" {
		return reason
	}
	if strings.HasPrefix(message, reason) {
		return failure.Clip(message)
	}
	return reason + ": " + failure.Clip(message)
}

// fatal returns an error if a pod's status says that no answer will come.
func (p *probe) fatal(pod *corev1.Pod) error {
	start := "start " + p.String()
	if pod.DeletionTimestamp != nil && !p.writes() {
		return p.gone()
	}
	c := container(pod)
	if c == nil {
		if pod.Status.Phase != corev1.PodFailed {
			return nil
		}
		// kubelet's admission failed it before any container was made.
		return failure.New(ErrNode, start, said(pod.Status.Reason, pod.Status.Message), p.opts.nodeRemedy(pod.Status.Reason, p.request.Node))
	}
	if w := c.State.Waiting; w != nil {
		switch w.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
			"ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
			return failure.New(ErrImage, start, "image "+p.opts.Image+": "+said(w.Reason, w.Message), imageRemedy(w.Reason, p.request.Node))
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff":
			return failure.New(ErrContainer, start, said(w.Reason, w.Message), p.containerRemedy())
		}
	}
	if t := c.State.Terminated; t != nil && (t.Reason == "StartError" || t.Reason == "ContainerCannotRun") {
		return failure.New(ErrContainer, start, said(t.Reason, t.Message), p.containerRemedy())
	}
	return nil
}

func (p *probe) containerRemedy() string {
	if p.opts.LeastPrivilege {
		return "run this without --least-privilege, or see the node's kubelet and runtime logs"
	}
	return "see the node's kubelet and runtime logs"
}

func imageRemedy(reason, node string) string {
	if reason == "ErrImageNeverPull" {
		return "load the image on node " + node + ", or let it be pulled by --image-pull-policy=IfNotPresent"
	}
	return "name an image that the node can pull by --image, or load it there and set --image-pull-policy=IfNotPresent"
}

// preempt is what kubelet does for pods of a critical priority that do not fit
// (k8s.io/kubernetes/pkg/kubelet/preemption).
const preempt = "or have kubelet end others of a lower priority for it by --priority-class=system-node-critical"

func (o Options) nodeRemedy(reason, node string) string {
	describe := "see `" + o.kubectl() + " describe node " + node + "`"
	switch {
	case reason == "OutOfpods":
		return "the node runs as many pods as it may: delete one that can go, see `" + o.kubectl() + " get pods -A --field-selector spec.nodeName=" + node + "`, " + preempt
	case strings.HasPrefix(reason, "OutOf"):
		return "make room on the node, " + describe + ", " + preempt
	case reason == "Evicted", reason == "NodeShutdown", reason == "Terminated":
		return "the node is short of something or going down, " + describe
	}
	return describe
}

// refusal explains why the API server did not create the pod.
func (p *probe) refusal(err error) error {
	op := "create " + p.String()
	ns := p.pod.Namespace
	text := err.Error()
	explain := func(kind error, remedy string) error {
		return &failure.Error{Kind: kind, Op: op, Said: failure.Clip(text), Remedy: remedy, Err: err}
	}
	switch {
	case failure.IsRBAC(err), apierrors.IsUnauthorized(err):
		return p.permission("create", "").Of(op, err)
	case violatesPodSecurity(err):
		return explain(ErrPodSecurity, p.opts.podSecurityRemedy())
	case strings.Contains(text, "exceeded quota"), strings.Contains(text, "failed quota"):
		return explain(ErrQuota, "see `"+p.opts.kubectl()+" describe quota -n "+ns+"`, delete what killed runs have left by `"+p.opts.cleanupCommand()+"`, or name another namespace by --probe-namespace")
	case p.opts.ServiceAccount != "" && strings.Contains(text, "error looking up service account"):
		return explain(ErrRefused, "name a service account of namespace "+ns+" by --service-account; see `"+p.opts.kubectl()+" get serviceaccounts -n "+ns+"`")
	case p.opts.PriorityClass != "" && strings.Contains(text, "no PriorityClass with name"):
		return explain(ErrRefused, "name a priority class by --priority-class; see `"+p.opts.kubectl()+" get priorityclasses`")
	case apierrors.IsNotFound(err):
		return explain(ErrRefused, p.namespaceRemedy())
	case strings.Contains(text, "admission webhook"), strings.Contains(text, "failed calling webhook"), strings.Contains(text, "ValidatingAdmissionPolicy"):
		return explain(ErrRefused, "a policy of the cluster refuses the pod: have it exempted, or name another namespace by --probe-namespace")
	case refused(err):
		return explain(ErrRefused, "name another namespace by --probe-namespace, or run this with --least-privilege")
	}
	return &failure.Error{Op: op, Said: failure.Clip(text), Remedy: "see whether the API server is well: `" + p.opts.kubectl() + " get --raw /readyz`", Err: err}
}

// nodeTrouble says, as far as it can be found out quickly, what is wrong with the
// node or with the pod on it.
func (p *probe) nodeTrouble() string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	node, err := p.client.Nodes().Get(ctx, p.request.Node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "the cluster has no node " + p.request.Node + " any more"
	case err == nil:
		if s := target.NotReady(node); s != "" {
			return s
		}
	}
	events, err := p.client.Events(p.pod.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.uid": string(p.uid), "type": corev1.EventTypeWarning}.String(),
	})
	if err != nil || len(events.Items) == 0 {
		return ""
	}
	last := events.Items[len(events.Items)-1]
	return said(last.Reason, last.Message)
}
