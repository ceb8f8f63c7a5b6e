package probepod

import corev1 "k8s.io/api/core/v1"

// Pods returns the pods that Run would create for requests. Names and the run are
// made anew each time.
func Pods(o Options, requests []Request) (pods []*corev1.Pod) {
	r := &runner{opts: o, run: runIDFunc()}
	for _, request := range requests {
		pods = append(pods, r.newPod(request.normal()))
	}
	return pods
}

// newPod returns the pod of a request in a run.
func (r *runner) newPod(request Request) *corev1.Pod {
	return New(request, r.opts, podName(request.Node), r.run)
}
