package probepod

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// lostWeb has the probe say that it found nothing of web, for a reason.
func lostWeb(t *testing.T, s *apiServer, code string) {
	s.onLog = func(w http.ResponseWriter, _ *http.Request) bool {
		var b strings.Builder
		frames := wire.NewWriter(&b, s.probe().Labels[LabelInstance])
		for _, m := range []wire.Message{
			&wire.Hello{Version: "test", Kernel: "6.1", Machine: "x86_64", Arch: "amd64", ABIs: []string{"amd64"}},
			&wire.Problem{Target: web.ID, Code: code, Op: "find the container"},
		} {
			if err := frames.Write(m); err != nil {
				t.Error(err)
			}
		}
		if err := frames.End(); err != nil {
			t.Error(err)
		}
		io.WriteString(w, b.String())
		return true
	}
}

// TestSandboxIsNotLost has a container without processes on the node, for it is in
// a sandbox: nothing changed, and what the probe says of it is the answer.
func TestSandboxIsNotLost(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	lostWeb(t, s, wire.CodeSandbox)
	reports, _, err := run(t, s, Options{KeepGoing: true})
	if err != nil {
		t.Fatal(err)
	}
	if p := reports["node-a"].Targets[web.ID].Problems; len(p) != 1 || p[0].Code != wire.CodeSandbox {
		t.Errorf("problems %v", p)
	}
}

// TestLostIsNotGone has a container of which there is no process, and which runs
// by its status to the last: it may not pass for one that has ended.
func TestLostIsNotGone(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	lostWeb(t, s, wire.CodeNotFound)
	_, _, err := run(t, s, Options{KeepGoing: true})
	incomplete := new(Incomplete)
	if !errors.As(err, &incomplete) {
		t.Fatalf("error %v", err)
	}
	if err := incomplete.Changed[web.ID]; !errors.Is(err, target.ErrRestarted) || errors.Is(err, target.ErrGone) {
		t.Errorf("error %v, want %v", err, target.ErrRestarted)
	}
}

// TestChangedIsNotKnown has the API server refuse to tell of the target's pod.
func TestChangedIsNotKnown(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	s.Server.Config.Handler = refusing(s.Server.Config.Handler, web.Pod)
	reports, _, err := run(t, s, Options{KeepGoing: true})
	incomplete := new(Incomplete)
	if !errors.As(err, &incomplete) || incomplete.Changed[web.ID] == nil || errors.Is(err, target.ErrRestarted) {
		t.Errorf("error %v", err)
	}
	if r := reports["node-a"]; r == nil || !r.Targets[web.ID].Found() {
		t.Errorf("reports %v", reports)
	}
}

// refusing is a handler that does not answer for one pod.
func refusing(next http.Handler, pod string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/pods/"+pod) {
			refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, `pods "`+pod+`" is forbidden`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TestManyPodsAreLookedAt has more pods than are looked at at the same time, and one
// of them restart.
func TestManyPodsAreLookedAt(t *testing.T) {
	s := newAPIServer(t)
	var containers []target.Container
	var ids []string
	for _, letter := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		c := web
		c.Pod, c.PodUID, c.ID = "web-"+letter, "uid-web-"+letter, "containerd://"+letter
		containers, ids = append(containers, c), append(ids, c.ID)
		id := c.ID
		if letter == "q" {
			id = "containerd://another"
		}
		s.set(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Pod, UID: types.UID(c.PodUID)},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
				Name: c.Name, ContainerID: id, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
			}}},
		})
	}
	s.onLog = func(w http.ResponseWriter, _ *http.Request) bool {
		io.WriteString(w, output(t, s.probe().Labels[LabelInstance], ids...))
		return true
	}
	_, err := Run(t.Context(), s.client(), Options{KeepGoing: true}, requestsFor(containers...), io.Discard)
	incomplete := new(Incomplete)
	if !errors.As(err, &incomplete) || len(incomplete.Changed) != 1 || incomplete.Changed["containerd://q"] == nil {
		t.Errorf("error %v", err)
	}
}
