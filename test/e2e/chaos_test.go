//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// TestChaos signals the plugin at random moments while the cluster is not well: each
// run gives the right answer or says that it has none, and after the promised time
// nothing is left. KUBECTL_SECCOMP_SEED repeats the moments of an earlier test.
func TestChaos(t *testing.T) {
	const (
		moments = 50
		timeout = 10 * time.Second // of each run
		// promised is when a pod's deadline has passed whose client was killed, as
		// kubelet counts, which may have been away, with its own delays.
		promised = timeout + 15*time.Second + 30*time.Second
	)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("KUBECTL_SECCOMP_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("KUBECTL_SECCOMP_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	truth, begun := make(map[string]string), time.Now()
	for _, pod := range []string{"a", "b"} {
		truth[pod] = enforcedBy(t, pod)
	}
	// One in three moments is when a run is over, by what runs take on this machine now.
	lasts := time.Since(begun) / 2 * 3 / 2

	// What is wrong with the cluster from one moment on, until another.
	disturb := map[int]func(){
		5:  func() { component(t, "stop", "kube-apiserver") },
		8:  func() { component(t, "start", "kube-apiserver") },
		14: func() { component(t, "stop", "kubelet-node-a") },
		17: func() { component(t, "start", "kubelet-node-a") },
		22: func() { cordon(t, "node-b", true) },
		30: func() { cordon(t, "node-b", false) },
		34: func() { component(t, "stop", "kube-apiserver"); component(t, "start", "kube-apiserver") },
	}
	t.Cleanup(func() {
		for _, c := range []string{"kube-apiserver", "kubelet-node-a"} {
			exec.Command(cluster.Cluster, "start", c).Run() // if the test ended in between
		}
	})
	returned := time.Now()
	counts := make(map[string]int)
	for i := range moments {
		if d := disturb[i]; d != nil {
			d()
			returned = time.Now()
		}
		pod := []string{"a", "b"}[random.IntN(2)]
		sig := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL}[random.IntN(3)]
		after := time.Duration(random.Int64N(int64(lasts)))
		args := []string{"dump", pod, "-o", enforced, "--timeout", timeout.String()}
		own := random.IntN(8) == 0
		if own {
			args = append(args, "--create-namespace")
		}
		run := begin(t, cluster.Kubeconfig, args...)
		if 38 <= i && i < 48 {
			rotateSome(t)
		}
		timer := time.AfterFunc(after, func() { run.cmd.Process.Signal(sig) })
		r := run.wait()
		timer.Stop()

		outcome := "answer"
		switch {
		case r.code == 0:
			same(t, r, truth[pod])
		case r.code == -1 && r.stdout == "": // before the plugin minds signals, or SIGKILL
			outcome = "ended by " + sig.String()
		case r.code >= 2 && r.stdout == "" && strings.HasPrefix(lastLine(r.stderr), "error: "):
			outcome = "error"
		default:
			t.Errorf("%d: %v after %v, own namespace %v: exit code %d, stdout %q, stderr %s", i, sig, after, own, r.code, r.stdout, r.stderr)
		}
		if r.took > after+timeout+2*10*time.Second { // the deletion of the pod, and of the namespace
			t.Errorf("%d: %v after %v: took %v; stderr %s", i, sig, after, r.took, r.stderr)
		}
		counts[outcome]++
	}
	last := time.Now()
	t.Logf("%d runs: %v", moments, counts)
	if counts["answer"] == 0 || counts["error"] == 0 || counts["ended by killed"] == 0 {
		t.Error("the moments were not of every kind")
	}

	// What killed clients have left runs no longer than promised, and cleanup takes
	// the objects then.
	awaitNodes(t, returned)
	ctx, cancel := context.WithDeadline(context.Background(), last.Add(promised))
	defer cancel()
	if err := poll(ctx, func() error {
		for pid, cmdline := range cmdlines() {
			if strings.HasPrefix(cmdline, "/probe collect") && containsAny(cmdline, targetIDs(t)) {
				return fmt.Errorf("pid %d is a probe", pid)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	t.Logf("%d pods and %d namespaces are left by clients that were killed", len(probes(t, metav1.NamespaceAll)), len(homes(t)))
	over, cancel := context.WithDeadline(context.Background(), last.Add(timeout+15*time.Second+time.Minute+30*time.Second)) // the deadline, leftoverMargin, and some for the work
	defer cancel()
	if err := poll(over, func() error {
		if left := append(probes(t, metav1.NamespaceAll), homes(t)...); len(left) > 0 {
			seccompCleanup(t, "-A")
			time.Sleep(2 * time.Second) // other people's CPU
			return fmt.Errorf("%q are left", left)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	nothingLeft(t, metav1.NamespaceAll)
}

// component stops or starts a part of the cluster.
func component(t *testing.T, verb, name string) {
	t.Helper()
	if out, err := exec.Command(cluster.Cluster, verb, name).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v: %s", verb, name, err, out)
	}
}

// cordon says whether a node takes pods from the scheduler.
func cordon(t *testing.T, node string, no bool) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec": {"unschedulable": %v}}`, no)
	if _, err := client.CoreV1().Nodes().Patch(context.Background(), node, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
}

// rotateSome rotates whatever log of a probe there is within a short time.
func rotateSome(t *testing.T) {
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for _, n := range cluster.Nodes {
			logs, _ := filepath.Glob(filepath.Join(n.PodLogs, "*_"+probepod.Name+"-*", "probe", "0.log"))
			for _, log := range logs {
				pid, id := probeOf(log)
				if pid == 0 {
					continue
				}
				if os.Rename(log, log+"."+time.Now().Format("20060102-150405")) == nil {
					if err := reopenContainerLog(n, id); err != nil {
						t.Logf("rotation: %v", err) // the container has ended
					}
					return
				}
			}
		}
	}
}

// probeOf returns the process that writes a log, and its container's ID; 0 if none
// does any more.
func probeOf(log string) (pid int, id string) {
	uid := filepath.Base(filepath.Dir(filepath.Dir(log)))
	uid = uid[strings.LastIndexByte(uid, '_')+1:]
	for pid, cmdline := range cmdlines() {
		if !strings.HasPrefix(cmdline, "/probe collect") {
			continue
		}
		if cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil && strings.Contains(string(cgroup), uid) {
			return pid, containerInCgroup.FindString(string(cgroup))
		}
	}
	return 0, ""
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func containsAny(s string, of []string) bool {
	for _, one := range of {
		if strings.Contains(s, one) {
			return true
		}
	}
	return false
}
