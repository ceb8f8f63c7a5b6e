package target

import (
	"cmp"
	"context"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// podsOf returns the pods of a workload, in the order of their names: those that
// its selector selects, as in kubectl logs.
func (r Resolver) podsOf(ctx context.Context, o Operand) ([]corev1.Pod, error) {
	op := "find " + o.Type + " " + o.Namespace + "/" + o.Name
	if r.Getter == nil {
		return nil, failure.New(ErrOperand, op, "no way to look up types", "name a pod")
	}
	object, err := r.object(o)
	if err != nil {
		return nil, r.lookupError(op, o, err)
	}
	if object.GroupVersionKind().GroupKind() == (schema.GroupKind{Kind: "Pod"}) {
		pod, err := r.pod(ctx, o.Namespace, o.Name) // by a name of the type that only the API server knows
		if err != nil {
			return nil, err
		}
		return []corev1.Pod{*pod}, nil
	}
	selector, err := r.podSelector(op, object)
	if err != nil {
		return nil, err
	}
	list, err := r.Client.Pods(o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, r.request("list", "pods", o.Namespace).Of(op, err)
	}
	if len(list.Items) == 0 {
		return nil, failure.New(ErrNotFound, op, "it has no pods",
			"see `"+r.kubectl()+" describe "+o.Type+" "+o.Name+" -n "+o.Namespace+"`")
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return list.Items, nil
}

func (r Resolver) object(o Operand) (*unstructured.Unstructured, error) {
	object, err := resource.NewBuilder(r.Getter).Unstructured().
		NamespaceParam(o.Namespace).DefaultNamespace().
		ResourceNames(o.Type, o.Name).
		Do().Object()
	if err != nil {
		return nil, err
	}
	return object.(*unstructured.Unstructured), nil
}

func (r Resolver) lookupError(op string, o Operand, err error) error {
	switch {
	case meta.IsNoMatchError(err), strings.Contains(err.Error(), "the server doesn't have a resource type"):
		return &failure.Error{Kind: ErrNotFound, Op: op, Err: err,
			Said: "the cluster has no such type", Remedy: "see `" + r.kubectl() + " api-resources`"}
	case apierrors.IsNotFound(err):
		return &failure.Error{Kind: ErrNotFound, Op: op, Err: err,
			Said: "there is none", Remedy: "see `" + r.kubectl() + " get " + o.Type + " -n " + o.Namespace + "`"}
	}
	return r.request("get", o.Type, o.Namespace).Of(op, err)
}

// podSelector returns what selects the pods of a workload. That is any object with
// a selector and a template of pods, of whichever API group, and a Service; a
// CronJob has the pods of its active jobs.
func (r Resolver) podSelector(op string, object *unstructured.Unstructured) (labels.Selector, error) {
	var selector labels.Selector
	var err error
	switch object.GroupVersionKind().GroupKind() {
	case schema.GroupKind{Group: "batch", Kind: "CronJob"}:
		return r.jobsSelector(op, object)
	case schema.GroupKind{Kind: "Service"}, schema.GroupKind{Kind: "ReplicationController"}:
		// These two are older than selectors of sets.
		selector, err = equalitySelector(object)
	default:
		// A selector alone is not enough: that of a PersistentVolumeClaim selects
		// volumes.
		if _, ok, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers"); !ok {
			return nil, failure.New(ErrOperand, op, "objects of this type have no pods", "name a pod, or a workload such as deploy/NAME")
		}
		selector, err = setSelector(object)
	}
	switch {
	case err != nil:
		return nil, &failure.Error{Kind: ErrOperand, Op: op, Err: err, Said: "its selector is not one of labels", Remedy: "name a pod"}
	case selector.Empty():
		return nil, failure.New(ErrOperand, op, "its selector is empty", "name a pod")
	}
	return selector, nil
}

func equalitySelector(object *unstructured.Unstructured) (labels.Selector, error) {
	pairs, _, err := unstructured.NestedStringMap(object.Object, "spec", "selector")
	if err != nil {
		return nil, err
	}
	return labels.ValidatedSelectorFromSet(pairs)
}

func setSelector(object *unstructured.Unstructured) (labels.Selector, error) {
	fields, _, err := unstructured.NestedMap(object.Object, "spec", "selector")
	if err != nil {
		return nil, err
	}
	var s metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &s); err != nil {
		return nil, err
	}
	return metav1.LabelSelectorAsSelector(&s)
}

// jobsSelector selects the pods of a CronJob's active jobs. It has no selector;
// its jobs' pods carry the job's name.
func (r Resolver) jobsSelector(op string, object *unstructured.Unstructured) (labels.Selector, error) {
	var job batchv1.CronJob
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &job); err != nil {
		return nil, &failure.Error{Kind: ErrOperand, Op: op, Err: err, Said: "it is no CronJob that is known here", Remedy: "name a pod"}
	}
	if len(job.Status.Active) == 0 {
		return nil, failure.New(ErrNotRunning, op, "none of its jobs is active",
			"start one: `"+r.kubectl()+" create job --from=cronjob/"+job.Name+" "+job.Name+"-now -n "+job.Namespace+"`")
	}
	var names []string
	for _, active := range job.Status.Active {
		names = append(names, active.Name)
	}
	return metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: batchv1.JobNameLabel, Operator: metav1.LabelSelectorOpIn, Values: names},
	}})
}

// ContainerNames returns the names of the containers of a pod, or of the first of a
// workload's: those that run for long first.
func (r Resolver) ContainerNames(ctx context.Context, o Operand) ([]string, error) {
	if o.Namespace == "" {
		o.Namespace = r.Namespace
	}
	pod := new(corev1.Pod)
	if o.isPod() {
		var err error
		if pod, err = r.pod(ctx, o.Namespace, o.Name); err != nil {
			return nil, err
		}
	} else {
		pods, err := r.podsOf(ctx, o)
		if err != nil {
			return nil, err
		}
		pod = &pods[0]
	}
	names := specNames(pod)
	init := len(pod.Spec.InitContainers)
	return slices.Concat(names[init:], names[:init]), nil
}
