// Package complete finds what a shell can offer where a name of something in a
// cluster is typed.
//
// A person waits for it with a finger on a key: every answer is bounded in time and
// in length, and what goes wrong is no answer, without a word.
package complete

import (
	"context"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

const (
	// timeout bounds everything that is done for one press of a key.
	timeout = 2 * time.Second
	// pageSize is how many names are asked for at once; as many of them as match
	// end the search.
	pageSize = 500
)

// Cluster is the one that a command line says.
type Cluster struct {
	Getter genericclioptions.RESTClientGetter
}

// Resources that names are completed of.
var (
	Nodes           = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	Namespaces      = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	PriorityClasses = schema.GroupVersionResource{Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses"}
	pods            = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

// alive are the pods of which a container may run.
const alive = "status.phase!=Succeeded,status.phase!=Failed"

// Namespace is the one that is meant if none is named.
func (c Cluster) Namespace() string {
	namespace, _, err := c.Getter.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return ""
	}
	return namespace
}

// Names returns the names of objects that begin with a prefix, in a namespace or,
// if that is "", without one.
func (c Cluster) Names(resource schema.GroupVersionResource, namespace, prefix string) []string {
	return within(timeout, func(ctx context.Context) []string { return c.names(ctx, resource, namespace, prefix) })
}

// Pods returns the names of pods that have not ended.
func (c Cluster) Pods(namespace, prefix string) []string { return c.Names(pods, namespace, prefix) }

// Of returns the names of objects of a type, as kubectl knows types; ok is false if
// it may be none.
func (c Cluster) Of(typ, namespace, prefix string) (names []string, ok bool) {
	resource := within(timeout, func(context.Context) *schema.GroupVersionResource { return c.resource(typ) })
	if resource == nil {
		return nil, false
	}
	return c.Names(*resource, namespace, prefix), true
}

// Containers returns the names of the containers of a pod, or of a workload's.
func (c Cluster) Containers(o target.Operand) []string {
	return within(timeout, func(ctx context.Context) []string {
		config, err := c.Getter.ToRESTConfig()
		if err != nil {
			return nil
		}
		client, err := corev1client.NewForConfig(config)
		if err != nil {
			return nil
		}
		names, _ := target.Resolver{Client: client, Getter: c.Getter, Namespace: c.Namespace()}.ContainerNames(ctx, o)
		return names
	})
}

func (c Cluster) names(ctx context.Context, resource schema.GroupVersionResource, namespace, prefix string) (names []string) {
	config, err := c.Getter.ToRESTConfig()
	if err != nil {
		return nil
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil
	}
	o := metav1.ListOptions{Limit: pageSize}
	if resource == pods {
		o.FieldSelector = alive
	}
	for {
		list, err := client.Resource(resource).Namespace(namespace).List(ctx, o)
		if err != nil {
			return names
		}
		for _, item := range list.Items {
			// A shell gets nothing but names.
			if strings.HasPrefix(item.Name, prefix) && len(validation.IsDNS1123Subdomain(item.Name)) == 0 {
				names = append(names, item.Name)
			}
		}
		if o.Continue = list.Continue; o.Continue == "" || len(names) >= pageSize {
			slices.Sort(names)
			return names
		}
	}
}

// resource returns what a type means to the API server, nil for nothing. It need not
// be asked about the usual ones.
func (c Cluster) resource(typ string) *schema.GroupVersionResource {
	for _, t := range usual {
		if slices.Contains(t.names, strings.ToLower(typ)) {
			return &t.resource
		}
	}
	mapper, err := c.Getter.ToRESTMapper()
	if err != nil {
		return nil
	}
	resource, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: typ})
	if err != nil {
		return nil
	}
	return &resource
}

// Types are the usual types of workloads, by the shortest name of each.
func Types() (types []string) {
	for _, t := range usual {
		types = append(types, t.names[0])
	}
	return types
}

var usual = []struct {
	names    []string
	resource schema.GroupVersionResource
}{
	{[]string{"pod", "pods", "po"}, pods},
	{[]string{"deploy", "deployment", "deployments"}, schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}},
	{[]string{"sts", "statefulset", "statefulsets"}, schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}},
	{[]string{"ds", "daemonset", "daemonsets"}, schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}},
	{[]string{"rs", "replicaset", "replicasets"}, schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}},
	{[]string{"job", "jobs"}, schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}},
	{[]string{"cj", "cronjob", "cronjobs"}, schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}},
	{[]string{"svc", "service", "services"}, schema.GroupVersionResource{Version: "v1", Resource: "services"}},
}

// within returns what a function finds in time, or else nothing. A function that
// takes longer is left behind: the process ends soon.
func within[T any](limit time.Duration, find func(context.Context) T) (none T) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	found := make(chan T, 1)
	go func() { found <- find(ctx) }()
	select {
	case v := <-found:
		return v
	case <-ctx.Done():
		return none
	}
}
