package target

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// Watch is told of the containers that a selection's pods have, and of those that
// come.
type Watch struct {
	mu      sync.Mutex
	seen    map[string]Sighting // by ID
	ended   []bool              // by query: its pod has ended, and none comes in its place
	done    chan struct{}
	waiting sync.WaitGroup
	cancel  context.CancelFunc
}

// Sighting is a container as a pod's status had it.
type Sighting struct {
	Container
	Ran bool // it was seen to run, and not only that it had
}

// query is a part of a selection: pods, and the name of the containers that are meant;
// "": all.
type query struct {
	namespace string
	options   metav1.ListOptions
	container string
	named     bool // it is one pod, by its name
}

// rewatch is between the end of a watch, which the API server ends every now and then,
// and the next one.
const rewatch = time.Second

// Watch watches the pods of a selection, until the context ends or Stop is called. The
// error is that of the first request of each kind: later ones are repeated.
func (r Resolver) Watch(ctx context.Context, s Selection) (*Watch, error) {
	queries, err := r.queries(s)
	if err != nil {
		return nil, err
	}
	w := &Watch{seen: make(map[string]Sighting), ended: make([]bool, len(queries)), done: make(chan struct{})}
	ctx, w.cancel = context.WithCancel(ctx)
	for i, q := range queries {
		events, err := r.Client.Pods(q.namespace).Watch(ctx, q.options)
		if err != nil {
			w.Stop()
			return nil, r.request("watch", "pods", q.namespace).Of("watch pods", err)
		}
		w.waiting.Go(func() {
			for {
				w.follow(ctx, i, q, events)
				if ctx.Err() != nil {
					return
				}
				select {
				case <-ctx.Done():
					return
				case <-time.After(rewatch):
				}
				// A watch from the beginning tells of what there is first.
				if next, err := r.Client.Pods(q.namespace).Watch(ctx, q.options); err == nil {
					events = next
				}
			}
		})
	}
	return w, nil
}

// Stop ends the watch and returns what was seen, by ID.
func (w *Watch) Stop() map[string]Sighting {
	w.cancel()
	w.waiting.Wait()
	return w.seen
}

// Done is closed when all of the selection are pods by their names that have ended, and
// nothing makes others of these names.
func (w *Watch) Done() <-chan struct{} { return w.done }

func (w *Watch) follow(ctx context.Context, i int, q query, events watch.Interface) {
	defer events.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events.ResultChan():
			if !ok {
				return
			}
			if pod, ok := e.Object.(*corev1.Pod); ok {
				w.add(i, q, pod, e.Type == watch.Deleted)
			}
		}
	}
}

func (w *Watch) add(i int, q query, pod *corev1.Pod, deleted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range sightings(pod) {
		if q.container != "" && c.Name != q.container {
			continue
		}
		c.Ran = c.Ran || w.seen[c.ID].Ran
		w.seen[c.ID] = c
	}
	w.ended[i] = q.named && (finished(pod) || deleted && !comesBack(pod))
	if slices.Contains(w.ended, false) {
		return
	}
	select {
	case <-w.done:
	default:
		close(w.done)
	}
}

func finished(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// comesBack reports whether something may make a pod of the same name as one that is
// deleted: a StatefulSet does, and the kubelet of a static pod.
func comesBack(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && owner.Kind != "ReplicaSet" && owner.Kind != "Job" && owner.Kind != "DaemonSet" && owner.Kind != "ReplicationController"
}

// sightings are the containers that a pod's status knows of, with those that ended
// before those that run now.
func sightings(pod *corev1.Pod) (list []Sighting) {
	for _, statuses := range [][]corev1.ContainerStatus{
		pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for _, s := range statuses {
			spec := named(pod, s.Name)
			if spec == nil {
				continue
			}
			add := func(id string, ran bool) {
				if isContainerID(id) {
					list = append(list, Sighting{container(pod, spec, id, s.RestartCount), ran})
				}
			}
			if last := s.LastTerminationState.Terminated; last != nil {
				add(last.ContainerID, false)
			}
			add(s.ContainerID, s.State.Running != nil)
		}
	}
	return list
}

// queries are what a selection asks of the API server.
func (r Resolver) queries(s Selection) (list []query, err error) {
	if len(s.Operands) == 0 {
		namespace := r.Namespace
		if s.AllNamespaces {
			namespace = metav1.NamespaceAll
		}
		return []query{{namespace: namespace, options: metav1.ListOptions{LabelSelector: s.Labels, FieldSelector: s.Fields}}}, nil
	}
	for _, o := range s.Operands {
		if o.Namespace == "" {
			o.Namespace = r.Namespace
		}
		q := query{namespace: o.Namespace, container: o.Container, named: o.isPod()}
		if !q.named {
			if r.Getter == nil {
				return nil, errors.New("no way to look up types")
			}
			op := "find " + o.Type + " " + o.Namespace + "/" + o.Name
			object, err := r.object(o)
			if err != nil {
				return nil, r.lookupError(op, o, err)
			}
			if q.named = object.GroupVersionKind().GroupKind() == (schema.GroupKind{Kind: "Pod"}); !q.named {
				selector, err := r.podSelector(op, object)
				if err != nil {
					return nil, err
				}
				q.options.LabelSelector = selector.String()
			}
		}
		if q.named {
			q.options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, o.Name).String()
		}
		list = append(list, q)
	}
	return list, nil
}
