package probepod

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

const (
	earlierRun = "00112233445566ff"
	// life is that of a pod with the default timeout: its deadline, and what is
	// waited beyond that.
	life = DefaultTimeout + deadlineMargin + leftoverMargin
)

// leftover is a pod of an earlier run, created some time ago.
func leftover(suffix string, age time.Duration) *corev1.Pod {
	pod := New(Request{Node: "node-a"}, Options{Image: "probe", Version: "v0.1.0"}, "seccomp-probe-node-a-"+suffix, earlierRun)
	pod.UID = types.UID("uid-" + pod.Name)
	pod.CreationTimestamp = metav1.NewTime(time.Now().Add(-age))
	return pod
}

// kept is a leftover that its run was told to keep.
func kept(suffix string, age time.Duration) *corev1.Pod {
	pod := leftover(suffix, age)
	pod.Annotations[AnnotationKeep] = "true"
	return pod
}

// forgeries are pods that look like a leftover but for one thing.
var forgeries = map[string]func(*corev1.Pod){
	"no name label":        func(p *corev1.Pod) { delete(p.Labels, LabelName) },
	"managed by another":   func(p *corev1.Pod) { p.Labels[LabelManagedBy] = "helm" },
	"no run":               func(p *corev1.Pod) { delete(p.Labels, LabelInstance) },
	"run of another form":  func(p *corev1.Pod) { p.Labels[LabelInstance] = "mine" },
	"label of another run": func(p *corev1.Pod) { p.Labels[LabelInstance] = "ffffffffffffffff" },
	"another name":         func(p *corev1.Pod) { p.Name = "web-0" },
	"name of another node": func(p *corev1.Pod) { p.Name = "seccomp-probe-node-b-abcde" },
	"longer name":          func(p *corev1.Pod) { p.Name += "x" },
	"scheduled nowhere":    func(p *corev1.Pod) { p.Spec.NodeName = "" },
	"owned":                func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "web"}} },
	"name was generated":   func(p *corev1.Pod) { p.GenerateName = "seccomp-probe-node-a-" },
	"no hostPID":           func(p *corev1.Pod) { p.Spec.HostPID = false },
	"hostNetwork":          func(p *corev1.Pod) { p.Spec.HostNetwork = true },
	"hostIPC":              func(p *corev1.Pod) { p.Spec.HostIPC = true },
	"restarts":             func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways },
	"no deadline":          func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = nil },
	"no container probe":   func(p *corev1.Pod) { p.Spec.Containers[0].Name = "main" },
	"no containers":        func(p *corev1.Pod) { p.Spec.Containers = nil },
	"another command":      func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"/bin/sh"} },
	"the image's command":  func(p *corev1.Pod) { p.Spec.Containers[0].Command = nil },
	"another subcommand":   func(p *corev1.Pod) { p.Spec.Containers[0].Args[0] = "reference" },
	"arguments of another": func(p *corev1.Pod) { p.Spec.Containers[0].Args[2] = "ffffffffffffffff" },
	"no arguments":         func(p *corev1.Pod) { p.Spec.Containers[0].Args = nil },
	"labels and name alone": func(p *corev1.Pod) {
		p.Spec = corev1.PodSpec{NodeName: "node-a", Containers: []corev1.Container{{Name: "app"}}}
	},
}

func TestMade(t *testing.T) {
	pod := leftover("abcde", time.Hour)
	if !made(pod) {
		t.Error("a pod that New made is not known")
	}
	// What admission and the API server may do to it.
	pod.Spec.Containers[0].Image = "mirror.example/probe@sha256:00"
	pod.Spec.Containers = append([]corev1.Container{{Name: "proxy", Image: "mesh"}}, pod.Spec.Containers...)
	pod.Spec.ServiceAccountName, pod.Spec.SchedulerName = "default", "default-scheduler"
	pod.Labels["policy.example/exempt"], pod.Annotations = "true", nil
	if !made(pod) {
		t.Error("a pod that New made and a webhook changed is not known")
	}
	for name, forge := range forgeries {
		if pod := leftover("abcde", time.Hour); true {
			forge(pod)
			if made(pod) {
				t.Errorf("%s: taken for a pod that New made", name)
			}
		}
	}
	// Of every kind of node's name and request.
	for _, node := range []string{"a", "ip-10-0-0-1.eu-west-1.compute.internal", strings.Repeat("a", 39) + ".b", strings.Repeat("n", 253)} {
		r := Request{Node: node, References: make([]Reference, 2), PIDs: []int{7}, All: true, Configs: true}
		for _, o := range []Options{{}, {LeastPrivilege: true, AllThreads: true, Namespace: "tools", Timeout: time.Hour}} {
			if pod := New(r, o, podName(node), runIDFunc()); !made(pod) {
				t.Errorf("pod %s of node %s is not known", pod.Name, node)
			}
		}
	}
}

// TestSweep has what an earlier run left, and much that must stay.
func TestSweep(t *testing.T) {
	s := newAPIServer(t)
	want := []string{"seccomp-probe-node-a-dead0", "seccomp-probe-node-a-dead1"}
	s.before(leftover("dead0", life+5*time.Second))
	running := leftover("dead1", 24*time.Hour) // on a node that has gone, say
	running.Status.Phase = corev1.PodRunning
	s.before(running)

	s.before(leftover("young", life-5*time.Second))
	ended := leftover("ended", time.Second)
	ended.Status.Phase = corev1.PodSucceeded
	s.before(ended)
	longer := leftover("longr", 2*time.Hour)
	longer.Spec.ActiveDeadlineSeconds = ptr.To(int64(3 * 3600))
	s.before(longer)
	s.before(kept("kept0", 24*time.Hour))
	elsewhere := leftover("other", 24*time.Hour)
	elsewhere.Namespace = "tools"
	s.before(elsewhere)
	n := 0
	for _, forge := range forgeries {
		pod := leftover(fmt.Sprintf("for%02d", n), 24*time.Hour)
		n++
		forge(pod)
		if s.pods[pod.Name] == nil {
			s.before(pod)
		}
	}
	before := len(s.pods)

	var said strings.Builder
	r := &runner{client: s.client(), out: &said}
	r.sweep(t.Context(), time.Now())
	for _, name := range want {
		if s.pods[name] != nil {
			t.Errorf("%s was not deleted", name)
		}
		if line := "deleted probe pod kube-system/" + name + ", which an earlier run had left\n"; !strings.Contains(said.String(), line) {
			t.Errorf("said %q, want %q", said.String(), line)
		}
	}
	if got := before - len(s.pods); got != len(want) {
		t.Errorf("%d pods deleted, want %d", got, len(want))
	}
	if len(s.lists) != 1 || s.lists[0].Get("labelSelector") != Selector || s.lists[0].Get("resourceVersion") != "0" {
		t.Errorf("lists: %v, want one of our labels from the API server's memory", s.lists)
	}
	for _, d := range s.deletes {
		if d.Preconditions == nil || d.Preconditions.UID == nil {
			t.Errorf("a deletion without UID: %+v", d)
		}
	}
}

// TestSweepByName has another pod come by the name of a leftover between its being
// listed and its deletion.
func TestSweepByName(t *testing.T) {
	s := newAPIServer(t)
	s.before(leftover("dead0", life+time.Hour))
	s.onDelete = func(_ http.ResponseWriter, r *http.Request) bool {
		pod := leftover("dead0", 0)
		pod.UID = "another"
		s.before(pod)
		return false
	}
	r := &runner{client: s.client(), out: t.Output()}
	r.sweep(t.Context(), time.Now())
	if left := s.left(); len(left) != 1 {
		t.Errorf("left: %v, want the pod that came by the name", left)
	}
}

// TestRunSweeps has a leftover gone before the run is over, by the API server's
// clock and not by this machine's.
func TestRunSweeps(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	s.before(leftover("dead0", life-time.Minute))
	s.onCreated = func(pod *corev1.Pod) { pod.CreationTimestamp = metav1.NewTime(time.Now().Add(2 * time.Minute)) }
	s.onLog = func(http.ResponseWriter, *http.Request) bool {
		s.gone("seccomp-probe-node-a-dead0")
		return false
	}
	if _, progress, err := run(t, s, Options{}); err != nil || !strings.Contains(progress, "which an earlier run had left") {
		t.Errorf("said %q, error %v", progress, err)
	}
	if len(s.deletes) != 2 {
		t.Errorf("%d pods deleted, want the leftover and the run's own", len(s.deletes))
	}
}

// TestRunGoesOn has what can go wrong with a leftover: the run has nothing of it.
func TestRunGoesOn(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) bool {
		io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		<-r.Context().Done()
		return true
	}
	forbid := refuser(403, metav1.StatusReasonForbidden,
		`pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "kube-system"`)
	for name, hooks := range map[string]struct {
		list, remove func(http.ResponseWriter, *http.Request) bool
	}{
		"list forbidden":     {list: forbid},
		"list hangs":         {list: hang},
		"deletion forbidden": {remove: forbid},
		"deletion hangs":     {remove: hang},
	} {
		t.Run(name, func(t *testing.T) {
			defer within(t, 5*time.Second)()
			s := newAPIServer(t)
			s.addWeb(nil)
			s.before(leftover("dead0", life+time.Hour))
			s.onList = hooks.list
			s.onDelete = func(w http.ResponseWriter, r *http.Request) bool {
				return hooks.remove != nil && s.earlier[r.PathValue("name")] && hooks.remove(w, r)
			}
			var progress strings.Builder
			reports, err := Run(context.WithoutCancel(t.Context()), s.client(), Options{}, requestsFor(web), &progress)
			if err != nil || reports["node-a"] == nil || progress.Len() > 0 {
				t.Errorf("reports %v, said %q, error %v", reports, progress.String(), err)
			}
			if left := s.left(); slices.ContainsFunc(left, func(name string) bool { return !s.earlier[name] }) {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
