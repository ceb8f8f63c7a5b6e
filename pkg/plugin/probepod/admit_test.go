package probepod

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// TestAdmit has the API server asked whether it would create the pod, which it never
// does.
func TestAdmit(t *testing.T) {
	for name, test := range map[string]struct {
		namespace, create func(http.ResponseWriter, *http.Request) bool // nil: as usual
		kind              error
		say               string
	}{
		"admitted": {},
		"no namespace": {refuser(404, metav1.StatusReasonNotFound, `namespaces "tools" not found`), nil,
			ErrRefused, "`kubectl --context=x create namespace tools`"},
		"forbidden": {nil, refuser(403, metav1.StatusReasonForbidden, `pods is forbidden: User "jane" cannot create resource "pods" in API group "" in the namespace "tools"`),
			ErrForbidden, "you are not allowed to create pods in namespace tools"},
		"quota": {nil, refuser(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: exceeded quota: few, requested: pods=1`),
			ErrQuota, "`kubectl --context=x describe quota -n tools`, delete what killed runs have left by `kubectl seccomp cleanup --probe-namespace=tools --context=x`"},
		"webhook": {nil, refuser(400, metav1.StatusReasonBadRequest, `admission webhook "no.example" denied the request: no`),
			ErrRefused, "a policy of the cluster refuses the pod"},
		"own namespace": {create: refuser(500, metav1.StatusReasonInternalError, "it is not asked for")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.onNamespace = test.namespace
			s.onCreate = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("dryRun") != metav1.DryRunAll {
					t.Error("a pod is created")
				}
				return test.create != nil && test.create(w, r)
			}
			err := Admit(t.Context(), s.client(), Options{Namespace: "tools", Kubectl: "kubectl --context=x", CreateNamespace: name == "own namespace"}, Request{Node: "node-a", Self: true})
			if !errors.Is(err, test.kind) || err != nil && !strings.Contains(err.Error(), test.say) {
				t.Errorf("error %v, want a %v that says %q", err, test.kind, test.say)
			}
			if left := s.left(); len(left) > 0 {
				t.Errorf("pods %v", left)
			}
		})
	}
}

// TestSelf asks a node for nothing but the probe itself, and is told how long that
// took; a probe that says nothing of itself has not answered.
func TestSelf(t *testing.T) {
	for _, says := range []bool{true, false} {
		s := newAPIServer(t)
		s.onLog = func(w http.ResponseWriter, _ *http.Request) bool {
			pod := s.probe()
			if args := strings.Join(pod.Spec.Containers[0].Args, " "); !strings.HasSuffix(args, " --self") {
				t.Errorf("arguments %s", args)
			}
			out := wire.NewWriter(w, pod.Labels[LabelInstance])
			out.Write(&wire.Hello{Version: "test", Arch: "amd64", ABIs: []string{"amd64"}})
			if says {
				out.Write(&wire.Self{Cgroup: 2})
			}
			out.End()
			return true
		}
		var took time.Duration
		reports, err := Run(t.Context(), s.client(), Options{Answered: func(node string, d time.Duration) {
			if node == "node-a" {
				took = d
			}
		}}, []Request{{Node: "node-a", Self: true}}, new(strings.Builder))
		if says && (err != nil || reports["node-a"].Self == nil || reports["node-a"].Self.Cgroup != 2 || took <= 0) {
			t.Errorf("%v, %v, took %v", reports, err, took)
		}
		if !says && (!errors.Is(err, ErrOutput) || took != 0) {
			t.Errorf("%v, took %v", err, took)
		}
	}
}

// TestNodesThatDoNotAnswer has one of two nodes answer. The other fails by itself where
// the run goes on, and ends one that does not.
func TestNodesThatDoNotAnswer(t *testing.T) {
	s := newAPIServer(t)
	s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		pod := s.pods[r.PathValue("name")]
		s.mu.Unlock()
		if pod == nil || pod.Spec.NodeName != "node-a" {
			return refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "container is waiting to start")
		}
		out := wire.NewWriter(w, pod.Labels[LabelInstance])
		out.Write(&wire.Hello{Version: "test", Arch: "amd64", ABIs: []string{"amd64"}})
		out.Write(&wire.Self{Cgroup: 2})
		out.End()
		return true
	}
	o := Options{KeepGoing: true, Timeout: time.Second}
	reports, err := Run(t.Context(), s.client(), o, []Request{{Node: "node-a", Self: true}, {Node: "node-b", Self: true}}, new(strings.Builder))
	incomplete := new(Incomplete)
	if !errors.As(err, &incomplete) || reports["node-a"] == nil || len(incomplete.Failed) != 1 || !errors.Is(incomplete.Failed["node-b"], ErrTimeout) {
		t.Errorf("%v, %v", reports, err)
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	o.KeepGoing = false
	if reports, err := Run(t.Context(), s.client(), o, []Request{{Node: "node-b", Self: true}}, new(strings.Builder)); reports != nil || !errors.Is(err, ErrTimeout) || errors.As(err, &incomplete) {
		t.Errorf("%v, %v", reports, err)
	}
}
