//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// list runs list and returns what it says, by container or operand.
func list(t *testing.T, code int, args ...string) map[string]v1alpha1.ConfinementItem {
	t.Helper()
	r := seccomp(t, append([]string{"list", "-o", "json"}, args...)...)
	if r.code != code {
		t.Errorf("list %v: exit code %d, want %d: %s", args, r.code, code, r.stderr)
	}
	var l v1alpha1.ConfinementList
	if err := json.Unmarshal([]byte(r.stdout), &l); err != nil {
		t.Fatalf("list %v: %v\n%s%s", args, err, r.stdout, r.stderr)
	}
	items := make(map[string]v1alpha1.ConfinementItem)
	for _, item := range l.Items {
		name := item.Container
		if name == "" {
			name = item.Operand
		}
		items[item.Pod+"/"+name] = item
	}
	return items
}

// TestEveryContainer has a sidecar, a regular and an ephemeral container, and a
// process that was brought in, all found.
func TestEveryContainer(t *testing.T) {
	p := pod("every", "node-a", "sleep")
	p.Spec.InitContainers = []corev1.Container{{
		Name: "sidecar", Image: workload, ImagePullPolicy: corev1.PullNever, Args: []string{"sleep"},
		RestartPolicy:   new(corev1.ContainerRestartPolicyAlways),
		SecurityContext: &corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}},
	}}
	launch(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := client.CoreV1().Pods(ns).Get(ctx, "every", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "debug", Image: workload, ImagePullPolicy: corev1.PullNever, Args: []string{"args"},
	}}}
	if _, err := client.CoreV1().Pods(ns).UpdateEphemeralContainers(ctx, "every", p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := poll(ctx, func() error {
		_, err := client.CoreV1().Pods(ns).GetLogs("every", &corev1.PodLogOptions{Container: "debug"}).DoRaw(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// A shell, as it were, for as long as this test holds its input open.
	shell := exec.CommandContext(ctx, cluster.Kubectl, "--kubeconfig", cluster.Kubeconfig, "-n", ns, "exec", "every", "-c", "main", "--", "/workload", "stack", "-n", "1")
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		shell.Process.Kill()
		shell.Wait()
	})
	if _, err := out.Read(make([]byte, len("ready"))); err != nil {
		t.Fatal(err)
	}

	var items map[string]v1alpha1.ConfinementItem
	if err := poll(ctx, func() error { // kubelet reports the ephemeral container in its own time
		items = list(t, 0, "every")
		if len(items) != 3 {
			return context.DeadlineExceeded
		}
		return nil
	}); err != nil {
		t.Fatalf("%v: %+v", err, items)
	}
	sidecar, main, debug := items["every/sidecar"], items["every/main"], items["every/debug"]
	if sidecar.Mode != "disabled" || sidecar.Declared.Type != "Unconfined" || sidecar.Declared.By != "container" || sidecar.Allowed != sidecar.Syscalls {
		t.Errorf("sidecar: %+v", sidecar)
	}
	if main.FilterCount != 1 || main.Processes != 2 || main.Differing == 0 || len(main.Mismatches) != 1 {
		t.Errorf("main: %+v", main)
	}
	if debug.FilterCount != 2 || debug.Declared.By != "pod" || !slices.Equal(debug.Mismatches, []string{"has filters of its own"}) {
		t.Errorf("debug: %+v", debug)
	}
	// The same policy has the same fingerprint, on whatever container; another one
	// another.
	a := list(t, 0, "a")["a/main"]
	if a.Fingerprint == "" || a.Fingerprint != main.Fingerprint || a.Fingerprint == debug.Fingerprint || a.Fingerprint == sidecar.Fingerprint {
		t.Errorf("fingerprints: a %s, main %s, debug %s, sidecar %s", a.Fingerprint, main.Fingerprint, debug.Fingerprint, sidecar.Fingerprint)
	}
	if one := list(t, 0, "every:debug"); len(one) != 1 || one["every/debug"].PID != debug.PID {
		t.Errorf("one container: %+v", one)
	}

	// The process is read by itself, and the node's others with it.
	operand := "node/node-a:" + strconv.Itoa(main.PID)
	if r := seccomp(t, "diff", "every:main", operand); r.code != 0 {
		t.Errorf("diff %s: exit code %d: %s%s", operand, r.code, r.stdout, r.stderr)
	}
	node := list(t, 0, "node/node-a")
	for _, name := range []string{"every/sidecar", "every/main", "every/debug", "a/main"} {
		if node[name].PID == 0 {
			t.Errorf("node/node-a: no %s", name)
		}
	}
	if _, there := node["b/main"]; there {
		t.Error("node/node-a lists a pod of node-b")
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(node)), func(i v1alpha1.ConfinementItem) bool {
		return i.Container == "" && strings.HasPrefix(i.Operand, "node/node-a:")
	}) {
		t.Error("node/node-a: no process beside those of its pods")
	}
	failed(t, seccomp(t, "dump", "node/node-a:4194303"), "no process on this node has that PID")
	nothingLeft(t, "kube-system")
}
