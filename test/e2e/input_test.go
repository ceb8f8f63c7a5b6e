//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

// TestPlugin runs the plugin by kubectl.
func TestPlugin(t *testing.T) {
	cmd := exec.Command(cluster.Kubectl, "seccomp", "dump", "a", "--kubeconfig", cluster.Kubeconfig, "-n", ns)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(plugin)+":"+os.Getenv("PATH"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "ERRNO") {
		t.Errorf("%v, stdout %s, stderr %s", err, out, &stderr)
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// TestBothNodes reads two nodes at once, unprivileged too.
func TestBothNodes(t *testing.T) {
	for _, args := range [][]string{nil, {"--least-privilege"}, {"--least-privilege", "--all-threads"}} {
		r := seccomp(t, append([]string{"diff", "a", "b"}, args...)...)
		if r.code != 1 { // the nodes' runtimes differ, and so do their default filters
			t.Errorf("diff %v: exit code %d, want 1; stderr %s", args, r.code, r.stderr)
		}
		nothingLeft(t, probepod.DefaultNamespace)
	}
}

func TestBadInput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pending := pod("pending", "", "sleep")
	pending.Spec.NodeSelector = map[string]string{"no": "such"}
	if _, err := client.CoreV1().Pods(ns).Create(ctx, pending, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	ended := pod("ended", "node-a", "no-such-behaviour")
	ended.Spec.RestartPolicy = corev1.RestartPolicyNever
	if err := start(ctx, ended); err != nil {
		t.Fatal(err)
	}
	if err := poll(ctx, func() error {
		p, err := client.CoreV1().Pods(ns).Get(ctx, "ended", metav1.GetOptions{})
		if err == nil && p.Status.Phase != corev1.PodFailed {
			err = fmt.Errorf("phase %s", p.Status.Phase)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	ghost(t, ctx)
	restricted := ns + "-restricted"
	namespace(t, restricted, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	viewer(t, ctx)

	for name, test := range map[string]struct {
		args []string
		say  []string
	}{
		"no pod":           {[]string{"nobody"}, []string{"pod " + ns + "/nobody", "get pods"}},
		"no container":     {[]string{"a:nobody"}, []string{`"nobody"`, "it has: main"}},
		"no workload":      {[]string{"deploy/nobody"}, []string{"nobody"}},
		"no type":          {[]string{"nobody/a"}, []string{"see `kubectl --kubeconfig=" + cluster.Kubeconfig + " api-resources`"}},
		"no operand":       {[]string{"a/b/c/d"}, []string{"NAMESPACE/TYPE/NAME"}},
		"Pending":          {[]string{"pending"}, []string{"Pending"}},
		"Failed":           {[]string{"ended"}, []string{"the pod has ended: Failed"}},
		"NotReady":         {[]string{"ghost"}, []string{"NotReady", "describe node ghost"}},
		"no image":         {[]string{"a", "--image=none:v1", "--image-pull-policy=Never"}, []string{"ErrImageNeverPull"}},
		"no registry":      {[]string{"a", "--image=127.0.0.1:1/none:v1"}, []string{"image 127.0.0.1:1/none:v1", "--image"}},
		"PodSecurity":      {[]string{"a", "--probe-namespace", restricted}, []string{"kubectl", "label --overwrite namespace " + restricted + " pod-security.kubernetes.io/enforce=privileged"}},
		"PodSecurity, too": {[]string{"a", "--least-privilege", "--probe-namespace", restricted}, []string{"label --overwrite namespace " + restricted}},
		"no namespace":     {[]string{"a", "--probe-namespace", "nobody"}, []string{"create namespace nobody"}},
		"may not get":      {[]string{"a", "--as=nobody"}, []string{"auth can-i get pods -n " + ns}},
		"may not create":   {[]string{"a", "--as=viewer"}, []string{"auth can-i create pods -n kube-system"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := seccomp(t, append([]string{"dump", "--timeout=30s"}, test.args...)...)
			failed(t, r, test.say...)
			if r.took >= 30*time.Second {
				t.Errorf("took %v: it was given up, not refused", r.took)
			}
			if lines := strings.Count(r.stderr, "error"); lines > 2 {
				t.Errorf("more than one error: %s", r.stderr)
			}
		})
	}
	nothingLeft(t, metav1.NamespaceAll)
}

// ghost makes a node without a kubelet, and a pod that seems to run on it.
func ghost(t *testing.T, ctx context.Context) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "ghost"}}
	if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.CoreV1().Pods(ns).Delete(context.Background(), "ghost", *metav1.NewDeleteOptions(0))
		client.CoreV1().Nodes().Delete(context.Background(), "ghost", metav1.DeleteOptions{})
	})
	p, err := client.CoreV1().Pods(ns).Create(ctx, pod("ghost", "ghost", "sleep"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "main", Image: workload, ContainerID: "containerd://0123456789abcdef",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}}}
	if _, err := client.CoreV1().Pods(ns).UpdateStatus(ctx, p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
}

// viewer lets a user look at the namespace and no more.
func viewer(t *testing.T, ctx context.Context) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "viewer"},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: "viewer", APIGroup: rbacv1.GroupName}},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "view", APIGroup: rbacv1.GroupName},
	}
	if _, err := client.RbacV1().RoleBindings(ns).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestRestart kills the container's processes when the probe is asked for.
func TestRestart(t *testing.T) {
	p, err := client.CoreV1().Pods(ns).Get(t.Context(), "restarts", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(p.Status.ContainerStatuses[0].ContainerID, "://")
	px := newProxy(t, &proxy{before: func(_ http.ResponseWriter, r *http.Request) bool {
		if creating(r) {
			for pid := range cmdlines() {
				if cgroup, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil && strings.Contains(string(cgroup), id) {
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		return true
	}})
	r := begin(t, px.kubeconfig, "dump", "restarts").wait()
	failed(t, r, "restarts:main", "run this again")
	nothingLeft(t, probepod.DefaultNamespace)
}

// TestBrokenLog spoils the log that comes through, whenever it is read.
func TestBrokenLog(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"no end":  func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] },
		"garbled": func(b []byte) []byte { return bytes.Replace(b, []byte(`"kernel":"`), []byte(`"kernel":"x`), 1) },
		"empty":   func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, &proxy{after: func(r *http.Response) error {
				if !logging(r.Request) || r.StatusCode != http.StatusOK {
					return nil
				}
				whole, err := io.ReadAll(r.Body)
				if err != nil {
					return err
				}
				r.Body.Close()
				spoiled := spoil(whole)
				r.Body = io.NopCloser(bytes.NewReader(spoiled))
				r.ContentLength = -1
				r.Header.Del("Content-Length")
				return nil
			}})
			r := begin(t, p.kubeconfig, "dump", "a", "--timeout=30s").wait()
			failed(t, r, "read the output of probe pod", "run this again")
			nothingLeft(t, probepod.DefaultNamespace)
		})
	}
}

// TestAPIServerReturns has the followed log break off, as when an API server is
// replaced: the answer comes all the same.
func TestAPIServerReturns(t *testing.T) {
	var once sync.Once
	p := newProxy(t, &proxy{after: func(r *http.Response) error {
		if logging(r.Request) && r.StatusCode == http.StatusOK {
			once.Do(func() {
				r.Body.Close()
				r.Body = io.NopCloser(strings.NewReader(`{"v":1,`))
			})
		}
		return nil
	}})
	if r := begin(t, p.kubeconfig, "dump", "a").wait(); r.code != 0 {
		t.Errorf("exit code %d, stderr %s", r.code, r.stderr)
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// TestAPIServerStops stops the API server once the pod is created. The plugin
// gives up in time and says how to delete the pod; kubelet ends the pod by
// itself.
func TestAPIServerStops(t *testing.T) {
	component := func(verb string) {
		if out, err := exec.Command(cluster.Cluster, verb, "kube-apiserver").CombinedOutput(); err != nil {
			t.Errorf("%s the API server: %v: %s", verb, err, out)
		}
	}
	var once sync.Once
	p := newProxy(t, &proxy{after: func(r *http.Response) error {
		if creating(r.Request) && r.StatusCode < 300 {
			once.Do(func() { component("stop") })
		}
		return nil
	}})
	r := begin(t, p.kubeconfig, "dump", "a", "--timeout=3s").wait()
	component("start")
	returned := time.Now()
	failed(t, r, "delete pod seccomp-probe-", "-n kube-system", "stops by itself by")
	if r.took > 3*time.Second+10*time.Second+30*time.Second { // the run, the deletion, and what stopping took
		t.Errorf("took %v", r.took)
	}
	for _, name := range probes(t, probepod.DefaultNamespace) {
		if err := client.CoreV1().Pods(probepod.DefaultNamespace).Delete(t.Context(), name, *metav1.NewDeleteOptions(0)); err != nil {
			t.Error(err)
		}
	}
	nothingLeft(t, probepod.DefaultNamespace)
	awaitNodes(t, returned)
}

// awaitNodes waits until every kubelet has been heard of since some time, and its
// node is ready: until then the controller manager may take the node for lost, and
// the next tests would meet that.
func awaitNodes(t *testing.T, since time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := poll(ctx, func() error {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range nodes.Items {
			node := &nodes.Items[i]
			lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if lease.Spec.RenewTime == nil || !lease.Spec.RenewTime.After(since) {
				return fmt.Errorf("node %s: its kubelet has not been heard of", node.Name)
			}
			if said := target.NotReady(node); said != "" {
				return fmt.Errorf("node %s: %s", node.Name, said)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
