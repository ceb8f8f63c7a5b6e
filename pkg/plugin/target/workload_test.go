package target

import (
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestPodSelector has objects as an API server returns them.
func TestPodSelector(t *testing.T) {
	const template = ", template: {spec: {containers: [{name: main}]}}"
	for _, test := range []struct {
		object string
		want   string
		kind   error
	}{
		{"{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchLabels: {app: web}}" + template + "}}", "app=web", nil},
		{"{apiVersion: apps/v1, kind: DaemonSet, spec: {selector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: NotIn, values: [db]}]}" + template + "}}", "app=web,tier notin (db)", nil},
		{"{apiVersion: argoproj.io/v1alpha1, kind: Rollout, spec: {selector: {matchLabels: {app: web}}" + template + "}}", "app=web", nil},
		{"{apiVersion: v1, kind: ReplicationController, spec: {selector: {app: web, tier: front}" + template + "}}", "app=web,tier=front", nil},
		{"{apiVersion: v1, kind: Service, spec: {selector: {matchLabels: web}}}", "matchLabels=web", nil},
		{"{apiVersion: batch/v1, kind: CronJob, status: {active: [{name: b}, {name: a}]}}", "batch.kubernetes.io/job-name in (a,b)", nil},

		{"{apiVersion: batch/v1, kind: CronJob, metadata: {name: x}}", "", ErrNotRunning},
		{"{apiVersion: v1, kind: Service, spec: {type: ExternalName}}", "", ErrOperand},
		{"{apiVersion: v1, kind: ConfigMap, data: {a: b}}", "", ErrOperand},
		{"{apiVersion: v1, kind: PersistentVolumeClaim, spec: {selector: {matchLabels: {app: web}}}}", "", ErrOperand},
		{"{apiVersion: example.com/v1, kind: Odd, spec: {selector: all" + template + "}}", "", ErrOperand},
		{"{apiVersion: example.com/v1, kind: Odd, spec: {selector: {matchLabels: [a]}" + template + "}}", "", ErrOperand},
		{"{apiVersion: example.com/v1, kind: Odd, spec: {selector: {}" + template + "}}", "", ErrOperand},
		{"{apiVersion: example.com/v1, kind: Odd, spec: {selector: {matchExpressions: [{key: a, operator: Above}]}" + template + "}}", "", ErrOperand},
	} {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(test.object), &object.Object); err != nil {
			t.Fatal(err)
		}
		got, err := Resolver{}.podSelector("find it", &object)
		if !errors.Is(err, test.kind) || err == nil && got.String() != test.want {
			t.Errorf("%s: %v, %v; want %q, %v", test.object, got, err, test.want, test.kind)
		}
	}
}
