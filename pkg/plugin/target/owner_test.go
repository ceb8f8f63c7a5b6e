package target

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestMadeBy(t *testing.T) {
	for _, test := range []struct{ kind, name, hash, want string }{
		{"", "", "", ""},
		{"Node", "node-a", "", ""},
		{"ReplicaSet", "web-5d8f", "5d8f", "deployment/web"},
		{"ReplicaSet", "web-5d8f", "", "replicaset/web-5d8f"},
		{"ReplicaSet", "web", "5d8f", "replicaset/web"},
		{"StatefulSet", "db", "5d8f", "statefulset/db"},
		{"Rollout", "web", "", "rollout/web"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"pod-template-hash": test.hash}}}
		if test.kind != "" {
			pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Other", Name: "x"}, {Kind: test.kind, Name: test.name, Controller: ptr.To(true)}}
		}
		if got := madeBy(pod); got != test.want {
			t.Errorf("%s/%s with hash %q: %q, want %q", test.kind, test.name, test.hash, got, test.want)
		}
	}
}
