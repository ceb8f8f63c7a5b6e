package probepod

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// run runs a probe for web against a server and checks that none is left.
func run(t *testing.T, s *apiServer, o Options) (map[string]*report.Report, string, error) {
	t.Helper()
	var progress strings.Builder
	reports, err := Run(t.Context(), s.client(), o, requestsFor(web), &progress)
	if left := s.left(); len(left) > 0 && !errors.Is(err, ErrNotDeleted) {
		t.Errorf("left behind: %v", left)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has more than one line: %q", err)
	}
	return reports, progress.String(), err
}

func TestRun(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	reports, progress, err := run(t, s, Options{Image: "probe"})
	if err != nil {
		t.Fatal(err)
	}
	if r := reports["node-a"]; r == nil || !r.Targets[web.ID].Found() {
		t.Errorf("reports = %v", reports)
	}
	if progress != "" {
		t.Errorf("a run that was quick said %q", progress)
	}
	if len(s.deletes) != 1 || *s.deletes[0].GracePeriodSeconds != 0 {
		t.Errorf("deleted with %+v, want once, with a grace period of 0", s.deletes)
	}
}

// TestRefused has the API server refuse the pod, with what real ones say.
func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		code    int
		reason  metav1.StatusReason
		message string
		kind    error
		say     string
	}{
		"PodSecurity": {403, metav1.StatusReasonForbidden,
			`pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostPID=true), privileged (container "probe" must not set securityContext.privileged=true)`,
			ErrPodSecurity, "kubectl label --overwrite namespace kube-system pod-security.kubernetes.io/enforce=privileged"},
		"RBAC": {403, metav1.StatusReasonForbidden,
			`pods is forbidden: User "jane" cannot create resource "pods" in API group "" in the namespace "kube-system"`,
			ErrForbidden, "kubectl auth can-i create pods -n kube-system"},
		"quota": {403, metav1.StatusReasonForbidden,
			`pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`,
			ErrQuota, "kubectl describe quota -n kube-system"},
		"webhook": {400, metav1.StatusReasonBadRequest,
			`admission webhook "validate.kyverno.svc" denied the request: hostPID is not allowed`,
			ErrRefused, "a policy of the cluster refuses the pod"},
		"namespace": {404, metav1.StatusReasonNotFound, `namespaces "kube-system" not found`,
			ErrRefused, "kubectl create namespace kube-system"},
		"service account": {403, metav1.StatusReasonForbidden,
			`pods "x" is forbidden: error looking up service account kube-system/nosuch: serviceaccount "nosuch" not found`,
			ErrRefused, "kubectl get serviceaccounts -n kube-system"},
		"priority class": {403, metav1.StatusReasonForbidden,
			`pods "x" is forbidden: no PriorityClass with name nosuch was found`,
			ErrRefused, "kubectl get priorityclasses"},
		"credentials": {401, metav1.StatusReasonUnauthorized, "Unauthorized", ErrForbidden, "kubectl auth whoami"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.onCreate = refuser(test.code, test.reason, test.message)
			_, _, err := run(t, s, Options{ServiceAccount: "nosuch", PriorityClass: "nosuch"})
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.say) {
				t.Errorf("error %v, want a %v that says %q", err, test.kind, test.say)
			}
		})
	}
}

// TestNeverStarts has kubelet say that the container will not start.
func TestNeverStarts(t *testing.T) {
	failed := func(reason, message string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason, Message: message}
		}
	}
	for name, test := range map[string]struct {
		status func(*corev1.Pod)
		kind   error
		say    string
	}{
		"ErrImagePull":         {waiting("ErrImagePull", "dial tcp: no such host"), ErrImage, "no such host"},
		"ImagePullBackOff":     {waiting("ImagePullBackOff", ""), ErrImage, "--image"},
		"InvalidImageName":     {waiting("InvalidImageName", ""), ErrImage, "--image"},
		"ErrImageNeverPull":    {waiting("ErrImageNeverPull", ""), ErrImage, "load the image on node node-a"},
		"CreateContainerError": {waiting("CreateContainerError", "no\nsuch\x1b[31m device"), ErrContainer, `\x1b`},
		"OutOfpods":            {failed("OutOfpods", "Node didn't have enough resource: pods"), ErrNode, "as many pods as it may"},
		"OutOfcpu":             {failed("OutOfcpu", ""), ErrNode, "kubectl describe node node-a"},
	} {
		t.Run(name, func(t *testing.T) {
			defer within(t, 5*time.Second)()
			s := newAPIServer(t)
			s.onCreated = test.status
			s.onLog = refuser(400, metav1.StatusReasonBadRequest, `container "probe" is waiting to start`)
			_, _, err := run(t, s, Options{Timeout: 20 * time.Second})
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.say) {
				t.Errorf("error %v, want a %v that says %q", err, test.kind, test.say)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	s := newAPIServer(t)
	s.onCreated = waiting("ContainerCreating", "")
	s.onLog = refuser(400, metav1.StatusReasonBadRequest, `container "probe" is waiting to start`)
	_, progress, err := run(t, s, Options{Timeout: 1500 * time.Millisecond})
	if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "Pending: ContainerCreating") {
		t.Errorf("error %v", err)
	}
	if want := "on node node-a: Pending: ContainerCreating\n"; strings.Count(progress, want) != 1 {
		t.Errorf("progress %q, want one line with %q", progress, want)
	}
}

// TestFollowedLogBreaks cuts the followed log: the whole one is read after the
// container has ended.
func TestFollowedLogBreaks(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	var once sync.Once
	s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("follow") == "" {
			return false
		}
		io.WriteString(w, s.output()[:100])
		once.Do(func() { go s.end(0, "") })
		return true
	}
	reports, _, err := run(t, s, Options{})
	if err != nil || !reports["node-a"].Targets[web.ID].Found() {
		t.Errorf("reports %v, error %v", reports, err)
	}
}

// TestFollowedLogStalls never ends the followed log.
func TestFollowedLogStalls(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	var once sync.Once
	s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("follow") == "" {
			return false
		}
		w.(http.Flusher).Flush()
		once.Do(func() { go s.end(0, "") })
		<-r.Context().Done()
		return true
	}
	if _, _, err := run(t, s, Options{}); err != nil {
		t.Error(err)
	}
}

// TestBadOutput has logs that are no report even as a whole.
func TestBadOutput(t *testing.T) {
	for name, test := range map[string]struct {
		log  func(good string) string
		kind error
	}{
		"empty":     {func(string) string { return "" }, wire.ErrNoEnd},
		"no end":    {func(good string) string { return good[:strings.LastIndex(good[:len(good)-1], "\n")+1] }, wire.ErrNoEnd},
		"cut":       {func(good string) string { return good[:len(good)-10] }, wire.ErrNoEnd},
		"hole":      {func(good string) string { _, rest, _ := strings.Cut(good, "\n"); return rest }, wire.ErrSequence},
		"garbled":   {func(good string) string { return strings.Replace(good, "6.1", "6.2", 1) }, wire.ErrChecksum},
		"no frames": {func(string) string { return "exec /probe: exec format error\n" }, wire.ErrMalformed},
		"other run": {func(good string) string { return output(t, "other", web.ID) }, wire.ErrRun},
		"silence":   {func(string) string { return "" }, ErrOutput},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.addWeb(nil)
			s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
				io.WriteString(w, test.log(s.output()))
				s.end(2, "probe: no such thing")
				return true
			}
			_, _, err := run(t, s, Options{Timeout: 5 * time.Second})
			if !errors.Is(err, ErrOutput) || !errors.Is(err, test.kind) {
				t.Errorf("error %v, want a %v and a %v", err, ErrOutput, test.kind)
			}
		})
	}
}

// TestAnswersOtherQuestion has a report that does not speak of the target.
func TestAnswersOtherQuestion(t *testing.T) {
	for _, ids := range [][]string{{}, {web.ID, "containerd://cc33"}} {
		s := newAPIServer(t)
		s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
			io.WriteString(w, output(t, s.probe().Labels[LabelInstance], ids...))
			return true
		}
		if _, _, err := run(t, s, Options{}); !errors.Is(err, ErrOutput) {
			t.Errorf("error %v for a report about %v, want %v", err, ids, ErrOutput)
		}
	}
}

func TestTargetRestarts(t *testing.T) {
	for name, change := range map[string]func(*corev1.ContainerStatus){
		"new container": func(s *corev1.ContainerStatus) { s.ContainerID, s.RestartCount = "containerd://ff", 1 },
		"stopped": func(s *corev1.ContainerStatus) {
			s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.addWeb(change)
			reports, _, err := run(t, s, Options{})
			if !errors.Is(err, target.ErrRestarted) || !strings.Contains(err.Error(), "run this again") {
				t.Errorf("error %v, want %v", err, target.ErrRestarted)
			}
			if reports["node-a"] == nil {
				t.Error("no report beside the error")
			}
		})
	}
}

// TestCreationUnanswered stores the pod and breaks the connection.
func TestCreationUnanswered(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter) bool{
		"no answer": func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) },
		// The answer to a request that was sent again.
		"sent twice": func(w http.ResponseWriter) bool {
			return refuse(w, 409, metav1.StatusReasonAlreadyExists, `pods "x" already exists`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.onCreate = func(w http.ResponseWriter, r *http.Request) bool {
				s.store(r)
				return answer(w)
			}
			if _, _, err := run(t, s, Options{}); err == nil {
				t.Error("no error")
			}
			if len(s.deletes) != 1 {
				t.Errorf("%d pods deleted, want 1", len(s.deletes))
			}
		})
	}
}

// TestNotOurs has another pod by the name of one whose creation was not answered.
func TestNotOurs(t *testing.T) {
	s := newAPIServer(t)
	s.onCreate = func(w http.ResponseWriter, r *http.Request) bool {
		pod := s.store(r)
		pod.Labels[LabelInstance] = "another"
		s.set(pod)
		return refuse(w, 500, metav1.StatusReasonInternalError, "etcdserver: request timed out")
	}
	_, err := Run(t.Context(), s.client(), Options{}, requestsFor(web), io.Discard)
	if err == nil {
		t.Error("no error")
	}
	if left := s.left(); len(left) != 1 {
		t.Errorf("pods %v are left, want the one that is not this run's", left)
	}
}

// TestDeleteIsRetried has the API server fail, and then recover.
func TestDeleteIsRetried(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	n := 0
	s.onDelete = func(w http.ResponseWriter, r *http.Request) bool {
		if n++; n < 3 {
			return refuse(w, 503, metav1.StatusReasonServiceUnavailable, "apiserver is shutting down")
		}
		return false
	}
	if _, _, err := run(t, s, Options{}); err != nil {
		t.Error(err)
	}
}

func TestNotDeleted(t *testing.T) {
	s := newAPIServer(t)
	s.addWeb(nil)
	s.onDelete = refuser(403, metav1.StatusReasonForbidden,
		`pods "x" is forbidden: User "jane" cannot delete resource "pods" in API group "" in the namespace "kube-system"`)
	reports, _, err := run(t, s, Options{Kubectl: "kubectl --context=prod"})
	want := "kubectl --context=prod delete pod " + s.left()[0] + " -n kube-system"
	if !errors.Is(err, ErrNotDeleted) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "stops by itself by") {
		t.Errorf("error %v, want one that says %q", err, want)
	}
	if reports["node-a"] == nil {
		t.Error("no report beside the error")
	}
}

// TestDeletedBySomebody deletes the pod while it runs.
func TestDeletedBySomebody(t *testing.T) {
	s := newAPIServer(t)
	var once sync.Once
	s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		once.Do(func() {
			name := s.probe().Name
			s.mu.Lock()
			delete(s.pods, name)
			s.changed.Broadcast()
			s.mu.Unlock()
		})
		return refuse(w, 404, metav1.StatusReasonNotFound, "pods not found")
	}
	if _, _, err := run(t, s, Options{}); !errors.Is(err, ErrGone) {
		t.Errorf("error %v, want %v", err, ErrGone)
	}
}

// TestKeep has pods that are to be kept: they are, and the command that deletes one
// is told, whatever became of the run.
func TestKeep(t *testing.T) {
	for name, test := range map[string]struct {
		image func(*corev1.Pod)
		kept  bool
		kind  error
	}{
		"success": {nil, true, nil},
		"failure": {waiting("ErrImagePull", "dial tcp: no such host"), true, ErrImage},
		"gone":    {func(pod *corev1.Pod) { pod.DeletionTimestamp = new(metav1.Now()) }, false, ErrGone},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.addWeb(nil)
			s.onCreated = test.image
			if test.kind != nil {
				s.onLog = refuser(400, metav1.StatusReasonBadRequest, "waiting to start")
			}
			var notices strings.Builder
			_, err := Run(t.Context(), s.client(), Options{Keep: true, Kubectl: "kubectl --context=x", Notices: &notices}, requestsFor(web), io.Discard)
			if !errors.Is(err, test.kind) {
				t.Errorf("error %v, want %v", err, test.kind)
			}
			left := s.left()
			if !test.kept {
				if len(left) > 0 || notices.Len() > 0 {
					t.Errorf("left %v, said %q", left, notices.String())
				}
				return
			}
			if len(left) != 1 || len(s.deletes) > 0 {
				t.Fatalf("left %v, %d deleted", left, len(s.deletes))
			}
			want := "kept: probe pod kube-system/" + left[0] + " on node node-a; delete it by `kubectl --context=x delete pod " + left[0] + " -n kube-system --ignore-not-found`\n"
			if notices.String() != want {
				t.Errorf("said %q, want %q", notices.String(), want)
			}
		})
	}
}

// TestOneNodeFails fails one of two nodes: the other's pod goes too.
func TestOneNodeFails(t *testing.T) {
	s := newAPIServer(t)
	s.onCreated = func(pod *corev1.Pod) {
		if pod.Spec.NodeName == "node-b" {
			pod.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfpods"}
		}
	}
	s.onLog = refuser(400, metav1.StatusReasonBadRequest, "waiting")
	other := web
	other.Node, other.ID = "node-b", "containerd://bb22"
	_, err := Run(t.Context(), s.client(), Options{}, requestsFor(web, other), io.Discard)
	if !errors.Is(err, ErrNode) || !strings.Contains(err.Error(), "node-b") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one of node-b", err)
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCancelled(t *testing.T) {
	s := newAPIServer(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("because")
	s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		cancel(why)
		return refuse(w, 400, metav1.StatusReasonBadRequest, "waiting")
	}
	if _, err := Run(ctx, s.client(), Options{}, requestsFor(web), io.Discard); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
	if left := s.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSignals sends this process a signal while the pod runs, and a second one
// while it is being deleted.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // processes there cannot be sent signals
	}
	defer func(f func(int), w io.Writer) { exitFunc, lastWords = f, w }(exitFunc, lastWords)
	var words strings.Builder
	lastWords = &words
	exited := make(chan int, 1)
	exitFunc = func(code int) { exited <- code }
	kill := func(sig syscall.Signal) {
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Signal(sig)
		}
		if err != nil {
			t.Error(err)
		}
	}

	s := newAPIServer(t)
	var running, deleting sync.Once
	s.onLog = func(w http.ResponseWriter, r *http.Request) bool {
		running.Do(func() { kill(syscall.SIGTERM) })
		<-r.Context().Done()
		return true
	}
	s.onDelete = func(http.ResponseWriter, *http.Request) bool {
		deleting.Do(func() {
			kill(syscall.SIGTERM)
			if code := <-exited; code != 128+15 {
				t.Errorf("exit code %d after the second signal, want 143", code)
			}
		})
		return false
	}
	_, _, err := run(t, s, Options{})
	var interrupted *Interrupted
	if !errors.As(err, &interrupted) || interrupted.ExitCode() != 128+15 {
		t.Errorf("error %v, want Interrupted by SIGTERM", err)
	}
	if want := "kubectl delete pod seccomp-probe-node-a-"; !strings.Contains(words.String(), want) {
		t.Errorf("the second signal printed %q, want %q in it", words.String(), want)
	}
}

// requestsFor has one request for each node of some containers.
func requestsFor(containers ...target.Container) (list []Request) {
	for _, node := range target.Nodes(containers) {
		r := Request{Node: node}
		for _, c := range containers {
			if c.Node == node {
				r.Containers = append(r.Containers, c)
			}
		}
		list = append(list, r)
	}
	return list
}
