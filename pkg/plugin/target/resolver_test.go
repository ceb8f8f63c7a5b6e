package target

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// running1 is a pod with an init container that ended, a sidecar, two regular
// containers and an ephemeral one, all running.
func running1() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u1"},
		Spec: corev1.PodSpec{
			NodeName:       "node-a",
			InitContainers: []corev1.Container{{Name: "setup"}, {Name: "mesh"}},
			Containers:     []corev1.Container{{Name: "nginx", Image: "nginx:1"}, {Name: "logs"}},
			EphemeralContainers: []corev1.EphemeralContainer{
				{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debugger"}},
			},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	up := func(name string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, ContainerID: "containerd://" + name, RestartCount: 3,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{up("nginx"), up("logs")}
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{
		{Name: "setup", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}}, up("mesh"),
	}
	pod.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{up("debugger")}
	return pod
}

func node(name string, ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: ready, Reason: "KubeletReady"},
		}},
	}
}

func resolve(t *testing.T, text string, objects ...runtime.Object) ([]Container, error) {
	t.Helper()
	o, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return Resolver{Client: fake.NewSimpleClientset(objects...).CoreV1(), Namespace: "shop", Kubectl: "kubectl --context=x"}.Resolve(t.Context(), o)
}

func TestResolve(t *testing.T) {
	annotated := running1()
	annotated.Annotations = map[string]string{"kubectl.kubernetes.io/default-container": "logs"}
	misannotated := running1()
	misannotated.Annotations = map[string]string{"kubectl.kubernetes.io/default-container": "gone"}
	for _, test := range []struct {
		text string
		pod  *corev1.Pod
		want string
	}{
		{"web", running1(), "nginx"},
		{"web", annotated, "logs"},
		{"web", misannotated, "nginx"},
		{"web:nginx", annotated, "nginx"},
		{"pod/web:mesh", running1(), "mesh"},
		{"shop/po/web:debugger", running1(), "debugger"},
	} {
		got, err := resolve(t, test.text, test.pod, node("node-a", corev1.ConditionTrue))
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", test.text, got, err)
			continue
		}
		c := got[0]
		if c.Name != test.want || c.ID != "containerd://"+test.want ||
			c.Node != "node-a" || c.PodUID != "u1" || c.RestartCount != 3 {
			t.Errorf("%s: %+v, want container %s", test.text, c, test.want)
		}
	}
}

func TestResolveFails(t *testing.T) {
	with := func(change func(*corev1.Pod)) *corev1.Pod {
		pod := running1()
		change(pod)
		return pod
	}
	state := func(s corev1.ContainerState, last corev1.ContainerState) *corev1.Pod {
		return with(func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State, p.Status.ContainerStatuses[0].LastTerminationState = s, last
		})
	}
	wait := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	died := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}
	ready := node("node-a", corev1.ConditionTrue)
	for name, test := range map[string]struct {
		text    string
		objects []runtime.Object
		kind    error
		say     []string
	}{
		"no pod":       {"other", []runtime.Object{running1()}, ErrNotFound, []string{"pod shop/other", "`kubectl --context=x get pods -n shop`"}},
		"no container": {"web:x", []runtime.Object{running1()}, ErrNoContainer, []string{`"x"`, "nginx, logs, setup (init), mesh (init), debugger (ephemeral)"}},
		"unschedulable": {"web", []runtime.Object{with(func(p *corev1.Pod) {
			p.Spec.NodeName = ""
			p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/2 nodes are available"}}}
		})}, ErrNotRunning, []string{"Pending: Unschedulable: 0/2 nodes", "`kubectl --context=x describe pod web -n shop"}},
		"image pull": {"web", []runtime.Object{state(wait("ImagePullBackOff", "no such image"), corev1.ContainerState{})},
			ErrNotRunning, []string{"ImagePullBackOff: no such image"}},
		"crash loop": {"web", []runtime.Object{state(wait("CrashLoopBackOff", "back-off 5m0s"), died)},
			ErrNotRunning, []string{"CrashLoopBackOff", "OOMKilled, exit code 137", "`kubectl --context=x logs --previous web -c nginx -n shop"}},
		"creating": {"web", []runtime.Object{state(wait("ContainerCreating", ""), corev1.ContainerState{})},
			ErrNotRunning, []string{"being created", "`kubectl --context=x wait"}},
		"initializing": {"web", []runtime.Object{with(func(p *corev1.Pod) {
			p.Status.InitContainerStatuses[0] = corev1.ContainerStatus{Name: "setup", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
			p.Status.ContainerStatuses[0].State = wait("PodInitializing", "")
		})}, ErrNotRunning, []string{"initializing", "web:setup"}},
		"container ended": {"web", []runtime.Object{state(died, corev1.ContainerState{})}, ErrNotRunning, []string{"OOMKilled"}},
		"init ended":      {"web:setup", []runtime.Object{running1()}, ErrNotRunning, []string{"has ended", "Completed"}},
		"succeeded": {"web", []runtime.Object{with(func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodSucceeded
			p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
		})}, ErrNotRunning, []string{"the pod has ended: Succeeded"}},
		"evicted": {"web", []runtime.Object{with(func(p *corev1.Pod) {
			p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory"}
		})}, ErrNotRunning, []string{"Failed", "Evicted: low on memory"}},
		"not ready":  {"web", []runtime.Object{running1(), node("node-a", corev1.ConditionUnknown)}, ErrNodeNotReady, []string{"NotReady", "`kubectl --context=x describe node node-a`"}},
		"node gone":  {"web", []runtime.Object{running1()}, ErrNodeNotReady, []string{"no such node", "`kubectl --context=x get nodes`"}},
		"strange ID": {"web", []runtime.Object{with(func(p *corev1.Pod) { p.Status.ContainerStatuses[0].ContainerID = "--help" }), ready}, ErrNotRunning, []string{`"--help"`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := resolve(t, test.text, test.objects...)
			if !errors.Is(err, test.kind) {
				t.Fatalf("error %v, want a %v", err, test.kind)
			}
			for _, say := range test.say {
				if !strings.Contains(err.Error(), say) {
					t.Errorf("error %q does not say %q", err, say)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has more than one line", err)
			}
		})
	}
}

// forbid makes a client refuse requests as the API server's authorizer does.
func forbid(client *fake.Clientset, verb, resource string) {
	client.PrependReactor(verb, resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "",
			errors.New(`User "jane" cannot `+verb+` resource "`+resource+`" in API group ""`))
	})
}

func TestForbidden(t *testing.T) {
	client := fake.NewSimpleClientset(running1())
	forbid(client, "get", "nodes")
	r := Resolver{Client: client.CoreV1(), Namespace: "shop", Kubectl: "kubectl --context=x"}
	if _, err := r.Resolve(context.Background(), Operand{Name: "web"}); err != nil {
		t.Errorf("who may not look at nodes may not read pods: %v", err)
	}
	forbid(client, "get", "pods")
	_, err := r.Resolve(context.Background(), Operand{Name: "web"})
	if !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "`kubectl --context=x auth can-i get pods -n shop`") {
		t.Errorf("error %v, want %v", err, ErrForbidden)
	}
}
