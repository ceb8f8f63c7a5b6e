//go:build e2e

package e2e

import (
	"context"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// TestSignals sends a signal at each phase of the probe pod's life.
func TestSignals(t *testing.T) {
	phases := []struct {
		name   string
		at     moment
		answer bool // at the moment of the answer, not of the request
		pull   bool // at the moment when the node asks a registry for the image
	}{
		{name: "before the pod", at: resolving},
		{name: "creating", at: creating},
		{name: "created", at: creating, answer: true},
		{name: "starting", at: logging},
		{name: "pulling", pull: true},
		{name: "streaming", at: logging, answer: true},
		{name: "deleting", at: deleting},
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		for _, phase := range phases {
			t.Run(sig.String()+"/"+phase.name, func(t *testing.T) {
				var (
					once   sync.Once
					begun  = make(chan *process, 1)
					struck atomic.Pointer[time.Time]
					strike = func() {
						once.Do(func() {
							p := <-begun
							// Before the signal: the plugin may end, and the test look
							// at this, before this goroutine runs again.
							struck.Store(new(time.Now()))
							p.signal(t, sig)
							begun <- p
						})
					}
				)
				p := newProxy(t, &proxy{
					before: func(_ http.ResponseWriter, r *http.Request) bool {
						if phase.at != nil && !phase.answer && phase.at(r) {
							strike()
						}
						return true
					},
					after: func(r *http.Response) error {
						if phase.answer && phase.at(r.Request) && r.StatusCode < 300 {
							strike()
						}
						return nil
					},
				})
				args := []string{"dump", "a"}
				if phase.pull {
					args = append(args, "--image="+silentRegistry(t, strike)+"/none:v1")
				}
				run := begin(t, p.kubeconfig, args...)
				begun <- run
				r := run.wait()
				// Before there can be a pod the plugin may leave signals to the
				// system.
				// Everything is read when the pod is being deleted, and the
				// system may hand a signal over when that is done and nobody
				// waits for signals any more: then there is a complete answer, or
				// the signal ends the process.
				late := phase.name == "deleting"
				complete := late && r.code == 0 && strings.Contains(r.stdout, "no_new_privs")
				if r.code >= 0 && r.code < 2 && !complete {
					t.Errorf("exit code %d, stderr %s", r.code, r.stderr)
				}
				if r.code == -1 && phase.name != "before the pod" && !late {
					t.Errorf("ended by the signal, stderr %s", r.stderr)
				}
				at := struck.Load()
				if at == nil {
					t.Fatalf("the phase did not come; stderr %s", r.stderr)
				}
				// From the signal on: when the phase comes is up to the node, which
				// pulls one image after the other.
				took := time.Since(*at)
				t.Logf("took %v from the signal on", took)
				if took > 15*time.Second {
					t.Error("took too long")
				}
				nothingLeft(t, probepod.DefaultNamespace)
			})
		}
	}
}

// TestSecondSignal sends a second signal while the pod's deletion hangs: the
// plugin ends at once, and what it prints deletes the pod.
func TestSecondSignal(t *testing.T) {
	var (
		begun = make(chan *process, 1)
		mu    sync.Mutex
		hung  = make(chan struct{})
	)
	defer close(hung)
	logged := false
	p := newProxy(t, &proxy{before: func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		first := !logged && logging(r)
		logged = logged || first
		mu.Unlock()
		switch {
		case first:
			run := <-begun
			run.signal(t, syscall.SIGINT)
			begun <- run
		case deleting(r):
			run := <-begun
			run.signal(t, syscall.SIGINT)
			begun <- run
			<-hung
			return false
		}
		return true
	}})
	run := begin(t, p.kubeconfig, "dump", "a")
	begun <- run
	r := run.wait()
	if r.code != 128+int(syscall.SIGINT) {
		t.Errorf("exit code %d, want 130; stderr %s", r.code, r.stderr)
	}
	command := regexp.MustCompile("`kubectl.* delete pod (seccomp-probe-[a-z0-9-]+) -n kube-system[^`]*`").FindStringSubmatch(r.stderr)
	if command == nil {
		t.Fatalf("stderr does not say how to delete the pod: %s", r.stderr)
	}
	if out, err := exec.Command(cluster.Kubectl, "--kubeconfig", cluster.Kubeconfig,
		"delete", "pod", command[1], "-n", "kube-system", "--now").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// silentRegistry returns the address of a registry that takes connections and
// does not answer, and so keeps the pull of an image from ending. Whenever it
// takes one it calls asked. The nodes are this machine.
func silentRegistry(t *testing.T, asked func()) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			defer c.Close()
			asked()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// TestKilledClient kills the plugin while its pod runs: the pod ends by itself, and
// cleanup deletes the object, and no pod that only looks like one.
func TestKilledClient(t *testing.T) {
	begun := make(chan *process, 1)
	var once sync.Once
	p := newProxy(t, &proxy{before: func(_ http.ResponseWriter, r *http.Request) bool {
		if logging(r) {
			once.Do(func() {
				run := <-begun
				run.signal(t, syscall.SIGKILL)
				begun <- run
			})
		}
		return true
	}})
	run := begin(t, p.kubeconfig, "dump", "a")
	begun <- run
	if r := run.wait(); r.code != -1 {
		t.Fatalf("exit code %d, want the end by a signal; stderr %s", r.code, r.stderr)
	}
	left := probes(t, probepod.DefaultNamespace)
	if len(left) != 1 {
		t.Fatalf("%q is left, want one pod", left)
	}
	tenant := pod("seccomp-probe-node-a-abcde", "node-a", "sleep")
	tenant.Namespace = probepod.DefaultNamespace
	tenant.Labels = map[string]string{
		probepod.LabelName: probepod.Name, probepod.LabelManagedBy: probepod.ManagedBy, probepod.LabelInstance: "0123456789abcdef",
	}
	tenant.Spec.ServiceAccountName = ""
	pods := client.CoreV1().Pods(probepod.DefaultNamespace)
	if _, err := pods.Create(t.Context(), tenant, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pods.Delete(context.Background(), tenant.Name, *metav1.NewDeleteOptions(0)) })

	for _, test := range []struct {
		args []string
		gone bool
	}{
		{nil, false}, // it may be of a run that is under way
		{[]string{"--all", "--dry-run=client"}, false},
		{[]string{"--all"}, true},
		{[]string{"--all"}, true}, // nothing is left to do
	} {
		cmd := exec.Command(plugin, append([]string{"--kubeconfig", cluster.Kubeconfig, "cleanup"}, test.args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("cleanup %v: %v: %s", test.args, err, out)
		}
		if now := probes(t, probepod.DefaultNamespace); (len(now) == 0) != test.gone {
			t.Errorf("cleanup %v: %q is left: %s", test.args, now, out)
		}
		if _, err := pods.Get(t.Context(), tenant.Name, metav1.GetOptions{}); err != nil {
			t.Errorf("cleanup %v: somebody else's pod: %v: %s", test.args, err, out)
		}
	}
	nothingLeft(t, probepod.DefaultNamespace)
}
