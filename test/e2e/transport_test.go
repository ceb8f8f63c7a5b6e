//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// nodeOf returns what cluster.json says of a node.
func nodeOf(t *testing.T, name string) node {
	t.Helper()
	i := slices.IndexFunc(cluster.Nodes, func(n node) bool { return n.Name == name })
	if i < 0 {
		t.Fatalf("cluster.json has no %s", name)
	}
	return cluster.Nodes[i]
}

// containerLog is where the runtime writes the probe's log.
func containerLog(n node, pod *corev1.Pod) string {
	return filepath.Join(n.PodLogs, pod.Namespace+"_"+pod.Name+"_"+string(pod.UID), "probe", "0.log")
}

// rotate rotates a log as kubelet does: it is renamed, and the runtime is told to
// open it again (k8s.io/kubernetes/pkg/kubelet/logs, rotateLatestLog). It returns the
// old part's new name.
func rotate(t *testing.T, n node, log, id string) (old string) {
	old = log + "." + time.Now().Format("20060102-150405")
	if err := os.Rename(log, old); err != nil {
		t.Error(err)
	}
	if err := reopenContainerLog(n, id); err != nil {
		t.Error(err)
	}
	return old
}

// reopenContainerLog calls RuntimeService.ReopenContainerLog of the CRI: the request
// has one field, number 1, the container's ID, and the answer none.
func reopenContainerLog(n node, id string) error {
	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		Protocols: h2,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", n.ContainerdSocket)
		},
	}}
	defer c.CloseIdleConnections()
	message := append([]byte{1<<3 | 2, byte(len(id))}, id...)
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	request, err := http.NewRequest(http.MethodPost, "http://containerd/runtime.v1.RuntimeService/ReopenContainerLog", bytes.NewReader(frame))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	for _, h := range []http.Header{response.Trailer, response.Header} {
		switch status := h.Get("Grpc-Status"); status {
		case "":
		case "0":
			return nil
		default:
			return fmt.Errorf("ReopenContainerLog: %s: %s", status, h.Get("Grpc-Message"))
		}
	}
	return fmt.Errorf("ReopenContainerLog: no status: %s", response.Status)
}

// slow is an override by which the probe gets 3 ms of CPU in each 100 ms: it takes
// seconds for what else takes some milliseconds, so that a test can do something
// between two lines of its log.
const slow = "spec: {containers: [{name: probe, resources: {requests: {cpu: 30m}, limits: {cpu: 30m}}}]}"

// TestLogRotation has kubelet's rotation between two lines of the probe's log. Who
// follows the log from before gets both parts. Who comes later gets the second one
// only, as kubelet serves no other, and must not take it for an answer.
func TestLogRotation(t *testing.T) {
	truth := enforcedBy(t, "a")
	override := filepath.Join(t.TempDir(), "slow.yaml")
	if err := os.WriteFile(override, []byte(slow), 0o600); err != nil {
		t.Fatal(err)
	}
	n := nodeOf(t, "node-a")
	for name, late := range map[string]bool{"followed": false, "read later": true} {
		t.Run(name, func(t *testing.T) {
			var (
				once    sync.Once
				rotated = make(chan struct{})
				old     string
				opened  atomic.Bool // the log was, by the plugin
			)
			p := newProxy(t, &proxy{
				before: func(_ http.ResponseWriter, r *http.Request) bool {
					if late && logging(r) {
						<-rotated
					}
					return true
				},
				after: func(r *http.Response) error {
					switch {
					case creating(r.Request) && r.StatusCode < 300:
						once.Do(func() {
							go func() {
								defer close(rotated)
								old = rotateUnderWay(t, n, func() bool { return late || opened.Load() })
							}()
						})
					case logging(r.Request) && r.StatusCode == http.StatusOK:
						opened.Store(true)
					}
					return nil
				},
			})
			r := begin(t, p.kubeconfig, "dump", "a", "-o", enforced, "--override", override, "--timeout=90s", "--keep-probe").wait()
			select {
			case <-rotated:
			case <-time.After(time.Minute):
				t.Fatalf("there was no pod: exit code %d, stderr %s", r.code, r.stderr)
			}
			t.Logf("took %v", r.took)
			if text, err := os.ReadFile(old); err != nil || len(text) == 0 || bytes.Contains(text, []byte(`"type":"end"`)) {
				t.Errorf("the log was not rotated between its first line and its last: %v, %q", err, text)
			}
			if late {
				failed(t, r, "read the output of probe pod", "run this again")
			} else {
				same(t, r, truth)
			}
			for _, name := range probes(t, probepod.DefaultNamespace) {
				client.CoreV1().Pods(probepod.DefaultNamespace).Delete(t.Context(), name, *metav1.NewDeleteOptions(0))
			}
			nothingLeft(t, probepod.DefaultNamespace)
		})
	}
}

// rotateUnderWay rotates a probe's log once it has a line, and is read or need not be,
// with the probe stopped meanwhile. It returns the name of the first part.
func rotateUnderWay(t *testing.T, n node, ready func() bool) (old string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	names := probes(t, probepod.DefaultNamespace)
	if len(names) != 1 {
		t.Errorf("%q are there, want one pod", names)
		return ""
	}
	pod, err := client.CoreV1().Pods(probepod.DefaultNamespace).Get(ctx, names[0], metav1.GetOptions{})
	if err != nil {
		t.Error(err)
		return ""
	}
	log := containerLog(n, pod)
	pid := 0
	if err := poll(ctx, func() error {
		for found, cmdline := range cmdlines() {
			if strings.HasPrefix(cmdline, "/probe collect --run "+pod.Labels[probepod.LabelInstance]) {
				pid = found
			}
		}
		if text, err := os.ReadFile(log); err != nil || len(text) == 0 || pid == 0 {
			return fmt.Errorf("pid %d, log %q: %v", pid, text, err)
		}
		return syscall.Kill(pid, syscall.SIGSTOP)
	}); err != nil {
		t.Error(err)
		return ""
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	if err := poll(ctx, func() error {
		if !ready() {
			return fmt.Errorf("the log is not read")
		}
		return nil
	}); err != nil {
		t.Error(err)
		return ""
	}
	// What is in the process' cgroup is what the runtime calls the container.
	cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	id := containerInCgroup.FindString(string(cgroup))
	if err != nil || id == "" {
		t.Errorf("%v: no container in %q", err, cgroup)
		return ""
	}
	return rotate(t, n, log, id)
}

// containerInCgroup is a container's ID in the name of a cgroup.
var containerInCgroup = regexp.MustCompile("[0-9a-f]{64}")

// TestLongLines reads what is too large for one line of the runtime's logs, which
// splits lines at 16 KiB: a Localhost profile with a comment that cannot be compressed.
// That it says what the kernel holds is known only from the whole of it. The probe's own
// lines are short enough for none to be split.
func TestLongLines(t *testing.T) {
	for _, name := range []string{"node-a", "node-b"} {
		n := nodeOf(t, name)
		launch(t, wordyPod(t, n))
		r := seccomp(t, "verify", "wordy-"+name, "--keep-probe")
		if verdict := regexp.MustCompile(`(?m)^ok .*Localhost\(e2e-wordy.json\) +identical +identical *$`); r.code != 0 || !verdict.MatchString(r.stdout) {
			t.Errorf("exit code %d, stdout %s, stderr %s", r.code, r.stdout, r.stderr)
		}
		kept := probes(t, probepod.DefaultNamespace)
		if len(kept) != 1 {
			t.Fatalf("%q are there", kept)
		}
		pods := client.CoreV1().Pods(probepod.DefaultNamespace)
		p, err := pods.Get(t.Context(), kept[0], metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(containerLog(n, p))
		if err != nil {
			t.Fatal(err)
		}
		pods.Delete(t.Context(), p.Name, *metav1.NewDeleteOptions(0))
		if split := bytes.Count(text, []byte(" stdout P ")); split > 0 || len(text) < len(filling) {
			t.Errorf("%s: %d lines of the log are split; it has %d bytes", name, split, len(text))
		}
		nothingLeft(t, probepod.DefaultNamespace)
	}
}

// filling is what the profile of wordyPod holds beside calls.
var filling [75 << 10]byte

// wordyPod returns a pod with a profile of a hundred kilobytes.
func wordyPod(t *testing.T, n node) *corev1.Pod {
	t.Helper()
	rand.NewChaCha8([32]byte{5}).Read(filling[:])
	type object map[string]any
	text, err := json.Marshal(object{
		"defaultAction": "SCMP_ACT_ALLOW", "architectures": []string{"SCMP_ARCH_X86_64"},
		"syscalls": []object{{"names": []string{"acct"}, "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "comment": filling[:]}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(n.SeccompDir, "e2e-wordy.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(file) })
	p := pod("wordy-"+n.Name, n.Name, "sleep")
	p.Spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("e2e-wordy.json")}
	return p
}

// TestStalledLog has the followed log stop half way without an end, as follows do when
// a node or something in between is gone: the answer comes all the same.
func TestStalledLog(t *testing.T) {
	truth := enforcedBy(t, "a")
	var once sync.Once
	done := make(chan struct{})
	p := newProxy(t, &proxy{after: func(r *http.Response) error {
		if logging(r.Request) && r.StatusCode == http.StatusOK {
			once.Do(func() {
				body := r.Body
				t.Cleanup(func() { body.Close() })
				r.Body = io.NopCloser(io.MultiReader(io.LimitReader(body, 500), stalled(done)))
			})
		}
		return nil
	}})
	r := begin(t, p.kubeconfig, "dump", "a", "-o", enforced).wait()
	close(done)
	same(t, r, truth)
	if r.took > 15*time.Second {
		t.Errorf("took %v", r.took)
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// stalled is a reader that yields nothing, and does not end before the channel is closed.
type stalled <-chan struct{}

func (s stalled) Read([]byte) (int, error) {
	<-s
	return 0, io.EOF
}

// TestCutConnections cuts every connection to the API server once, at a moment of the
// run: there is the answer, or an error that says so, and nothing is left.
func TestCutConnections(t *testing.T) {
	truth := enforcedBy(t, "a")
	for name, at := range map[string]struct {
		moment
		answered bool // the answer is on its way
		error    bool // what is asked for at that moment is not asked again
	}{
		"resolving": {resolving, false, true},
		"creating":  {creating, false, true},
		"created":   {creating, true, true},
		"reading":   {logging, true, false},
		"deleting":  {deleting, false, false},
		"deleted":   {deleting, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var once sync.Once
			cut := new(atomic.Bool)
			var p *proxy
			strike := func() {
				once.Do(func() {
					cut.Store(true)
					p.CloseClientConnections()
				})
			}
			p = newProxy(t, &proxy{
				before: func(_ http.ResponseWriter, r *http.Request) bool {
					if at.moment(r) && !at.answered {
						strike()
					}
					return true
				},
				after: func(r *http.Response) error {
					if at.moment(r.Request) && at.answered && r.StatusCode < 300 {
						strike()
					}
					return nil
				},
			})
			r := begin(t, p.kubeconfig, "dump", "a", "-o", enforced, "--timeout=20s").wait()
			if !cut.Load() {
				t.Fatal("the moment did not come")
			}
			switch {
			case r.code == 0:
				same(t, r, truth)
			case at.error:
				failed(t, r, "EOF")
			default:
				t.Errorf("exit code %d, stderr %s", r.code, r.stderr)
			}
			nothingLeft(t, probepod.DefaultNamespace)
		})
	}
}
