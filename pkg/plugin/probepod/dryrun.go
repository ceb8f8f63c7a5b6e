package probepod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Objects returns what Run would create for requests. Names and the run are made
// anew each time.
func Objects(o Options, requests []Request) (objects []runtime.Object, err error) {
	r := &runner{opts: o, run: runIDFunc()}
	if o.CreateNamespace {
		objects = append(objects, r.newHome().namespace)
	}
	for _, request := range requests {
		pod, err := r.newPod(request.normal())
		if err != nil {
			return nil, err
		}
		objects = append(objects, pod)
	}
	return objects, nil
}

// newPod returns the pod of a request in a run.
func (r *runner) newPod(request Request) (*corev1.Pod, error) {
	pod, err := r.opts.Override.apply(New(request, r.opts, podName(request.Node), r.run))
	if err != nil {
		return nil, fmt.Errorf("override what the probe pod is for node %s: %w", request.Node, err)
	}
	return pod, nil
}
