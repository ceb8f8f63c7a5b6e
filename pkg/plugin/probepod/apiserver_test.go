package probepod

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// apiServer is as much of an API server as a run needs. What a test wants to go
// wrong it puts into the hooks; a hook that returns true has answered.
type apiServer struct {
	t *testing.T
	*httptest.Server

	onCreate, onList, onLog, onDelete, onNamespace func(w http.ResponseWriter, r *http.Request) bool

	onCreated func(*corev1.Pod) // sets the pod's status

	mu      sync.Mutex
	pods    map[string]*corev1.Pod
	changed *sync.Cond
	version int
	deletes []metav1.DeleteOptions
	lists   []url.Values
	earlier map[string]bool // pods that were there before, by name
	*homes
	stopped bool
}

func newAPIServer(t *testing.T) *apiServer {
	s := &apiServer{t: t, pods: make(map[string]*corev1.Pod), earlier: make(map[string]bool), homes: newHomes()}
	s.changed = sync.NewCond(&s.mu)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/{ns}", s.getNamespace)
	s.homes.handle(mux)
	mux.HandleFunc("POST /api/v1/namespaces/{ns}/pods", s.create)
	mux.HandleFunc("GET /api/v1/namespaces/{ns}/pods", s.listOrWatch)
	mux.HandleFunc("GET /api/v1/pods", s.listOrWatch)
	mux.HandleFunc("GET /api/v1/namespaces/{ns}/pods/{name}", s.get)
	mux.HandleFunc("GET /api/v1/namespaces/{ns}/pods/{name}/log", s.log)
	mux.HandleFunc("DELETE /api/v1/namespaces/{ns}/pods/{name}", s.delete)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { refuse(w, http.StatusNotFound, "NotFound", "not found") })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.mu.Lock()
		s.stopped = true
		s.changed.Broadcast()
		s.mu.Unlock()
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *apiServer) config() *rest.Config {
	return &rest.Config{Host: s.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
}

func (s *apiServer) client() Client {
	c, err := NewClient(s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) bool {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
	return true
}

// refuser returns a hook that refuses.
func refuser(code int, reason metav1.StatusReason, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool { return refuse(w, code, reason, message) }
}

// intercept has a hook answer the requests for a path.
func (s *apiServer) intercept(path string, hook func(http.ResponseWriter, *http.Request) bool) {
	next := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path || !hook(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

func (s *apiServer) create(w http.ResponseWriter, r *http.Request) {
	if s.onCreate != nil && s.onCreate(w, r) {
		return
	}
	if r.URL.Query().Get("dryRun") != "" {
		answer(w, new(corev1.Pod))
		return
	}
	answer(w, s.store(r))
}

// getNamespace answers with a namespace of whatever name, unless a hook has another.
func (s *apiServer) getNamespace(w http.ResponseWriter, r *http.Request) {
	if s.onNamespace != nil && s.onNamespace(w, r) {
		return
	}
	if name := r.PathValue("ns"); strings.HasPrefix(name, Name) {
		s.homes.get(w, name)
	} else {
		answer(w, namespace(name, nil))
	}
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: labels},
	}
}

// store keeps the pod of a request that creates one.
func (s *apiServer) store(r *http.Request) *corev1.Pod {
	pod := new(corev1.Pod)
	if err := json.NewDecoder(r.Body).Decode(pod); err != nil {
		s.t.Errorf("create: %v", err)
	}
	pod.UID = types.UID("uid-" + pod.Name)
	pod.CreationTimestamp = metav1.Now()
	if s.onCreated != nil {
		s.onCreated(pod)
	}
	return s.set(pod)
}

// set stores a pod that is new or changed.
func (s *apiServer) set(pod *corev1.Pod) *corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	pod.ResourceVersion = fmt.Sprint(s.version)
	s.pods[pod.Name] = pod
	s.changed.Broadcast()
	return pod
}

// probe waits for the probe's pod and returns a copy of it.
func (s *apiServer) probe() *corev1.Pod {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for name, pod := range s.pods {
			if strings.HasPrefix(name, Name) && !s.earlier[name] {
				return pod.DeepCopy()
			}
		}
		s.changed.Wait()
	}
}

func answer(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(object)
}

func (s *apiServer) get(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	s.mu.Lock()
	pod := s.pods[name]
	s.mu.Unlock()
	if pod == nil {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "pods "+name+" not found")
		return
	}
	answer(w, pod)
}

// before stores a pod that is there before the run.
func (s *apiServer) before(pod *corev1.Pod) {
	s.earlier[pod.Name] = true
	s.set(pod)
}

// gone waits until there is no pod of a name.
func (s *apiServer) gone(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pods[name] != nil && !s.stopped {
		s.changed.Wait()
	}
}

func (s *apiServer) listOrWatch(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") == "true" {
		s.watch(w, r)
		return
	}
	if s.onList != nil && s.onList(w, r) {
		return
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists = append(s.lists, r.URL.Query())
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for _, name := range slices.Sorted(maps.Keys(s.pods)) {
		pod, ns := s.pods[name], r.PathValue("ns")
		if selector.Matches(labels.Set(pod.Labels)) && (ns == "" || ns == pod.Namespace) {
			list.Items = append(list.Items, *pod)
		}
	}
	answer(w, list)
}

// watch sends the pod as it is, each time it changes, and its end.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	send := func(typ string, pod *corev1.Pod) {
		json.NewEncoder(w).Encode(map[string]any{"type": typ, "object": pod})
		w.(http.Flusher).Flush()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *corev1.Pod
	for !s.stopped && r.Context().Err() == nil {
		switch pod := s.pods[name]; {
		case pod == nil && last != nil:
			send("DELETED", last)
			return
		case pod != last:
			send("MODIFIED", pod)
			last = pod
		}
		s.changed.Wait()
	}
}

func (s *apiServer) log(w http.ResponseWriter, r *http.Request) {
	if s.onLog != nil && s.onLog(w, r) {
		return
	}
	io.WriteString(w, s.output())
}

func (s *apiServer) delete(w http.ResponseWriter, r *http.Request) {
	if s.onDelete != nil && s.onDelete(w, r) {
		return
	}
	var o metav1.DeleteOptions
	json.NewDecoder(r.Body).Decode(&o)
	name := r.PathValue("name")
	s.mu.Lock()
	defer s.mu.Unlock()
	pod := s.pods[name]
	if pod == nil {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "pods "+name+" not found")
		return
	}
	if o.Preconditions == nil || *o.Preconditions.UID != pod.UID {
		refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the UID in the precondition does not match")
		return
	}
	s.deletes = append(s.deletes, o)
	delete(s.pods, name)
	s.changed.Broadcast()
	answer(w, pod)
}

// left returns the names of the probe pods that are there.
func (s *apiServer) left() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.pods {
		if strings.HasPrefix(name, Name) {
			names = append(names, name)
		}
	}
	return names
}

// web is the target of these tests, running.
var web = target.Container{
	Namespace: "shop", Pod: "web", PodUID: "uid-web", Name: "nginx", ID: "containerd://aa11", Node: "node-a",
}

// addWeb stores the pod of web.
func (s *apiServer) addWeb(change func(*corev1.ContainerStatus)) {
	status := corev1.ContainerStatus{
		Name: web.Name, ContainerID: web.ID,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}
	if change != nil {
		change(&status)
	}
	s.set(&corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: web.Namespace, Name: web.Pod, UID: types.UID(web.PodUID)},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{status}},
	})
}

// output is what a probe that found web writes.
func (s *apiServer) output() string { return output(s.t, s.probe().Labels[LabelInstance], web.ID) }

func output(t *testing.T, run string, ids ...string) string {
	var b strings.Builder
	w := wire.NewWriter(&b, run)
	messages := []wire.Message{&wire.Hello{Version: "test", Kernel: "6.1", Machine: "x86_64", Arch: "amd64", ABIs: []string{"amd64"}}}
	for _, id := range ids {
		messages = append(messages,
			&wire.Target{ID: id, PID: 7, Processes: 1, Threads: 1},
			&wire.State{Target: id, Subject: true, Stack: wire.NoStack, Processes: 1, Threads: 1})
	}
	for _, m := range messages {
		if err := w.Write(m); err != nil {
			t.Error(err)
		}
	}
	if err := w.End(); err != nil {
		t.Error(err)
	}
	return b.String()
}

// waiting returns a hook for onCreated: the container waits for a reason.
func waiting(reason, message string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Name:  containerName,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}}
	}
}

// end makes the probe's container end with an exit code.
func (s *apiServer) end(code int32, message string) {
	pod := s.probe()
	pod.Status = corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
		Name:  containerName,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}},
	}}}
	s.set(pod)
}

// within fails the test if what it measures takes longer.
func within(t *testing.T, d time.Duration) func() {
	start := time.Now()
	return func() {
		t.Helper()
		if took := time.Since(start); took > d {
			t.Errorf("took %v, more than %v", took, d)
		}
	}
}
