package probepod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestCreateNamespace has runs make a namespace of their own, which goes with them
// however they end.
func TestCreateNamespace(t *testing.T) {
	drop := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	for name, test := range map[string]struct {
		set  func(*apiServer)
		kind error // of the run's error; nil: any
		say  string
		left bool
	}{
		"success":      {func(*apiServer) {}, nil, "", false},
		"no pod":       {func(s *apiServer) { s.onCreate = refuser(403, metav1.StatusReasonForbidden, "exceeded quota: q") }, ErrQuota, "", false},
		"never starts": {func(s *apiServer) { s.onCreated = waiting("ErrImagePull", "no such host") }, ErrImage, "", false},
		"may not": {func(s *apiServer) {
			s.onCreateHome = refuser(403, metav1.StatusReasonForbidden, `namespaces is forbidden: User "jane" cannot create resource "namespaces"`)
		}, ErrForbidden, "kubectl auth can-i create namespaces", false},
		"policy": {func(s *apiServer) {
			s.onCreateHome = refuser(403, metav1.StatusReasonForbidden, `admission webhook "names" denied the request`)
		}, ErrRefused, "--probe-namespace", false},
		"unanswered": {func(s *apiServer) {
			s.onCreateHome = func(w http.ResponseWriter, r *http.Request) bool { s.homes.store(r); drop(w); return true }
		}, errAny, "", false},
		"somebody else's": {func(s *apiServer) {
			s.onCreateHome = func(w http.ResponseWriter, r *http.Request) bool {
				s.homes.store(r).Labels[LabelInstance] = "another"
				drop(w)
				return true
			}
		}, errAny, "", true},
		"not deleted": {func(s *apiServer) {
			s.onDeleteHome = refuser(403, metav1.StatusReasonForbidden, `namespaces is forbidden: User "jane" cannot delete resource "namespaces"`)
		}, ErrNotDeleted, "delete it by `kubectl delete namespace seccomp-probe-", true},
		"deletion is retried": {func(s *apiServer) {
			n := 0
			s.onDeleteHome = func(w http.ResponseWriter, r *http.Request) bool {
				n++
				return n < 3 && refuse(w, 503, metav1.StatusReasonServiceUnavailable, "apiserver is shutting down")
			}
		}, nil, "", false},
		"not looked into": {func(s *apiServer) {
			s.onList = refuser(403, metav1.StatusReasonForbidden, `pods is forbidden: User "jane" cannot list resource "pods"`)
		}, ErrNotDeleted, "if there is none, delete it by `kubectl delete namespace seccomp-probe-", true},
		"the look is retried": {func(s *apiServer) {
			n := 0
			s.onList = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, Name) || r.URL.Query().Get("fieldSelector") != "" {
					return false
				}
				n++
				return n < 3 && refuse(w, 503, metav1.StatusReasonServiceUnavailable, "apiserver is shutting down")
			}
		}, nil, "", false},
		"a stranger's pod": {func(s *apiServer) {
			s.onLog = func(http.ResponseWriter, *http.Request) bool {
				s.set(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.probe().Namespace, Name: "web-0", UID: "web-0"}})
				return false
			}
		}, ErrNotDeleted, "it holds pod web-0, which is not of this run", true},
	} {
		t.Run(name, func(t *testing.T) {
			defer within(t, 8*time.Second)()
			s := newAPIServer(t)
			s.addWeb(nil)
			test.set(s)
			reports, _, err := run(t, s, Options{CreateNamespace: true})
			switch {
			case test.kind == nil && (err != nil || reports["node-a"] == nil):
				t.Errorf("reports %v, error %v", reports, err)
			case test.kind == errAny && err == nil:
				t.Error("no error")
			case test.kind != nil && test.kind != errAny && (!errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.say)):
				t.Errorf("error %v, want a %v that says %q", err, test.kind, test.say)
			}
			if left := s.homesLeft(); len(left) > 0 != test.left {
				t.Errorf("namespaces %v are left", left)
			}
		})
	}
}

var errAny = errors.New("any")

// TestCreateNamespaceIsFirst has the pod in the run's namespace, and both kept if they
// are to be.
func TestCreateNamespaceIsFirst(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	var notices strings.Builder
	o := Options{CreateNamespace: true, Keep: true, Namespace: "elsewhere", Notices: &notices}
	if _, err := Run(t.Context(), s.client(), o, requestsFor(web), io.Discard); err != nil {
		t.Fatal(err)
	}
	left, home := s.left(), s.homesLeft()
	if len(left) != 1 || len(home) != 1 || s.pods[left[0]].Namespace != home[0] || len(s.deleted) > 0 {
		t.Fatalf("pods %v and namespaces %v are left", left, home)
	}
	ns := s.namespaces[home[0]]
	for _, mode := range []string{"enforce", "audit", "warn"} {
		if ns.Labels["pod-security.kubernetes.io/"+mode] != "privileged" {
			t.Errorf("labels %v", ns.Labels)
		}
	}
	if !madeNamespace(ns) {
		t.Error("a namespace that a run made is not known")
	}
	for _, want := range []string{"kubectl delete pod " + left[0] + " -n " + home[0], "kubectl delete namespace " + home[0]} {
		if !strings.Contains(notices.String(), want) {
			t.Errorf("said %q, want %q", notices.String(), want)
		}
	}
}

// leftHome is a namespace of an earlier run, created some time ago.
func leftHome(suffix string, age time.Duration) *corev1.Namespace {
	ns := NewNamespace(Options{}, "seccomp-probe-"+suffix, earlierRun)
	ns.UID, ns.CreationTimestamp = types.UID("uid-"+ns.Name), metav1.NewTime(time.Now().Add(-age))
	return ns
}

// forgedHomes are namespaces that look like a leftover but for one thing.
var forgedHomes = map[string]func(*corev1.Namespace){
	"no name label":       func(ns *corev1.Namespace) { delete(ns.Labels, LabelName) },
	"run of another form": func(ns *corev1.Namespace) { ns.Labels[LabelInstance] = "mine" },
	"another name":        func(ns *corev1.Namespace) { ns.Name = "shop" },
	"longer name":         func(ns *corev1.Namespace) { ns.Name += "x" },
	"owned":               func(ns *corev1.Namespace) { ns.OwnerReferences = []metav1.OwnerReference{{Kind: "Tenant"}} },
	"name was generated":  func(ns *corev1.Namespace) { ns.GenerateName = "seccomp-probe-" },
	"not for probes":      func(ns *corev1.Namespace) { ns.Labels[labelEnforce] = "restricted" },
	"no deadline":         func(ns *corev1.Namespace) { delete(ns.Annotations, AnnotationDeadline) },
	"no such deadline":    func(ns *corev1.Namespace) { ns.Annotations[AnnotationDeadline] = "-5" },
	"far too long":        func(ns *corev1.Namespace) { ns.Annotations[AnnotationDeadline] = "2000000000" },
}

func TestMadeNamespace(t *testing.T) {
	ns := leftHome("0123456789", time.Hour)
	ns.Labels["kubernetes.io/metadata.name"], ns.Labels["policy.example/exempt"] = ns.Name, "true"
	if !madeNamespace(ns) {
		t.Error("a namespace that a run made is not known")
	}
	for name, forge := range forgedHomes {
		ns := leftHome("0123456789", time.Hour)
		if forge(ns); madeNamespace(ns) {
			t.Errorf("%s: taken for a namespace that a run made", name)
		}
	}
}

// addHomes has a namespace of each kind in the server.
func addHomes(s *apiServer) {
	add := func(ns *corev1.Namespace, holding ...metav1.ObjectMeta) {
		s.namespaces[ns.Name] = ns
		s.configMaps[ns.Name] = holding
	}
	add(leftHome("emptyempty", life+5*time.Second))
	add(leftHome("derivative", life+5*time.Second), metav1.ObjectMeta{Name: "status", OwnerReferences: []metav1.OwnerReference{{Kind: "Pod"}}})
	add(leftHome("youngyoung", life-5*time.Second))
	add(leftHome("inhabited0", life+24*time.Hour), metav1.ObjectMeta{Name: "mine"})
	kept := leftHome("keptkeptke", 24*time.Hour)
	kept.Annotations[AnnotationKeep] = "true"
	add(kept)
	going := leftHome("goinggoing", 24*time.Hour)
	going.DeletionTimestamp = new(metav1.Now())
	add(going)
	n := 0
	for _, name := range slices.Sorted(maps.Keys(forgedHomes)) {
		ns := leftHome(fmt.Sprintf("forged%04d", n), 24*time.Hour)
		n++
		forgedHomes[name](ns)
		add(ns)
	}
	add(leftHome("withpods00", 24*time.Hour))
	probe := leftover("dead0", 24*time.Hour)
	probe.Namespace = "seccomp-probe-withpods00"
	s.before(probe)
	add(leftHome("otherspods", 24*time.Hour))
	s.before(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "seccomp-probe-otherspods", Name: "web-0", UID: "web-0"}})
}

func TestSweepNamespaces(t *testing.T) {
	s := newAPIServer(t)
	addHomes(s)
	var said strings.Builder
	r := &runner{client: s.client(), out: &said}
	r.sweep(t.Context(), time.Now())
	slices.Sort(s.deleted)
	if got, want := strings.Join(s.deleted, " "), "seccomp-probe-derivative seccomp-probe-emptyempty seccomp-probe-withpods00"; got != want {
		t.Errorf("deleted %q, want %q", got, want)
	}
	if !strings.Contains(said.String(), "deleted namespace seccomp-probe-emptyempty, which an earlier run had left\n") {
		t.Errorf("said %q", said.String())
	}
	// What cannot be looked at may be there.
	s = newAPIServer(t)
	s.noSecrets = true
	addHomes(s)
	(&runner{client: s.client(), out: io.Discard}).sweep(t.Context(), time.Now())
	if len(s.deleted) > 0 {
		t.Errorf("deleted %q, of which it is not known that they are empty", s.deleted)
	}
}

func TestCleanupNamespaces(t *testing.T) {
	for name, test := range map[string]struct {
		o       CleanupOptions
		deleted string
	}{
		"created": {CleanupOptions{Namespace: "kube-system", Created: true}, "derivative emptyempty withpods00"},
		"kept":    {CleanupOptions{Created: true, Kept: true}, "derivative emptyempty keptkeptke withpods00"},
		"all":     {CleanupOptions{Created: true, All: true}, "derivative emptyempty keptkeptke withpods00 youngyoung"},
		"dry run": {CleanupOptions{Created: true, DryRun: true}, "derivative emptyempty withpods00"},
		"not":     {CleanupOptions{Namespace: "tools"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			addHomes(s)
			list, err := Cleanup(t.Context(), s.config(), test.o)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, l := range list {
				if l.Kind == "Namespace" && l.Left == "" && l.Err == nil {
					names = append(names, strings.TrimPrefix(l.Name, "seccomp-probe-"))
				}
				if l.Left == "" && l.Kind == "Namespace" && (s.namespaces[l.Name] == nil) == test.o.DryRun {
					t.Errorf("%s: there although it is said to be deleted, or the other way round", l.Name)
				}
				if l.Name == "seccomp-probe-inhabited0" && !test.o.DryRun && l.Left != "it holds configmaps/mine, which no run has made" {
					t.Errorf("of %s is said %q", l.Name, l.Left)
				}
			}
			if got := strings.Join(names, " "); got != test.deleted || test.o.DryRun && len(s.deleted) > 0 {
				t.Errorf("said to delete %q, want %q; deleted %q", got, test.deleted, s.deleted)
			}
		})
	}
}

// TestCleanupUnseen has a user who may not look at namespaces: pods are deleted.
func TestCleanupUnseen(t *testing.T) {
	s := newAPIServer(t)
	s.before(leftover("over0", life+5*time.Second))
	s.intercept("/api/v1/namespaces", refuser(403, metav1.StatusReasonForbidden, `namespaces is forbidden: User "jane" cannot list resource "namespaces"`))
	list, err := Cleanup(t.Context(), s.config(), CleanupOptions{Namespace: DefaultNamespace, Created: true})
	var unseen *Unseen
	if !errors.As(err, &unseen) || !errors.Is(err, ErrForbidden) || len(list) != 1 || len(s.left()) > 0 {
		t.Errorf("%+v, error %v", list, err)
	}
}

// TestCleanupNamespacesFail has an API server that fails to list namespaces: that is not
// the user's having no need of them. The pods are deleted all the same.
func TestCleanupNamespacesFail(t *testing.T) {
	for name, fail := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"broken":       refuser(500, metav1.StatusReasonInternalError, "etcd is not there"),
		"unauthorized": refuser(401, metav1.StatusReasonUnauthorized, "Unauthorized"),
		"admission":    refuser(403, metav1.StatusReasonForbidden, "not now"),
	} {
		s := newAPIServer(t)
		s.before(leftover("over0", life+5*time.Second))
		s.intercept("/api/v1/namespaces", fail)
		list, err := Cleanup(t.Context(), s.config(), CleanupOptions{Namespace: DefaultNamespace, Created: true})
		if err == nil || errors.As(err, new(*Unseen)) || len(list) != 1 || len(s.left()) > 0 {
			t.Errorf("%s: %+v, error %v", name, list, err)
		}
	}
}

// TestDiscoveryHangs has an API server that does not say what kinds of objects there are:
// neither a run's sweep nor cleanup waits for it longer than for anything else, and no
// namespace is deleted.
func TestDiscoveryHangs(t *testing.T) {
	defer within(t, 5*time.Second)()
	s := newAPIServer(t)
	addHomes(s)
	var asked atomic.Int32
	s.intercept("/api", func(_ http.ResponseWriter, r *http.Request) bool {
		asked.Add(1)
		<-r.Context().Done()
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	(&runner{client: s.client(), out: io.Discard}).sweep(ctx, time.Now())
	if n := asked.Load(); n != 1 {
		t.Errorf("the sweep asked %d times, want once for all namespaces", n)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	list, err := Cleanup(ctx, s.config(), CleanupOptions{Namespace: "empty", Created: true})
	failed := 0
	for _, l := range list {
		if l.Err != nil {
			failed++
		}
	}
	if err != nil || failed == 0 || len(s.deleted) > 0 {
		t.Errorf("%+v, error %v; deleted %v", list, err, s.deleted)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("cleanup asked %d times, want once for all namespaces", n-1)
	}
}
