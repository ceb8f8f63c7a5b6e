package probepod

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// CleanupOptions say which probe pods Cleanup deletes.
type CleanupOptions struct {
	Namespace string // "": all
	Created   bool   // the namespaces that runs have made, as well
	All       bool   // those of runs that may be under way as well, and those that are kept
	Kept      bool   // those that are kept as well (Options.Keep)
	DryRun    bool   // none: only tell
	Kubectl   string // as in Options
}

// Leftover is a pod, or a namespace, with the labels of what runs create, and what
// Cleanup did about it.
type Leftover struct {
	Kind            string // Pod, Namespace
	Namespace, Name string
	Left            string // why it is left alone; "": it is deleted
	Err             error  // why it could not be deleted
}

// cleanupCommand is the command that runs Cleanup. kubectl hands no flag on that is
// before a plugin's name.
func (o Options) cleanupCommand() string {
	command := "kubectl seccomp cleanup"
	if o.namespace() != DefaultNamespace {
		command += " --probe-namespace=" + o.namespace()
	}
	return command + strings.TrimPrefix(o.kubectl(), "kubectl")
}

const (
	// cleanupAllTimeout bounds a Cleanup.
	cleanupAllTimeout = time.Minute

	// endedFor is how long ago a probe has ended whose client must be gone: one
	// that is there reads the last line of the log, and deletes the pod, within
	// seconds.
	endedFor = 30 * time.Second
)

// Cleanup deletes what runs have left whose clients were killed: pods that New
// made, and whose run is over, or has no client any more as its probe ended a while
// ago; and of namespaces that runs have made, those whose run is over and that hold
// nothing of anybody else's. It returns everything that has the labels of these, in
// the order of namespace and name. The error is for what could not be listed; if that
// is namespaces it comes with the pods, and it is an *Unseen where the user, who may
// need none of them, is not allowed to list them.
func Cleanup(ctx context.Context, config *rest.Config, o CleanupOptions) ([]Leftover, error) {
	ctx, cancel := context.WithTimeout(ctx, cleanupAllTimeout)
	defer cancel()
	var clock serverClock
	config = rest.CopyConfig(config)
	config.Wrap(clock.listen)
	client, err := NewClient(config)
	if err != nil {
		return nil, err
	}
	pods, err := client.Pods(o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: Selector})
	if err != nil {
		where := "in all namespaces"
		if o.Namespace != "" {
			where = "in namespace " + o.Namespace
		}
		return nil, failure.Request{Verb: "list", Resource: "pods", Namespace: o.Namespace, Kubectl: o.Kubectl}.Of("list probe pods "+where, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	now := clock.now()
	list := make([]Leftover, len(pods.Items))
	var g errgroup.Group
	g.SetLimit(maxDeletions)
	for i := range pods.Items {
		pod, l := &pods.Items[i], &list[i]
		*l = Leftover{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, Left: o.staying(pod, now)}
		if l.Left != "" || o.DryRun {
			continue
		}
		g.Go(func() error {
			err := deletePod(ctx, client.Pods(pod.Namespace), pod.Name, pod.UID)
			l.Err = failure.Request{Verb: "delete", Resource: "pods", Namespace: pod.Namespace, Kubectl: o.Kubectl}.Of("delete probe pod "+pod.Namespace+"/"+pod.Name, err)
			return nil
		})
	}
	g.Wait()
	if !o.Created {
		return list, nil
	}
	namespaces, err := client.Namespaces().List(ctx, metav1.ListOptions{LabelSelector: Selector})
	if err != nil {
		rbac := failure.IsRBAC(err)
		err = failure.Request{Verb: "list", Resource: "namespaces", Kubectl: o.Kubectl}.Of("look for namespaces that runs have left", err)
		if rbac {
			err = &Unseen{err}
		}
		return list, err
	}
	kinds := sync.OnceValues(func() ([]kind, error) { return kindsOf(ctx, client) })
	for i := range namespaces.Items {
		list = append(list, o.cleanNamespace(ctx, client, kinds, &namespaces.Items[i], now))
	}
	return list, nil
}

// cleanNamespace deletes one namespace, unless something speaks against it.
func (o CleanupOptions) cleanNamespace(ctx context.Context, c Client, kinds func() ([]kind, error), ns *corev1.Namespace, now time.Time) Leftover {
	l := Leftover{Kind: "Namespace", Name: ns.Name, Left: o.stayingNamespace(ns, now)}
	if l.Left != "" {
		return l
	}
	op := "delete namespace " + ns.Name
	known, err := kinds()
	var who string
	if err == nil {
		who, err = foreign(ctx, c, known, ns.Name)
	}
	switch {
	case err != nil:
		l.Err = failure.Request{Verb: "list", Resource: "'*'", Namespace: ns.Name, Kubectl: o.Kubectl}.Of("see whether namespace "+ns.Name+" is empty", err)
	case who != "":
		l.Left = "it holds " + who + ", which no run has made"
	case !o.DryRun:
		l.Err = failure.Request{Verb: "delete", Resource: "namespaces", Kubectl: o.Kubectl}.Of(op, deleteNamespace(ctx, c.Namespaces(), ns.Name, ns.UID))
	}
	return l
}

// stayingNamespace is staying for a namespace.
func (o CleanupOptions) stayingNamespace(ns *corev1.Namespace, now time.Time) string {
	switch {
	case !madeNamespace(ns):
		return "it has the labels of a run's namespace, and is none"
	case ns.DeletionTimestamp != nil:
		return "it is being deleted"
	case o.All:
		return ""
	case isKeptNamespace(ns) && !o.Kept:
		return "it was kept by --keep-probe; --kept deletes it too"
	case now.After(overNamespace(ns)):
		return ""
	}
	return mayBeUnderWay(overNamespace(ns).Sub(now))
}

func mayBeUnderWay(d time.Duration) string {
	return fmt.Sprintf("its run may be under way for another %v", d.Round(time.Second))
}

// staying is why a pod is not deleted, "" if it is. One that somebody else made never
// is.
func (o CleanupOptions) staying(pod *corev1.Pod, now time.Time) string {
	switch {
	case !made(pod):
		return "it has the labels of a probe pod, and is none"
	case o.All:
		return ""
	case isKept(pod) && !o.Kept:
		return "it was kept by --keep-probe; --kept deletes it too"
	case now.After(over(pod)), ended(pod) && now.Sub(endedAt(pod)) > endedFor:
		return ""
	case ended(pod):
		return "its probe has only just ended: its run may be under way"
	}
	return mayBeUnderWay(over(pod).Sub(now))
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// endedAt is when the last of a pod's containers ended, as the node says. One that
// kubelet has not admitted never had any.
func endedAt(pod *corev1.Pod) time.Time {
	last := pod.CreationTimestamp.Time
	for _, s := range pod.Status.ContainerStatuses {
		if t := s.State.Terminated; t != nil && t.FinishedAt.After(last) {
			last = t.FinishedAt.Time
		}
	}
	return last
}

// serverClock is the clock of the API server, as its answers tell the time. It has
// dated the pods; this machine's may be wrong by hours.
type serverClock struct{ ahead atomic.Int64 }

// listen has the clock set by every answer that comes through.
func (c *serverClock) listen(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err == nil {
			if t, err := http.ParseTime(response.Header.Get("Date")); err == nil {
				c.ahead.Store(int64(time.Until(t)))
			}
		}
		return response, err
	})
}

func (c *serverClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
