package probepod

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
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

// kind is a kind of object that somebody may have put into a namespace.
type kind struct {
	schema.GroupVersion
	resource string
}

// kindsOf asks the API server what kinds there are.
func kindsOf(ctx context.Context, c Client) ([]kind, error) {
	const op = "find out what kinds of objects there are"
	core, ok := c.RESTClient().(*rest.RESTClient)
	if !ok {
		return nil, errors.New(op + ": the client has no connection")
	}
	// A discovery client takes no context, and ours has no time limit (NewClient):
	// its requests end with ours by this.
	client := *core.Client
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) { return next.RoundTrip(r.WithContext(ctx)) })
	d, err := discovery.NewDiscoveryClientForConfigAndClient(&rest.Config{Host: core.Get().AbsPath("/").URL().String()}, &client)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	lists, err := discovery.ServerPreferredNamespacedResources(d)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	var kinds []kind
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		for _, r := range list.APIResources {
			if r.Name == "events" || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "delete") {
				continue // what is computed goes by itself, such as metrics
			}
			kinds = append(kinds, kind{gv, r.Name})
		}
	}
	return kinds, nil
}

// foreign names an object in a namespace that neither a probe nor a control plane has
// put there, "" if there is none. Events, and what another object owns, do not count.
// kinds are those of kindsOf. An error says what could not be looked at.
func foreign(ctx context.Context, c Client, kinds []kind, namespace string) (string, error) {
	var g errgroup.Group
	g.SetLimit(maxDeletions)
	found := make(chan string, 1)
	for _, kind := range kinds {
		g.Go(func() error {
			name, err := foreignOf(ctx, c, kind.GroupVersion, kind.resource, namespace)
			if name != "" {
				select {
				case found <- kind.resource + "/" + name:
				default: // one will do
				}
			}
			return err
		})
	}
	err := g.Wait()
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
