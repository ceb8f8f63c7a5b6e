package probepod

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// withEnded says of a pod that its probe ended some time ago.
func withEnded(pod *corev1.Pod, phase corev1.PodPhase, ago time.Duration) *corev1.Pod {
	pod.Status = corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{
		Name:  containerName,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(time.Now().Add(-ago))}},
	}}}
	return pod
}

// remains has a pod of each kind in the server.
func remains(s *apiServer) {
	s.before(leftover("over0", life+5*time.Second))
	s.before(withEnded(leftover("ended", 50*time.Second), corev1.PodSucceeded, 40*time.Second))
	refused := leftover("oopod", 50*time.Second)
	refused.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfpods"}
	s.before(refused)
	s.before(withEnded(leftover("still", 50*time.Second), corev1.PodSucceeded, 10*time.Second))
	s.before(withEnded(leftover("runs0", 50*time.Second), corev1.PodRunning, 40*time.Second))
	forged := leftover("forge", 24*time.Hour)
	forged.Spec.HostPID = false
	s.before(forged)
	s.before(kept("kept0", 24*time.Hour))
	s.before(kept("kept1", 50*time.Second))
	elsewhere := leftover("other", 24*time.Hour)
	elsewhere.Namespace = "tools"
	s.before(elsewhere)
}

func cleanup(t *testing.T, s *apiServer, o CleanupOptions) (list []Leftover, deleted string) {
	t.Helper()
	list, err := Cleanup(t.Context(), s.config(), o)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		if l.Err != nil {
			t.Error(l.Err)
		}
		if l.Left == "" {
			names = append(names, strings.TrimPrefix(l.Name, "seccomp-probe-node-a-"))
		}
		if there := slices.Contains(s.left(), l.Name); there != (l.Left != "" || o.DryRun) {
			t.Errorf("%s is there: %v, and %q is said of it", l.Name, there, l.Left)
		}
	}
	return list, strings.Join(names, " ")
}

func TestCleanup(t *testing.T) {
	for name, test := range map[string]struct {
		o       CleanupOptions
		listed  int
		deleted string
	}{
		"namespace": {CleanupOptions{Namespace: DefaultNamespace}, 8, "ended oopod over0"},
		"kept":      {CleanupOptions{Namespace: DefaultNamespace, Kept: true}, 8, "ended kept0 oopod over0"},
		"all":       {CleanupOptions{Namespace: DefaultNamespace, All: true}, 8, "ended kept0 kept1 oopod over0 runs0 still"},
		"cluster":   {CleanupOptions{}, 9, "ended oopod over0 other"},
		"dry run":   {CleanupOptions{DryRun: true}, 9, "ended oopod over0 other"},
		"nothing":   {CleanupOptions{Namespace: "empty"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			remains(s)
			list, deleted := cleanup(t, s, test.o)
			if len(list) != test.listed || deleted != test.deleted {
				t.Errorf("%d pods listed, want %d; deleted %q, want %q", len(list), test.listed, deleted, test.deleted)
			}
			if test.o.DryRun && len(s.deletes) > 0 {
				t.Errorf("%d pods deleted", len(s.deletes))
			}
		})
	}
}

// TestCleanupClock has an API server whose clock is another than this machine's.
func TestCleanupClock(t *testing.T) {
	for behind, want := range map[time.Duration]string{0: "over0", 10 * time.Minute: ""} {
		s := newAPIServer(t)
		s.before(leftover("over0", life+5*time.Second))
		s.onList = func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Date", time.Now().Add(-behind).UTC().Format(http.TimeFormat))
			return false
		}
		if list, deleted := cleanup(t, s, CleanupOptions{}); deleted != want {
			t.Errorf("with the API server's clock %v behind: %+v", behind, list)
		}
	}
}

func TestCleanupForbidden(t *testing.T) {
	forbid := func(verb string) func(http.ResponseWriter, *http.Request) bool {
		return refuser(403, metav1.StatusReasonForbidden,
			`pods is forbidden: User "jane" cannot `+verb+` resource "pods" in API group "" in the namespace "kube-system"`)
	}
	s := newAPIServer(t)
	remains(s)
	s.onDelete = forbid("delete")
	list, err := Cleanup(t.Context(), s.config(), CleanupOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if forbidden := errors.Is(l.Err, ErrForbidden); forbidden != (l.Left == "") {
			t.Errorf("%+v", l)
		}
	}
	s.onList = forbid("list")
	if _, err := Cleanup(t.Context(), s.config(), CleanupOptions{Namespace: "tools"}); !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "kubectl auth can-i list pods -n tools") {
		t.Errorf("error %v", err)
	}
}
