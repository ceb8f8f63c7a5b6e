package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// Selection says of which pods all containers are meant.
type Selection struct {
	// Operands name pods and workloads. If there are none, the pods are those of
	// a namespace, or of all.
	Operands      []Operand
	AllNamespaces bool
	Labels        string // selector; "": any
	Fields        string // selector; "": any
	// Node is the one on which they run; "": any.
	Node string
}

// pageSize is how many pods are asked for at once.
const pageSize = 500

// ResolveAll returns every container that runs of the pods of a selection: regular,
// init (those that stay, and one that is under way) and ephemeral ones. The order
// is by namespace, pod, and place in the specification. Pods without any are left
// out, and so are those on nodes that are not ready; Resolver.Warn is told. That
// nothing is left is an error.
func (r Resolver) ResolveAll(ctx context.Context, s Selection) ([]Container, error) {
	pods, err := r.pods(ctx, s)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, failure.New(ErrNotFound, "find pods", "nothing matches: "+s.describe(r.Namespace), "see `kubectl get pods`")
	}
	var (
		all  []Container
		left error
	)
	for i := range pods {
		containers, err := runningAll(&pods[i], s.containerOf(&pods[i]))
		if err != nil {
			left = cmp.Or(left, err)
			// Pods that have ended are no news among many.
			if len(s.Operands) > 0 && !errors.Is(err, ErrNoContainer) {
				r.warn(fmt.Errorf("left out: %w", err))
			}
			if errors.Is(err, ErrNoContainer) {
				return nil, err
			}
			continue
		}
		all = append(all, containers...)
	}
	for _, node := range Nodes(all) {
		if err := r.CheckNode(ctx, node); err != nil {
			if !errors.Is(err, ErrNodeNotReady) {
				return nil, err
			}
			left = cmp.Or(left, err)
			before := len(all)
			all = slices.DeleteFunc(all, func(c Container) bool { return c.Node == node })
			r.warn(fmt.Errorf("left out: %d containers: %w", before-len(all), err))
		}
	}
	if len(all) == 0 {
		return nil, left
	}
	return all, nil
}

func (r Resolver) warn(err error) {
	if r.Warn != nil {
		r.Warn(err)
	}
}

// describe says in words which pods are meant.
func (s Selection) describe(namespace string) string {
	text := "pods in namespace " + namespace
	if s.AllNamespaces {
		text = "pods in all namespaces"
	}
	if s.Labels != "" {
		text += " with labels " + failure.Quote(s.Labels)
	}
	if s.Fields != "" {
		text += " with fields " + failure.Quote(s.Fields)
	}
	if s.Node != "" {
		text += " on node " + s.Node
	}
	return text
}

// containerOf is the container that is asked for of a pod, "" for all: the pod
// is that of an operand with a container's name.
func (s Selection) containerOf(pod *corev1.Pod) string {
	if i := len(s.Operands); i == 1 {
		return s.Operands[0].Container
	}
	for _, o := range s.Operands {
		if o.isPod() && o.Name == pod.Name && (o.Namespace == "" || o.Namespace == pod.Namespace) {
			return o.Container
		}
	}
	return ""
}

// pods returns the pods of a selection, each once, in order.
func (r Resolver) pods(ctx context.Context, s Selection) (pods []corev1.Pod, err error) {
	if len(s.Operands) == 0 {
		pods, err = r.listPods(ctx, s)
	}
	for _, o := range s.Operands {
		if o.Namespace == "" {
			o.Namespace = r.Namespace
		}
		if o.isPod() {
			pod, err := r.pod(ctx, o.Namespace, o.Name)
			if err != nil {
				return nil, err
			}
			pods = append(pods, *pod)
			continue
		}
		of, err := r.podsOf(ctx, o)
		if err != nil {
			return nil, err
		}
		pods = append(pods, of...)
	}
	slices.SortStableFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.CompactFunc(pods, func(a, b corev1.Pod) bool { return a.UID == b.UID }), err
}

// listPods lists pods page by page, and asks for no more than the selection means.
func (r Resolver) listPods(ctx context.Context, s Selection) ([]corev1.Pod, error) {
	namespace := r.Namespace
	if s.AllNamespaces {
		namespace = metav1.NamespaceAll
	}
	fields := s.Fields
	if s.Node != "" {
		if fields != "" {
			fields += ","
		}
		fields += "spec.nodeName=" + s.Node
	}
	var pods []corev1.Pod
	o := metav1.ListOptions{LabelSelector: s.Labels, FieldSelector: fields, Limit: pageSize}
	for {
		list, err := r.Client.Pods(namespace).List(ctx, o)
		if err != nil {
			return nil, failure.Request{Verb: "list", Resource: "pods", Namespace: namespace}.Of("list "+s.describe(r.Namespace), err)
		}
		pods = append(pods, list.Items...)
		if o.Continue = list.Continue; o.Continue == "" {
			return pods, nil
		}
	}
}

// runningAll returns the containers of a pod that run: the one of a name, or all.
func runningAll(pod *corev1.Pod, name string) ([]Container, error) {
	if name != "" {
		c, err := running(pod, name)
		if err != nil {
			return nil, err
		}
		return []Container{c}, nil
	}
	var (
		list  []Container
		first error
	)
	for _, name := range specNames(pod) {
		c, err := running(pod, name)
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, first
	}
	return list, nil
}

// specNames are the names of a pod's containers, in the order in which they are
// started.
func specNames(pod *corev1.Pod) (names []string) {
	for _, c := range pod.Spec.InitContainers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		names = append(names, c.Name)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		names = append(names, c.Name)
	}
	return names
}
