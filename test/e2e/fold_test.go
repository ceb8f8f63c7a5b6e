//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// TestFold dumps a deployment of three pods that are alike but for the runtimes of their
// two nodes: two are told of once, the odd one out by itself. What wants one policy
// names both.
func TestFold(t *testing.T) {
	home := newNamespace(t, nil)
	d := guarded("web", 3, corev1.SeccompProfileTypeRuntimeDefault)
	d.Spec.Template.Spec.NodeName = ""
	d.Spec.Template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: d.Spec.Selector,
	}}
	if _, err := client.AppsV1().Deployments(home).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll(ctx, func() error { return running(ctx, home) }); err != nil {
		t.Fatal(err)
	}
	list, err := client.CoreV1().Pods(home).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := make(map[string][]string) // the pods of each, in order
	for _, p := range list.Items {
		nodes[p.Spec.NodeName] = append(nodes[p.Spec.NodeName], home+"/"+p.Name+":main")
	}
	two, odd := nodes["node-a"], nodes["node-b"]
	if len(two) < len(odd) {
		two, odd = odd, two
	}
	if len(two) != 2 || len(odd) != 1 {
		t.Fatalf("the pods are %v", nodes)
	}

	r := everywhere(t, "dump", "-n", home, "deploy/web")
	first := fmt.Sprintf("3 containers, confined in 2 ways: 2 like %s, 1 like %s\n", two[0], odd[0])
	if r.code != 0 || !strings.HasPrefix(r.stdout, first) {
		t.Errorf("exit code %d, %.200s, want %s; %s", r.code, r.stdout, first, r.stderr)
	}
	for _, say := range []string{"\n" + two[0] + " and 1 other are confined by 1 filter", "\n" + odd[0] + " is confined by 1 filter", two[1]} {
		if strings.Count(r.stdout, say) != 1 {
			t.Errorf("%q is not there once:\n%s", say, r.stdout)
		}
	}
	for _, args := range [][]string{{"diff", "deploy/web", "Unconfined"}, {"explain", "deploy/web", "mount"}} {
		r := everywhere(t, append(args, "-n", home)...)
		failed(t, r, "its pods do not have the same filters: 2 like ", "1 like ")
		_, command, _ := strings.Cut(r.stderr, "; `kubectl seccomp ")
		command, _, _ = strings.Cut(command, "`")
		if r := everywhere(t, strings.Fields(command)...); r.code != 1 || !strings.Contains(r.stdout, "node-b") {
			t.Errorf("%s: exit code %d, %s%s", command, r.code, r.stdout, r.stderr)
		}
	}
	nothingLeft(t, probepod.DefaultNamespace)
}
