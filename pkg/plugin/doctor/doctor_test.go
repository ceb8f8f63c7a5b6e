package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// apiServer answers as one that has two nodes, and a user who may do everything but
// what is denied.
type apiServer struct {
	*httptest.Server
	user   string
	denied []string // "list pods", of whatever namespace
	nodes  []corev1.Node
	hook   func(w http.ResponseWriter, r *http.Request) bool // answers, if it returns true
}

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{user: "jane", nodes: []corev1.Node{ready("node-a"), ready("node-b")}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { answer(w, version.Info{GitVersion: "v1.36.3"}) })
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: s.user}}})
	})
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SelfSubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		a := review.Spec.ResourceAttributes
		what := a.Verb + " " + a.Resource
		if a.Subresource != "" {
			what += "/" + a.Subresource
		}
		review.Status.Allowed = !slices.Contains(s.denied, what) && !slices.Contains(s.denied, what+" in "+a.Namespace)
		answer(w, review)
	})
	mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, r *http.Request) {
		// A page each.
		i := slices.IndexFunc(s.nodes, func(n corev1.Node) bool { return n.Name == r.URL.Query().Get("continue") })
		list := corev1.NodeList{}
		if i = max(i, 0); i < len(s.nodes) {
			list.Items = s.nodes[i : i+1]
		}
		if i+1 < len(s.nodes) {
			list.Continue = s.nodes[i+1].Name
		}
		answer(w, list)
	})
	mux.HandleFunc("GET /api/v1/nodes/{name}", func(w http.ResponseWriter, r *http.Request) {
		for _, n := range s.nodes {
			if n.Name == r.PathValue("name") {
				answer(w, n)
				return
			}
		}
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "nodes not found")
	})
	mux.HandleFunc("GET /api/v1/namespaces/{ns}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.PathValue("ns")}})
	})
	mux.HandleFunc("POST /api/v1/namespaces", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("dryRun") != metav1.DryRunAll {
			t.Error("a namespace is created")
		}
		answer(w, corev1.Namespace{})
	})
	mux.HandleFunc("POST /api/v1/namespaces/{ns}/pods", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("dryRun") != metav1.DryRunAll {
			t.Error("a pod is created")
		}
		answer(w, corev1.Pod{})
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.hook == nil || !s.hook(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(object)
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message})
	return true
}

func ready(name string) corev1.Node {
	return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
		NodeInfo:   corev1.NodeSystemInfo{OperatingSystem: "linux", ContainerRuntimeVersion: "containerd://2.1.0"},
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}}
}

// healthy is what a probe says of a node that has all.
func healthy() *report.Report {
	state := &report.State{State: wire.State{Subject: true, Mode: wire.ModeFilter}, Stack: bpf.Stack{make(bpf.Filter, 700)}, Fingerprint: "s:0123456789abcdef"}
	return &report.Report{
		Hello: wire.Hello{Kernel: "6.12.9-200.fc41", Machine: "x86_64", Arch: "amd64"},
		Self:  &wire.Self{Effective: 0x1ffffffffff, HostPID: true, HostUsers: true, PtraceScope: new(1), Cgroup: 2, BTF: true, StoppedNS: 120_000},
		Node:  &wire.Node{SeccompDefault: new(true), KubeletRoot: "/var/lib/kubelet"},
		Targets: map[string]*report.Target{probepod.ReferenceID(0): {
			Target: wire.Target{ID: probepod.ReferenceID(0), PID: 7, Container: strings.Repeat("0", 64)},
			States: []*report.State{state}, Config: &wire.Config{Path: "/run/config.json", Runtime: "/usr/bin/crun"},
		}},
	}
}

// examine makes the checks, with a report of each node.
func (s *apiServer) examine(t *testing.T, o probepod.Options, nodes []string, of func(node string) (*report.Report, error)) *v1alpha1.Diagnosis {
	t.Helper()
	client, err := NewClient(&rest.Config{Host: s.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	o.Image = "probe:1"
	e := Examination{Client: client, Namespace: "shop", Nodes: nodes, Options: o,
		Probe: func(_ context.Context, requests []probepod.Request, answered func(string, time.Duration)) (map[string]*report.Report, error) {
			reports, failed := make(map[string]*report.Report), make(map[string]error)
			for _, r := range requests {
				if !r.Self || !r.Configs || len(r.References) != 1 {
					t.Errorf("request %+v", r)
				}
				report, err := of(r.Node)
				if err != nil {
					failed[r.Node] = err
					continue
				}
				reports[r.Node] = report
				answered(r.Node, time.Second)
			}
			if len(failed) > 0 {
				return reports, &probepod.Incomplete{Failed: failed}
			}
			return reports, nil
		}}
	d, err := e.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func allHealthy(string) (*report.Report, error) { return healthy(), nil }

// check returns the only check of a name and a node.
func check(t *testing.T, d *v1alpha1.Diagnosis, name, node string) v1alpha1.Check {
	t.Helper()
	var found []v1alpha1.Check
	for _, c := range d.Checks {
		if c.Name == name && c.Node == node {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Errorf("%d checks %s of %q in %+v", len(found), name, node, d.Checks)
		return v1alpha1.Check{}
	}
	return found[0]
}

// others fails the test if anything but some checks is not well.
func others(t *testing.T, d *v1alpha1.Diagnosis, but ...string) {
	t.Helper()
	for _, c := range d.Checks {
		if c.Status != v1alpha1.CheckOK && !slices.Contains(but, c.Name) {
			t.Errorf("%+v", c)
		}
		if c.Status == v1alpha1.CheckFailed && c.Remedy == "" {
			t.Errorf("no remedy: %+v", c)
		}
	}
}

func TestHealthy(t *testing.T) {
	for _, nodes := range [][]string{nil, {"node-a", "node-b"}} {
		d := newAPIServer(t).examine(t, probepod.Options{}, nodes, allHealthy)
		others(t, d)
		for _, node := range []string{"node-a", "node-b"} {
			for _, name := range []string{v1alpha1.CheckProbe, v1alpha1.CheckKernel, v1alpha1.CheckPrivileges, v1alpha1.CheckPtraceScope, v1alpha1.CheckReadFilter,
				v1alpha1.CheckContainers, v1alpha1.CheckRuntimeDefault, v1alpha1.CheckOCIConfig, v1alpha1.CheckKubelet} {
				check(t, d, name, node)
			}
		}
		if c := check(t, d, v1alpha1.CheckProbe, "node-b"); c.Took.Duration != time.Second {
			t.Errorf("%+v", c)
		}
	}
}

// TestPermissions takes one permission from the user each time.
func TestPermissions(t *testing.T) {
	suffix := bindingSuffix("jane")
	clusterRole := "`kubectl --context=x apply -f docs/rbac/cluster.yaml`, then `kubectl --context=x create clusterrolebinding kubectl-seccomp-targets-" + suffix + " --clusterrole=kubectl-seccomp-targets --user=jane`"
	role := "`kubectl --context=x apply -n shop -f docs/rbac/namespace.yaml`, then `kubectl --context=x create rolebinding kubectl-seccomp-targets-" + suffix + " -n shop --role=kubectl-seccomp-targets --user=jane`"
	probe := "`kubectl --context=x apply -n tools -f docs/rbac/probe.yaml`, then `kubectl --context=x create rolebinding kubectl-seccomp-probe-" + suffix + " -n tools --role=kubectl-seccomp-probe --user=jane`"
	for _, test := range []struct {
		denied, check string
		status        v1alpha1.CheckStatus
		say, remedy   string
	}{
		{"get pods in shop", v1alpha1.CheckRBACTargets, v1alpha1.CheckFailed, "you may not get pods in namespace shop", role},
		{"list pods in shop", v1alpha1.CheckRBACTargets, v1alpha1.CheckWarning, "you may not list pods in namespace shop. Without, this does not work: list, verify", role},
		{"watch pods in shop", v1alpha1.CheckRBACTargets, v1alpha1.CheckWarning, "you may not watch pods in namespace shop. Without, this does not work: record of what starts", role},
		{"get deployments", v1alpha1.CheckRBACWorkloads, v1alpha1.CheckWarning, "you may not get deployments.apps in namespace shop. Without, this does not work: operands TYPE/NAME", role},
		{"list pods in ", v1alpha1.CheckRBACCluster, v1alpha1.CheckWarning, "you may not list pods in the whole cluster. Without, this does not work: --all-namespaces, and list node/NODE", clusterRole},
		{"get nodes", v1alpha1.CheckRBACCluster, v1alpha1.CheckWarning, "you may not get nodes in the whole cluster", clusterRole},
		{"get namespaces", v1alpha1.CheckRBACCluster, v1alpha1.CheckWarning, "you may not get namespaces tools in the whole cluster", clusterRole},
		{"get pods in tools", v1alpha1.CheckRBACProbe, v1alpha1.CheckFailed, "you may not get pods in namespace tools", probe},
		{"watch pods in tools", v1alpha1.CheckRBACProbe, v1alpha1.CheckFailed, "you may not watch pods in namespace tools", probe},
		{"delete pods", v1alpha1.CheckRBACProbe, v1alpha1.CheckFailed, "you may not delete pods in namespace tools", probe},
		{"get pods/log", v1alpha1.CheckRBACProbe, v1alpha1.CheckFailed, "you may not get pods/log in namespace tools", probe},
		{"list pods in tools", v1alpha1.CheckRBACProbe, v1alpha1.CheckWarning, "what killed runs have left", probe},
	} {
		s := newAPIServer(t)
		s.denied = []string{test.denied}
		d := s.examine(t, probepod.Options{Namespace: "tools", Kubectl: "kubectl --context=x"}, nil, allHealthy)
		others(t, d, test.check)
		if c := check(t, d, test.check, ""); c.Status != test.status || !strings.Contains(c.Message, test.say) || !strings.Contains(c.Remedy, test.remedy) {
			t.Errorf("without %s: %+v", test.denied, c)
		}
	}
}

// TestCreateNamespace needs more, and everywhere.
func TestCreateNamespace(t *testing.T) {
	s := newAPIServer(t)
	d := s.examine(t, probepod.Options{CreateNamespace: true}, nil, allHealthy)
	others(t, d)
	if c := check(t, d, v1alpha1.CheckProbeNamespace, ""); c.Message != "a namespace may be created for the run" {
		t.Errorf("%+v", c)
	}
	s.denied = []string{"create namespaces"}
	d = s.examine(t, probepod.Options{CreateNamespace: true}, nil, allHealthy)
	if c := check(t, d, v1alpha1.CheckRBACProbe, ""); c.Status != v1alpha1.CheckFailed || c.Message != "you may not create namespaces in the whole cluster" ||
		!strings.Contains(c.Remedy, "create clusterrolebinding kubectl-seccomp-create-namespace-"+bindingSuffix("jane")+" --clusterrole=kubectl-seccomp-create-namespace --user=jane") {
		t.Errorf("%+v", c)
	}
}

// TestSubjects binds roles to whoever the user is, for a shell to read.
func TestSubjects(t *testing.T) {
	for user, want := range map[string]string{
		"system:serviceaccount:ci:bot": " --serviceaccount=ci:bot`",
		"O'Hara; rm":                   ` --user='O'\''Hara; rm'` + "`",
		"":                             "then `kubectl create rolebinding`",
	} {
		s := newAPIServer(t)
		s.user, s.denied = user, []string{"watch pods"}
		if c := check(t, s.examine(t, probepod.Options{}, nil, allHealthy), v1alpha1.CheckRBACProbe, ""); !strings.HasSuffix(c.Remedy, want) {
			t.Errorf("%q: %s", user, c.Remedy)
		}
	}
}

// TestCluster has an API server that does not do as usual. No probe is run then.
func TestCluster(t *testing.T) {
	for name, test := range map[string]struct {
		denied      string
		path        string // of a request that is refused
		code        int
		message     string
		check       string
		status      v1alpha1.CheckStatus
		say, remedy string
		probes      bool
	}{
		"no credentials": {path: "/version", code: 401, message: "Unauthorized",
			check: v1alpha1.CheckAPIServer, status: v1alpha1.CheckUnknown, say: "the API server does not accept your credentials", remedy: "log in again"},
		"something else": {path: "/version", code: 200,
			check: v1alpha1.CheckAPIServer, status: v1alpha1.CheckUnknown, say: "what answers is no API server", remedy: "`kubectl cluster-info`"},
		"no answer": {path: "/version", code: 503, message: "etcd is away",
			check: v1alpha1.CheckAPIServer, status: v1alpha1.CheckUnknown, say: "currently unable to handle the request", remedy: "`kubectl cluster-info`"},
		"no reviews": {path: "selfsubjectaccessreviews", code: 403, message: `selfsubjectaccessreviews.authorization.k8s.io is forbidden: User "jane" cannot create resource`,
			check: v1alpha1.CheckRBACTargets, status: v1alpha1.CheckUnknown, say: "you are not allowed to create selfsubjectaccessreviews", probes: true},
		"may not create": {denied: "create pods",
			check: v1alpha1.CheckProbeNamespace, status: v1alpha1.CheckUnknown, say: "you may not create pods in namespace kube-system"},
		"pod security": {path: "/pods", code: 403, message: `pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces`,
			check: v1alpha1.CheckProbeNamespace, status: v1alpha1.CheckFailed, say: "violates PodSecurity", remedy: "`kubectl label --overwrite namespace kube-system pod-security.kubernetes.io/enforce=privileged`"},
		"quota": {path: "/pods", code: 403, message: `pods "x" is forbidden: exceeded quota: few`,
			check: v1alpha1.CheckProbeNamespace, status: v1alpha1.CheckFailed, say: "exceeded quota", remedy: "`kubectl describe quota -n kube-system`"},
		"no namespace": {path: "/namespaces/kube-system", code: 404, message: "not found",
			check: v1alpha1.CheckProbeNamespace, status: v1alpha1.CheckFailed, say: "there is no such namespace", remedy: "create namespace kube-system"},
		"nodes are not listed": {path: "/nodes", code: 500, message: "etcd is away",
			check: v1alpha1.CheckNodes, status: v1alpha1.CheckUnknown, say: "etcd is away"},
		"may not list nodes": {path: "/nodes", code: 403, message: `nodes is forbidden: User "jane" cannot list resource`,
			check: v1alpha1.CheckNodes, status: v1alpha1.CheckUnknown, say: "name those to be checked"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			if test.denied != "" {
				s.denied = []string{test.denied}
			}
			s.hook = func(w http.ResponseWriter, r *http.Request) bool {
				return test.path != "" && strings.HasSuffix(r.URL.Path, test.path) && refuse(w, test.code, metav1.StatusReason(http.StatusText(test.code)), test.message)
			}
			probed := false
			d := s.examine(t, probepod.Options{}, nil, func(string) (*report.Report, error) {
				probed = true
				return healthy(), nil
			})
			if c := check(t, d, test.check, ""); c.Status != test.status || !strings.Contains(c.Message, test.say) || !strings.Contains(c.Remedy, test.remedy) {
				t.Errorf("%+v", c)
			}
			if probed != test.probes {
				t.Errorf("probed: %v", probed)
			}
			if test.check == v1alpha1.CheckAPIServer && len(d.Checks) != 1 {
				t.Errorf("%+v", d.Checks)
			}
			if test.check == v1alpha1.CheckProbeNamespace {
				check(t, d, v1alpha1.CheckProbe, "node-b")
			}
		})
	}
}

// TestNodes has nodes that cannot be checked, among all and by name.
func TestNodes(t *testing.T) {
	s := newAPIServer(t)
	windows, away := ready("win"), ready("away")
	windows.Status.NodeInfo.OperatingSystem = "windows"
	away.Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", Message: "Kubelet stopped\x1b[2J"}
	s.nodes = append(s.nodes, windows, away)
	var probed []string
	of := func(node string) (*report.Report, error) {
		probed = append(probed, node)
		return healthy(), nil
	}
	d := s.examine(t, probepod.Options{}, nil, of)
	others(t, d, v1alpha1.CheckNode)
	if c := check(t, d, v1alpha1.CheckNodes, ""); c.Message != "2 run Linux and are ready, 1 run something else and have no seccomp" {
		t.Errorf("%+v", c)
	}
	if c := check(t, d, v1alpha1.CheckNode, "away"); c.Status != v1alpha1.CheckWarning || !strings.Contains(c.Message, "NotReady") || strings.Contains(c.Message, "\x1b") {
		t.Errorf("%+v", c)
	}
	d = s.examine(t, probepod.Options{}, []string{"win", "away", "node-b", "none"}, of)
	for node, want := range map[string]string{"win": "it runs windows", "away": "NotReady", "none": "the cluster has no such node"} {
		if c := check(t, d, v1alpha1.CheckNode, node); c.Status != v1alpha1.CheckFailed || !strings.Contains(c.Message, want) {
			t.Errorf("%+v", c)
		}
	}
	if want := []string{"node-a", "node-b", "node-b"}; !slices.Equal(probed, want) {
		t.Errorf("probed %v, want %v", probed, want)
	}
}

// TestProbeFails has a node on which no probe runs. The other is checked.
func TestProbeFails(t *testing.T) {
	d := newAPIServer(t).examine(t, probepod.Options{}, nil, func(node string) (*report.Report, error) {
		if node == "node-a" {
			return nil, failure.New(probepod.ErrImage, "start probe pod x", "image probe:1: ErrImagePull", "name an image by --image")
		}
		return healthy(), nil
	})
	others(t, d, v1alpha1.CheckProbe)
	if c := check(t, d, v1alpha1.CheckProbe, "node-a"); c.Status != v1alpha1.CheckFailed || c.Message != "image probe:1: ErrImagePull" || c.Remedy != "name an image by --image" {
		t.Errorf("%+v", c)
	}
	check(t, d, v1alpha1.CheckReadFilter, "node-b")
}

// TestRunFails has a run of the probes that leaves a pod behind, beside a node that is
// not read, and one that is interrupted.
func TestRunFails(t *testing.T) {
	s := newAPIServer(t)
	client, err := NewClient(&rest.Config{Host: s.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	left, image := errors.New("delete probe pod x: no"), failure.New(probepod.ErrImage, "start", "ErrImagePull", "name an image")
	incomplete := &probepod.Incomplete{Failed: map[string]error{"node-a": image}}
	for _, test := range []struct {
		err, want error
		a, b      v1alpha1.CheckStatus
	}{
		{errors.Join(incomplete, left), left, v1alpha1.CheckFailed, v1alpha1.CheckUnknown},
		{incomplete, nil, v1alpha1.CheckFailed, v1alpha1.CheckUnknown},
		{left, left, v1alpha1.CheckUnknown, v1alpha1.CheckUnknown},
	} {
		e := Examination{Client: client, Namespace: "shop",
			Probe: func(context.Context, []probepod.Request, func(string, time.Duration)) (map[string]*report.Report, error) {
				return nil, test.err
			}}
		d, err := e.Run(t.Context())
		if !errors.Is(err, test.want) || errors.As(err, new(*probepod.Incomplete)) {
			t.Errorf("%v: %v", test.err, err)
		}
		if a, b := check(t, d, v1alpha1.CheckProbe, "node-a"), check(t, d, v1alpha1.CheckProbe, "node-b"); a.Status != test.a || b.Status != test.b {
			t.Errorf("%v: %+v, %+v", test.err, a, b)
		}
	}
}

func TestPhrase(t *testing.T) {
	o := probepod.Options{Namespace: "tools"}
	for i, want := range []string{
		"get, list and watch pods",
		"get deployments.apps, daemonsets.apps, statefulsets.apps, replicasets.apps, jobs.batch and cronjobs.batch",
		"list pods; get and list nodes; get namespaces tools",
		"create, get, watch, delete and list pods; get pods/log",
	} {
		if got := phrase(grants("shop", o)[i].list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
