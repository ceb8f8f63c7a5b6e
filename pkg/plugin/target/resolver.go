package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// ErrForbidden is what the user is not permitted to do.
var ErrForbidden = failure.ErrForbidden

// ErrNotFound is an object that is not there, or that has no pods.
var ErrNotFound = errors.New("not found")

// Resolver finds the containers that operands name.
type Resolver struct {
	Client    corev1client.CoreV1Interface
	Getter    genericclioptions.RESTClientGetter // for operands with a type; may be nil without them
	Namespace string                             // of operands that name none
	// Warn, if set, is told of pods of a workload that are left out, and why.
	Warn func(error)
	// Kubectl is how a command that is printed begins, with --context and the like;
	// "": kubectl.
	Kubectl string
}

func (r Resolver) kubectl() string { return cmp.Or(r.Kubectl, "kubectl") }

// request is one to the API server.
func (r Resolver) request(verb, resource, namespace string) failure.Request {
	return failure.Request{Verb: verb, Resource: resource, Namespace: namespace, Kubectl: r.Kubectl}
}

// Resolve returns the container that an operand names. Of a workload it returns
// one for each pod in which it runs, in the order of the pods' names; that there
// is none is an error. The nodes of all that is returned are ready, unless the
// user may not look at nodes: then a node out of reach shows later, when the
// probe does not start.
func (r Resolver) Resolve(ctx context.Context, o Operand) ([]Container, error) {
	if o.Namespace == "" {
		o.Namespace = r.Namespace
	}
	containers, err := r.containers(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, node := range Nodes(containers) {
		if err := r.CheckNode(ctx, node); err != nil {
			return nil, err
		}
	}
	return containers, nil
}

// Nodes are those of containers, each once, in the order of their names.
func Nodes(containers []Container) (nodes []string) {
	for _, c := range containers {
		nodes = append(nodes, c.Node)
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

func (r Resolver) containers(ctx context.Context, o Operand) ([]Container, error) {
	if o.isPod() {
		pod, err := r.pod(ctx, o.Namespace, o.Name)
		if err != nil {
			return nil, err
		}
		c, err := r.running(pod, o.Container)
		if err != nil {
			return nil, err
		}
		return []Container{c}, nil
	}
	pods, err := r.podsOf(ctx, o)
	if err != nil {
		return nil, err
	}
	var (
		containers []Container
		left       []error
	)
	for i := range pods {
		c, err := r.running(&pods[i], o.Container)
		if errors.Is(err, ErrNoContainer) {
			return nil, err
		}
		if err != nil {
			left = append(left, err)
			continue
		}
		containers = append(containers, c)
	}
	if len(containers) == 0 {
		// All of them have their reason; the first will do.
		return nil, left[0]
	}
	if r.Warn != nil {
		for _, err := range left {
			r.Warn(fmt.Errorf("left out of %s: %w", o.Text, err))
		}
	}
	return containers, nil
}

func (r Resolver) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	op := "find pod " + namespace + "/" + name
	pod, err := r.Client.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, &failure.Error{Kind: ErrNotFound, Op: op, Said: "there is none", Err: err,
			Remedy: "see `" + r.kubectl() + " get pods -n " + namespace + "`"}
	}
	return pod, r.request("get", "pods", namespace).Of(op, err)
}

// CheckNode returns an error if a node cannot run a probe. A user who may not
// look at nodes is not kept from trying.
func (r Resolver) CheckNode(ctx context.Context, name string) error {
	op := "read containers on node " + name
	node, err := r.Client.Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case failure.IsRBAC(err):
		return nil
	case apierrors.IsNotFound(err):
		return &failure.Error{Kind: ErrNodeNotReady, Op: op, Err: err,
			Said: "the cluster has no such node", Remedy: "see `" + r.kubectl() + " get nodes`"}
	case err != nil:
		return r.request("get", "nodes", "").Of(op, err)
	}
	if said := NotReady(node); said != "" {
		return failure.New(ErrNodeNotReady, op, said, "see `"+r.kubectl()+" describe node "+name+"`")
	}
	return nil
}

// NotReady says why a node is not ready, "" if it is.
func NotReady(node *corev1.Node) string {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			if c.Status == corev1.ConditionTrue {
				return ""
			}
			return "the node is NotReady: " + reason(c.Reason, c.Message)
		}
	}
	return "the node is NotReady: its kubelet has not reported"
}

// Changed tells whether containers of one pod are, by its status, those that they
// were when they were resolved: it returns why not, by ID, with errors that wrap
// ErrRestarted, and ErrGone if nothing came in the place of it. A kubelet reports
// up to a second or two late, so that nothing changed is no proof; what is read by
// container ID is of that container all the same.
func (r Resolver) Changed(ctx context.Context, containers []Container) (map[string]error, error) {
	first := containers[0]
	pod, err := r.Client.Pods(first.Namespace).Get(ctx, first.Pod, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, r.request("get", "pods", first.Namespace).Of("read "+first.String(), err)
	}
	changed := make(map[string]error)
	for _, c := range containers {
		if err := r.changed(c, pod, err); err != nil {
			changed[c.ID] = err
		}
	}
	return changed, nil
}

// changed is Changed for a container, by its pod, or by why that was not found.
func (r Resolver) changed(c Container, pod *corev1.Pod, missing error) error {
	op := "read " + c.String()
	again := "what was read is incomplete; run this again"
	if missing != nil || string(pod.UID) != c.PodUID {
		return failure.New(ErrGone, op, "the pod was deleted while its container was read", again)
	}
	status := statusOf(pod, c.Name)
	switch {
	case status == nil:
		return failure.New(ErrGone, op, "the container lost its status while it was read", again)
	case status.ContainerID != c.ID || status.RestartCount != c.RestartCount:
		return failure.New(ErrRestarted, op, fmt.Sprintf("the container restarted while it was read (%d restarts before, %d now)",
			c.RestartCount, status.RestartCount), again)
	case status.State.Running == nil:
		said, _ := r.whyNot(pod, c.Name, status)
		return failure.New(ErrGone, op, "the container stopped while it was read: "+said, again)
	}
	return nil
}
