//go:build e2e

// Package e2e tests the plugin against the local cluster of hack/cluster, which
// must be up and have the images (make test-e2e sees to both).
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// What the tests share. TestMain sets it.
var (
	cluster struct { // of cluster.json
		Kubeconfig, Kubectl, Cluster string
		Nodes                        []node
	}
	config *rest.Config
	client *kubernetes.Clientset
	plugin string // the binary
	ns     string // a namespace of this run, with the pods of startPods
)

// node is one of cluster.json.
type node struct{ Name, SeccompDir, PodLogs, ContainerdSocket string }

const workload = "localhost/kubectl-seccomp/workload:dev"

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	// Shells' background jobs ignore SIGINT, and so would the plugin, which
	// inherits that. A signal that is caught is not inherited.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGHUP)
	if err := connect(); err != nil {
		return 1, fmt.Errorf("%w; bring it up by `make cluster-up cluster-load`", err)
	}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	plugin = filepath.Join(dir, "kubectl-seccomp")
	build := exec.Command("go", "build", "-o", plugin, "./cmd/kubectl-seccomp")
	build.Dir = root()
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the plugin: %w\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	stop, err := startPods(ctx)
	defer stop()
	if err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// root is the repository's.
func root() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}

// connect reads the cluster's description and asks its API server.
func connect() error {
	path := os.Getenv("KUBECTL_SECCOMP_CLUSTER")
	if path == "" {
		path = filepath.Join(root(), ".cluster", "cluster.json")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the local cluster is not up: %w", err)
	}
	if err := json.Unmarshal(text, &cluster); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if config, err = clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig); err != nil {
		return err
	}
	config.QPS = -1
	if client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if _, err := client.Discovery().ServerVersion(); err != nil {
		return fmt.Errorf("the local cluster does not answer: %w", err)
	}
	return nil
}

// startPods creates a namespace with the pods that the tests read, and returns
// what deletes it.
func startPods(ctx context.Context) (stop func(), err error) {
	made, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}, metav1.CreateOptions{})
	if err != nil {
		return func() {}, err
	}
	ns = made.Name
	stop = func() {
		client.CoreV1().Namespaces().Delete(context.Background(), ns, metav1.DeleteOptions{})
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "e2e"}}
	if _, err := client.CoreV1().ServiceAccounts(ns).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return stop, err
	}
	for _, p := range []*corev1.Pod{
		pod("a", "node-a", "sleep"), pod("b", "node-b", "sleep"), pod("restarts", "node-a", "sleep"),
	} {
		if err := start(ctx, p); err != nil {
			return stop, err
		}
	}
	return stop, nil
}

// pod returns a pod of the workload image, under the runtime's default filter.
func pod(name, node string, args ...string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod": name}},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "e2e", AutomountServiceAccountToken: ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To(int64(1)),
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, // nodes are tainted
			SecurityContext: &corev1.PodSecurityContext{
				// Another user than the probe, so that what it may read is by
				// its capabilities.
				RunAsUser:      ptr.To(int64(1000)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{Name: "main", Image: workload, ImagePullPolicy: corev1.PullNever, Args: args}},
		},
	}
}

// start creates a pod and waits until its container runs or has ended.
func start(ctx context.Context, p *corev1.Pod) error {
	if _, err := client.CoreV1().Pods(ns).Create(ctx, p, metav1.CreateOptions{}); err != nil {
		return err
	}
	return poll(ctx, func() error {
		p, err := client.CoreV1().Pods(ns).Get(ctx, p.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Waiting == nil {
				return nil
			}
		}
		return fmt.Errorf("pod %s is %s", p.Name, p.Status.Phase)
	})
}

// poll waits for a condition that nothing tells of.
func poll(ctx context.Context, condition func() error) error {
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// result is what a run of the plugin did.
type result struct {
	code           int // -1: it ended by a signal
	stdout, stderr string
	took           time.Duration
}

// process is a run of the plugin that is under way.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr strings.Builder
	started        time.Time
}

// begin starts the plugin with a kubeconfig.
func begin(t *testing.T, kubeconfig string, args ...string) *process {
	t.Helper()
	return invoke(t, append([]string{"--kubeconfig", kubeconfig, "-n", ns}, args...)...)
}

// invoke starts the plugin with nothing but what is given.
func invoke(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(plugin, args...), started: time.Now()}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) signal(t *testing.T, s os.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Errorf("send %v: %v", s, err)
	}
}

func (p *process) wait() result {
	p.cmd.Wait() // the exit code says it
	return result{p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String(), time.Since(p.started)}
}

// seccomp runs the plugin to its end.
func seccomp(t *testing.T, args ...string) result {
	t.Helper()
	return begin(t, cluster.Kubeconfig, args...).wait()
}

// everywhere runs the plugin to its end for no namespace of its own.
func everywhere(t *testing.T, args ...string) result {
	t.Helper()
	return invoke(t, append([]string{"--kubeconfig", cluster.Kubeconfig}, args...)...).wait()
}

// probes returns the names of the probe pods in a namespace that read pods of
// this run of the tests.
func probes(t *testing.T, namespace string) (names []string) {
	t.Helper()
	list, err := client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: probepod.Selector})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		if strings.Contains(p.Annotations[probepod.AnnotationTargets], ns+"/") {
			names = append(names, p.Name)
		}
	}
	return names
}

// nothingLeft fails the test if there is a probe pod, or if a process of one
// outlives its grace period. The nodes are this machine. What is left is deleted,
// so that the next test does not find it.
func nothingLeft(t *testing.T, namespace string) {
	t.Helper()
	for _, name := range probes(t, namespace) {
		t.Errorf("probe pod %s is left", name)
		if namespace != metav1.NamespaceAll {
			client.CoreV1().Pods(namespace).Delete(t.Context(), name, *metav1.NewDeleteOptions(0))
		}
	}
	ids := targetIDs(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	err := poll(ctx, func() error {
		for pid, cmdline := range cmdlines() {
			if !strings.HasPrefix(cmdline, "/probe collect") {
				continue
			}
			for _, id := range ids {
				if strings.Contains(cmdline, id) {
					return fmt.Errorf("pid %d is a probe", pid)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// targetIDs returns the container IDs of the pods that the tests read.
func targetIDs(t *testing.T) (ids []string) {
	t.Helper()
	list, err := client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		for _, c := range p.Status.ContainerStatuses {
			if c.ContainerID != "" {
				ids = append(ids, c.ContainerID)
			}
			if last := c.LastTerminationState.Terminated; last != nil && last.ContainerID != "" {
				ids = append(ids, last.ContainerID)
			}
		}
	}
	return ids
}

// failed fails the test if a run did not end as a failed one should: exit code 2
// or more, one line on stderr as its last that says so.
func failed(t *testing.T, r result, say ...string) {
	t.Helper()
	if r.code < 2 {
		t.Errorf("exit code %d, want 2 or more", r.code)
	}
	if r.stdout != "" {
		t.Errorf("stdout %q of a run that failed", r.stdout)
	}
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	for _, s := range say {
		if last := lines[len(lines)-1]; !strings.Contains(last, s) {
			t.Errorf("the last line of stderr does not say %q: %s", s, last)
		}
	}
}

// cmdlines returns the command line of every process.
func cmdlines() map[int]string {
	m := make(map[int]string)
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		var pid int
		fmt.Sscanf(path, "/proc/%d/", &pid)
		if text, err := os.ReadFile(path); err == nil { // else it has ended
			m[pid] = strings.ReplaceAll(strings.TrimRight(string(text), "\x00"), "\x00", " ")
		}
	}
	return m
}
