package target

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"
)

// watched is a pod with one container, that runs if id is not "", and that ran before as
// another if last is not "".
func watched(name, id, last string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: "uid"},
		Spec:       corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "main"}, {Name: "other"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	s := corev1.ContainerStatus{Name: "main"}
	if id != "" {
		s.ContainerID, s.State.Running = "containerd://"+id, &corev1.ContainerStateRunning{}
	}
	if last != "" {
		s.RestartCount = 1
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ContainerID: "containerd://" + last}
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{s, {Name: "other", ContainerID: "containerd://other"}}
	return p
}

// TestWatch has events come, of a watch that is ended by the API server once, and looks
// at which containers are known afterwards.
func TestWatch(t *testing.T) {
	first, second := watch.NewFakeWithChanSize(8, false), watch.NewFakeWithChanSize(8, false)
	watches := []*watch.FakeWatcher{first, second}
	var asked []string
	client := fake.NewSimpleClientset()
	client.PrependWatchReactor("pods", func(action kubetesting.Action) (bool, watch.Interface, error) {
		r := action.(kubetesting.WatchActionImpl).WatchRestrictions
		asked = append(asked, fmt.Sprint(action.GetNamespace(), " ", r.Fields, " ", r.Labels))
		w := watches[0]
		watches = watches[1:]
		return true, w, nil
	})
	r := Resolver{Client: client.CoreV1(), Namespace: "shop"}
	w, err := r.Watch(t.Context(), Selection{Operands: []Operand{{Text: "web:main", Name: "web", Container: "main"}}})
	if err != nil {
		t.Fatal(err)
	}
	first.Add(watched("web", "", ""))
	first.Modify(watched("web", "a", ""))
	first.Stop()
	second.Add(watched("web", "b", "a"))
	second.Modify(watched("web", "d", "c")) // c came and went unseen
	ended := watched("web", "d", "c")
	ended.Status.Phase = corev1.PodFailed
	second.Delete(ended)
	<-w.Done()
	var got []string
	for id, s := range w.Stop() {
		got = append(got, fmt.Sprint(id, " ", s.Container, " ", s.Node, " ", s.Ran))
	}
	slices.Sort(got)
	const want = `containerd://a shop/pod/web:main node-1 true
containerd://b shop/pod/web:main node-1 true
containerd://c shop/pod/web:main node-1 false
containerd://d shop/pod/web:main node-1 true`
	if strings.Join(got, "\n") != want {
		t.Errorf("seen\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if want := "shop metadata.name=web "; len(asked) != 2 || asked[0] != want || asked[1] != want {
		t.Errorf("asked for %q, want %q twice", asked, want)
	}
}

// TestWatchDone says of which pods that are deleted no others come by their names.
func TestWatchDone(t *testing.T) {
	owned := func(kind string) *corev1.Pod {
		p := watched("web", "a", "")
		if kind != "" {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Controller: new(true)}}
		}
		return p
	}
	for kind, want := range map[string]bool{"": true, "ReplicaSet": true, "StatefulSet": false, "Node": false} {
		for _, named := range []bool{true, false} {
			w := &Watch{seen: make(map[string]Sighting), ended: make([]bool, 2), done: make(chan struct{})}
			w.add(0, query{named: named}, owned(kind), true)
			select {
			case <-w.Done():
				t.Errorf("%q: done while there is another", kind)
			default:
			}
			w.add(1, query{named: named}, owned(kind), false)
			w.add(1, query{named: named}, owned(kind), true)
			got := false
			select {
			case <-w.Done():
				got = true
			default:
			}
			if got != (want && named) {
				t.Errorf("pods of %q, by name: %v: done %v", kind, named, got)
			}
		}
	}
}

// TestWatchForbidden is told what it may not.
func TestWatchForbidden(t *testing.T) {
	client := fake.NewSimpleClientset()
	client.PrependWatchReactor("pods", func(kubetesting.Action) (bool, watch.Interface, error) {
		return true, nil, apierrors.NewForbidden(corev1.Resource("pods"), "", fmt.Errorf("no"))
	})
	_, err := Resolver{Client: client.CoreV1(), Namespace: "shop"}.Watch(t.Context(), Selection{Labels: "app=web"})
	if err == nil || !strings.Contains(err.Error(), "watch") {
		t.Errorf("%v", err)
	}
}
