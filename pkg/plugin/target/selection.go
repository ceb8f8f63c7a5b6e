package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
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
// out; of those that were named Resolver.Warn is told. That nothing is left is an
// error, and so is that nothing is on a node that is ready: away has why others are
// not, by their names.
func (r Resolver) ResolveAll(ctx context.Context, s Selection) (all []Container, away map[string]error, err error) {
	pods, err := r.pods(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	if len(pods) == 0 {
		return nil, nil, failure.New(ErrNotFound, "find pods", "nothing matches: "+s.describe(r.Namespace), "see `"+r.kubectl()+s.getPods(r.Namespace)+"`")
	}
	var left error
	for _, p := range pods {
		containers, errs := r.chosen(p)
		for _, err := range errs {
			if errors.Is(err, ErrNoContainer) {
				return nil, nil, err
			}
			left = cmp.Or(left, err)
			// Pods that have ended are no news among many.
			if len(s.Operands) > 0 {
				r.warn(fmt.Errorf("left out: %w", err))
			}
		}
		all = append(all, containers...)
	}
	if len(all) == 0 {
		return nil, nil, left
	}
	nodes := Nodes(all)
	if away, err = r.notReady(ctx, nodes); err != nil {
		return nil, nil, err
	}
	if len(away) == len(nodes) {
		return nil, nil, away[nodes[0]]
	}
	return all, away, nil
}

// maxChecks is how many nodes are asked about at the same time.
const maxChecks = 16

// notReady returns why nodes are not ready, of those that are not.
func (r Resolver) notReady(ctx context.Context, nodes []string) (map[string]error, error) {
	var mu sync.Mutex
	away := make(map[string]error)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxChecks)
	for _, node := range nodes {
		g.Go(func() error {
			err := r.CheckNode(ctx, node)
			if !errors.Is(err, ErrNodeNotReady) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			away[node] = err
			return nil
		})
	}
	return away, g.Wait()
}

func (r Resolver) warn(err error) {
	if r.Warn != nil {
		r.Warn(err)
	}
}

// getPods is kubectl's command that shows which pods there are to choose from.
func (s Selection) getPods(namespace string) string {
	if s.AllNamespaces {
		return " get pods -A --show-labels"
	}
	return " get pods -n " + namespace + " --show-labels"
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

// chosen is a pod, and the containers of it that are meant; nil: all.
type chosen struct {
	pod   corev1.Pod
	names []string
}

// pods returns the pods of a selection, each once, in order.
func (r Resolver) pods(ctx context.Context, s Selection) (list []chosen, err error) {
	if len(s.Operands) == 0 {
		pods, err := r.listPods(ctx, s)
		if err != nil {
			return nil, err
		}
		list = choose(pods, "")
	}
	for _, o := range s.Operands {
		if o.Namespace == "" {
			o.Namespace = r.Namespace
		}
		var pods []corev1.Pod
		if o.isPod() {
			pod, err := r.pod(ctx, o.Namespace, o.Name)
			if err != nil {
				return nil, err
			}
			pods = []corev1.Pod{*pod}
		} else if pods, err = r.podsOf(ctx, o); err != nil {
			return nil, err
		}
		list = append(list, choose(pods, o.Container)...)
	}
	return merged(list), nil
}

func choose(pods []corev1.Pod, container string) (list []chosen) {
	var names []string
	if container != "" {
		names = []string{container}
	}
	for _, pod := range pods {
		list = append(list, chosen{pod, names})
	}
	return list
}

// merged returns pods in order, each once: of one that is there more than once all
// containers are meant that are meant anywhere.
func merged(list []chosen) (out []chosen) {
	slices.SortStableFunc(list, func(a, b chosen) int {
		return cmp.Or(cmp.Compare(a.pod.Namespace, b.pod.Namespace), cmp.Compare(a.pod.Name, b.pod.Name))
	})
	for _, c := range list {
		if len(out) == 0 || out[len(out)-1].pod.UID != c.pod.UID {
			out = append(out, c)
			continue
		}
		last := &out[len(out)-1]
		if last.names == nil || c.names == nil {
			last.names = nil
		} else {
			last.names = slices.Concat(last.names, c.names)
		}
	}
	return out
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
			return nil, r.request("list", "pods", namespace).Of("list "+s.describe(r.Namespace), err)
		}
		pods = append(pods, list.Items...)
		if o.Continue = list.Continue; o.Continue == "" {
			return pods, nil
		}
	}
}

// chosen returns those of the containers that run. Why others do not is told of
// each that is meant by name, and of a pod of which none runs.
func (r Resolver) chosen(c chosen) (list []Container, errs []error) {
	order := specNames(&c.pod)
	for _, name := range c.names {
		if !slices.Contains(order, name) {
			_, err := find(&c.pod, name)
			return nil, []error{err}
		}
	}
	for _, name := range order {
		if c.names != nil && !slices.Contains(c.names, name) {
			continue
		}
		container, err := r.running(&c.pod, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, container)
	}
	switch {
	case c.names != nil:
	case len(list) > 0:
		errs = nil
	case len(errs) > 0:
		errs = errs[:1]
	}
	return list, errs
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
