package probepod

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// namespaceSuffix is how long what makes a namespace's name unique is.
const namespaceSuffix = 10

// madeNamespace reports whether a namespace is one that NewNamespace returned, as
// made does of a pod. Somebody who may create namespaces can forge it: what they lose
// is a namespace with nothing in it (see foreign).
func madeNamespace(ns *corev1.Namespace) bool {
	suffix, ok := strings.CutPrefix(ns.Name, Name+"-")
	_, err := deadlineOf(ns)
	return ok && len(suffix) == namespaceSuffix && err == nil &&
		ns.Labels[LabelName] == Name && ns.Labels[LabelManagedBy] == ManagedBy && runID.MatchString(ns.Labels[LabelInstance]) &&
		!slices.ContainsFunc(podSecurityModes, func(mode string) bool { return ns.Labels[mode] != levelPrivileged }) &&
		len(ns.OwnerReferences) == 0 && ns.GenerateName == ""
}

// maxDeadline is the longest that a namespace's annotation is believed, and more than
// any run takes.
const maxDeadline = 366 * 24 * time.Hour

func deadlineOf(ns *corev1.Namespace) (time.Duration, error) {
	seconds, err := strconv.ParseUint(ns.Annotations[AnnotationDeadline], 10, 31)
	d := time.Duration(seconds) * time.Second
	if err == nil && d > maxDeadline {
		err = fmt.Errorf("%v is longer than %v", d, maxDeadline)
	}
	return d, err
}

// overNamespace is when the run that made a namespace has ended for certain.
func overNamespace(ns *corev1.Namespace) time.Time {
	d, _ := deadlineOf(ns)
	return ns.CreationTimestamp.Add(d + leftoverMargin)
}

// isKeptNamespace reports whether who made a namespace wants it kept.
func isKeptNamespace(ns *corev1.Namespace) bool { return ns.Annotations[AnnotationKeep] == "true" }

// native are the objects, by resource and name, that a control plane puts into every
// namespace: Kubernetes' own, OpenShift's and Istio's.
var native = map[string][]string{
	"serviceaccounts": {"default", "builder", "deployer"},
	"configmaps":      {"kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"},
	"rolebindings":    {"system:deployers", "system:image-builders", "system:image-pullers"},
}

// pageOfObjects is how many objects of a kind are looked at.
const pageOfObjects = 500

// foreign names an object in a namespace that neither a probe nor a control plane has
// put there, "" if there is none. Events, and what another object owns, do not count.
// An error says what could not be looked at.
func foreign(ctx context.Context, c Client, namespace string) (string, error) {
	kinds, err := discovery.ServerPreferredNamespacedResources(discovery.NewDiscoveryClient(c.RESTClient()))
	if err != nil {
		return "", fmt.Errorf("find out what kinds of objects there are: %w", err)
	}
	var g errgroup.Group
	g.SetLimit(maxDeletions)
	found := make(chan string, 1)
	for _, list := range kinds {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return "", err
		}
		for _, kind := range list.APIResources {
			if kind.Name == "events" || !slices.Contains(kind.Verbs, "list") || !slices.Contains(kind.Verbs, "delete") {
				continue // what is computed goes by itself, such as metrics
			}
			g.Go(func() error {
				name, err := foreignOf(ctx, c, gv, kind.Name, namespace)
				if name != "" {
					select {
					case found <- kind.Name + "/" + name:
					default: // one will do
					}
				}
				return err
			})
		}
	}
	err = g.Wait()
	select {
	case name := <-found:
		return name, nil
	default:
		return "", err
	}
}

// foreignOf is foreign for one kind of object.
func foreignOf(ctx context.Context, c Client, gv schema.GroupVersion, resource, namespace string) (string, error) {
	if gv.Group == "" && resource == "pods" {
		return strangePod(ctx, c, namespace, made)
	}
	root := []string{"apis", gv.Group, gv.Version}
	if gv.Group == "" {
		root = []string{"api", gv.Version}
	}
	// Names are enough: not what is in secrets, for one.
	text, err := c.RESTClient().Get().AbsPath(append(root, "namespaces", namespace, resource)...).
		Param("limit", strconv.Itoa(pageOfObjects)).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json").
		Do(ctx).Raw()
	if err != nil {
		return "", err
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(text, &list); err != nil {
		return "", fmt.Errorf("list %s: %w", resource, err)
	}
	for _, object := range list.Items {
		if len(object.OwnerReferences) == 0 && !slices.Contains(native[resource], object.Name) {
			return object.Name, nil
		}
	}
	if list.Continue != "" {
		return "…", nil // too many to be a control plane's
	}
	return "", nil
}

// strangePod names a pod in a namespace that is not one of ours, "" if there is none.
func strangePod(ctx context.Context, c Client, namespace string, ours func(*corev1.Pod) bool) (string, error) {
	pods, err := c.Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; !ours(pod) {
			return pod.Name, nil
		}
	}
	return "", nil
}
