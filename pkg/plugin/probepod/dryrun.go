package probepod

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Objects returns what Run would create for requests. Names and the run are made
// anew each time.
func Objects(o Options, requests []Request) (objects []runtime.Object) {
	r := &runner{opts: o, run: runIDFunc()}
	if o.CreateNamespace {
		objects = append(objects, r.newHome().namespace)
	}
	for _, request := range requests {
		objects = append(objects, r.newPod(request.normal()))
	}
	return objects
}

// newPod returns the pod of a request in a run.
func (r *runner) newPod(request Request) *corev1.Pod {
	return New(request, r.opts, podName(request.Node), r.run)
}
