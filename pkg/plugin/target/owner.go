package target

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// madeBy is the workload that made a pod, as TYPE/NAME; "" if none did. A deployment
// makes a replica set of its own name, "-" and a hash, which it puts on the pods as a
// label (generateReplicaSetName of the deployment controller): then it is the
// deployment, without asking for the replica set.
func madeBy(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	switch {
	case owner == nil, owner.Kind == "Node": // of a file of the kubelet
		return ""
	case owner.Kind == "ReplicaSet":
		hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		if name, ok := strings.CutSuffix(owner.Name, "-"+hash); ok && hash != "" {
			return "deployment/" + name
		}
	}
	return strings.ToLower(owner.Kind) + "/" + owner.Name
}
