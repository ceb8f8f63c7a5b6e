package probepod

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"
)

const (
	// leftoverMargin is how long after its deadline a pod is taken for one without
	// a run. A run ends before its pod's deadline already (deadlineMargin), so that
	// this is for clocks of API servers that do not agree.
	leftoverMargin = time.Minute

	// sweepTimeout bounds the look for leftovers that a run takes beside its work.
	sweepTimeout = 10 * time.Second

	// maxDeletions bounds the deletions of leftovers that are under way at a time.
	maxDeletions = 8
)

// runID is what runIDFunc makes.
var runID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// made reports whether a pod is one that New returned, in whatever run and version
// of the plugin, for its labels alone do not say so: anybody can set them. What is
// asked for beside them is what a probe cannot be without, with the run and the
// node that the labels and the name have to agree with, and what an admission
// webhook has no reason to change. It may have added containers, set the image and
// filled in defaults.
//
// A pod that is forged in all of this shares the node's PID namespace: only who
// may make privileged pods there can have made it, and what they lose is a pod
// that does a probe's work.
func made(pod *corev1.Pod) bool {
	spec, run := &pod.Spec, pod.Labels[LabelInstance]
	i := slices.IndexFunc(spec.Containers, func(c corev1.Container) bool { return c.Name == containerName })
	return pod.Labels[LabelName] == Name && pod.Labels[LabelManagedBy] == ManagedBy && runID.MatchString(run) &&
		spec.NodeName != "" && isNameFor(spec.NodeName, pod.Name) &&
		len(pod.OwnerReferences) == 0 && pod.GenerateName == "" &&
		spec.HostPID && !spec.HostNetwork && !spec.HostIPC &&
		spec.RestartPolicy == corev1.RestartPolicyNever && spec.ActiveDeadlineSeconds != nil &&
		i >= 0 && slices.Equal(spec.Containers[i].Command, []string{probeCommand}) &&
		len(spec.Containers[i].Args) >= 3 && slices.Equal(spec.Containers[i].Args[:3], []string{collectCommand, "--run", run})
}

// isNameFor reports whether podName may have returned name for a node.
func isNameFor(node, name string) bool {
	suffix, ok := strings.CutPrefix(name, namePrefix(node))
	return ok && len(suffix) == suffixLength
}

// isKept reports whether who made a pod wants it kept.
func isKept(pod *corev1.Pod) bool { return pod.Annotations[AnnotationKeep] == "true" }

// over is when the run of a pod that New made has ended for certain, by the clock
// of the API server.
func over(pod *corev1.Pod) time.Time {
	deadline := time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second
	return pod.CreationTimestamp.Add(deadline + leftoverMargin)
}

// sweep deletes what earlier runs have left in the namespace of the probe pods,
// where their clients were killed: pods that New made, that nobody wants kept, and
// whose run has ended for certain; and namespaces of which the same holds. now is the
// time by the clock of the API server, which has dated the pods too: a client's may be
// wrong by hours.
//
// It runs beside a run, which neither waits for it nor fails with it: who may not list
// pods or namespaces has no leftovers deleted, and what is not done when the run ends
// is left to the next.
func (r *runner) sweep(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	var g sync.WaitGroup
	g.Go(func() { r.sweepNamespaces(ctx, now) })
	if r.home == nil { // in which nothing can be left
		g.Go(func() { r.sweepPods(ctx, now) })
	}
	g.Wait()
}

func (r *runner) sweepPods(ctx context.Context, now time.Time) {
	pods := r.client.Pods(r.opts.namespace())
	// Version 0 is for whatever the API server has in memory. It may be a little
	// old, but what makes a pod a leftover does not change, and deletions name
	// the UID.
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: Selector, ResourceVersion: "0"})
	if err != nil {
		return
	}
	var g errgroup.Group
	g.SetLimit(maxDeletions)
	for i := range list.Items {
		pod := &list.Items[i]
		if ctx.Err() != nil {
			break
		}
		if !made(pod) || isKept(pod) || !now.After(over(pod)) {
			continue
		}
		g.Go(func() error {
			if deletePod(ctx, pods, pod.Name, pod.UID) == nil {
				r.say("deleted probe pod " + pod.Namespace + "/" + pod.Name + ", which an earlier run had left")
			}
			return nil
		})
	}
	g.Wait()
}

// sweepNamespaces deletes namespaces that earlier runs have made, with nothing of
// anybody else's in them.
func (r *runner) sweepNamespaces(ctx context.Context, now time.Time) {
	list, err := r.client.Namespaces().List(ctx, metav1.ListOptions{LabelSelector: Selector, ResourceVersion: "0"})
	if err != nil {
		return
	}
	kinds := sync.OnceValues(func() ([]kind, error) { return kindsOf(ctx, r.client) })
	for i := range list.Items {
		ns := &list.Items[i]
		if !madeNamespace(ns) || isKeptNamespace(ns) || ns.DeletionTimestamp != nil || !now.After(overNamespace(ns)) {
			continue
		}
		known, err := kinds()
		if err != nil {
			return
		}
		if who, err := foreign(ctx, r.client, known, ns.Name); who != "" || err != nil {
			continue
		}
		if deleteNamespace(ctx, r.client.Namespaces(), ns.Name, ns.UID) == nil {
			r.say("deleted namespace " + ns.Name + ", which an earlier run had left")
		}
	}
}

// deletePod deletes one pod, and no other that has come by its name. That it is
// gone already is no error.
//
// The grace period of 0 takes the object away at once, without waiting for
// kubelet; kubelet still ends what runs of it as the pod's own grace period says
// (SIGTERM first), as it does with any pod that vanished from the API. Nothing
// that the probe does needs the object to outlive the container.
func deletePod(ctx context.Context, pods corev1client.PodInterface, name string, uid types.UID) error {
	err := pods.Delete(ctx, name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To(int64(0)),
		Preconditions:      &metav1.Preconditions{UID: &uid},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone; of a conflict, another is there by its name
	}
	return err
}
