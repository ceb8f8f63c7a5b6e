package target

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

// resolveAll resolves a selection of operands, or what it says of none.
func resolveAll(t *testing.T, s Selection, operands []string, objects ...runtime.Object) (names []string, away map[string]error, warnings []string, err error) {
	t.Helper()
	for _, text := range operands {
		o, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Operands = append(s.Operands, o)
	}
	r := Resolver{Client: fake.NewSimpleClientset(objects...).CoreV1(), Namespace: "shop",
		Warn: func(err error) { warnings = append(warnings, err.Error()) }}
	all, away, err := r.ResolveAll(t.Context(), s)
	for _, c := range all {
		names = append(names, c.Pod+":"+c.Name)
	}
	return names, away, warnings, err
}

func TestResolveAll(t *testing.T) {
	ready := node("node-a", corev1.ConditionTrue)
	for text, want := range map[string]string{
		"web":                      "web:mesh web:nginx web:logs web:debugger",
		"web:logs":                 "web:logs",
		"web:logs web:nginx":       "web:nginx web:logs",
		"web:logs shop/pod/web":    "web:mesh web:nginx web:logs web:debugger",
		"web:logs web:logs":        "web:logs",
		"web web:no-such":          "web:mesh web:nginx web:logs web:debugger",
		"web:debugger po/web:mesh": "web:mesh web:debugger",
	} {
		got, _, _, err := resolveAll(t, Selection{}, strings.Fields(text), running1(), ready)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	if _, _, _, err := resolveAll(t, Selection{}, []string{"web:logs", "web:no-such"}, running1(), ready); !errors.Is(err, ErrNoContainer) {
		t.Errorf("error %v, want %v", err, ErrNoContainer)
	}
	// One that is named and does not run is told of, beside others that do.
	got, _, warnings, err := resolveAll(t, Selection{}, []string{"web:setup", "web:logs"}, running1(), ready)
	if err != nil || !slices.Equal(got, []string{"web:logs"}) || len(warnings) != 1 || !strings.Contains(warnings[0], "left out: read container setup") {
		t.Errorf("%q, %q, %v", got, warnings, err)
	}
}

// TestResolveAllNodes has nodes that are not ready: what is on them is not dropped.
func TestResolveAllNodes(t *testing.T) {
	var objects []runtime.Object
	for i := range 40 {
		pod := running1()
		pod.Name, pod.UID = fmt.Sprintf("web-%02d", i), types.UID(fmt.Sprint("u", i))
		pod.Spec.NodeName = fmt.Sprintf("node-%02d", i)
		status := corev1.ConditionTrue
		if i%2 == 1 {
			status = corev1.ConditionUnknown
		}
		objects = append(objects, pod, node(pod.Spec.NodeName, status))
	}
	names, away, warnings, err := resolveAll(t, Selection{AllNamespaces: true}, nil, objects...)
	if err != nil || len(names) != 160 || len(away) != 20 || !errors.Is(away["node-01"], ErrNodeNotReady) || away["node-02"] != nil || warnings != nil {
		t.Errorf("%d containers, away %v, warnings %q, %v", len(names), away, warnings, err)
	}
	// All of them.
	if _, _, _, err := resolveAll(t, Selection{}, []string{"web-01"}, objects...); !errors.Is(err, ErrNodeNotReady) {
		t.Errorf("error %v, want %v", err, ErrNodeNotReady)
	}
}

// TestChanged tells a container that is another from one that is gone.
func TestChanged(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   error
	}{
		"unchanged": {func(*corev1.Pod) {}, nil},
		"another": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].ContainerID, p.Status.ContainerStatuses[0].RestartCount = "containerd://new", 4
		}, ErrRestarted},
		"stopped": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
		}, ErrGone},
		"another pod": {func(p *corev1.Pod) { p.UID = "u2" }, ErrGone},
		"deleted":     {func(p *corev1.Pod) { p.ObjectMeta = metav1.ObjectMeta{Namespace: "shop", Name: "other"} }, ErrGone},
	} {
		before, after := running1(), running1()
		var was []Container
		for _, name := range []string{"nginx", "logs"} {
			c, err := Resolver{}.running(before, name)
			if err != nil {
				t.Fatal(err)
			}
			was = append(was, c)
		}
		test.change(after)
		changed, err := Resolver{Client: fake.NewSimpleClientset(after).CoreV1()}.Changed(t.Context(), was)
		got := changed["containerd://nginx"]
		if err != nil || !errors.Is(got, test.want) || errors.Is(got, ErrGone) != (test.want == ErrGone) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, test.want)
		}
		if other := changed["containerd://logs"]; (other != nil) != (test.want == ErrGone && name != "stopped") {
			t.Errorf("%s: the other container: %v", name, other)
		}
	}
}
