//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// Calls that nothing makes but those who are told to: getpgrp, which filters allow,
// and init_module, which RuntimeDefault refuses.
const (
	getpgrp    = "111"
	initModule = "175"
)

// record runs the plugin, does something once it records, and ends it by SIGINT if
// interrupt is set. It returns what was printed on standard output.
func record(t *testing.T, do func(), interrupt bool, args ...string) string {
	t.Helper()
	cmd := exec.Command(plugin, append([]string{"--kubeconfig", cluster.Kubeconfig, "-n", ns, "record"}, args...)...)
	var stdout, said strings.Builder
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if !strings.HasPrefix(lines.Text(), "recording for ") {
			continue
		}
		do()
		if interrupt {
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("record %v: %v: %s", args, err, said.String())
	}
	nothingLeft(t, probepod.DefaultNamespace)
	return stdout.String()
}

// execute runs the workload once more in a container.
func execute(t *testing.T, pod, container string, args ...string) {
	t.Helper()
	cmd := exec.Command(cluster.Kubectl, append([]string{"--kubeconfig", cluster.Kubeconfig, "-n", ns, "exec", pod, "-c", container, "--", "/workload"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v: %s", cmd.Args, err, out)
	}
}

// counted is how often a container made one call that began, and of it that a filter
// refused.
func counted(r v1alpha1.Recording, syscall string) (began, refused int64) {
	for _, c := range r.Calls {
		if c.Syscall == syscall {
			began += c.Count
		}
	}
	for _, c := range r.Refused {
		if c.Syscall == syscall && c.Errno == "EPERM" {
			refused += c.Count
		}
	}
	return began, refused
}

// TestRecord records pods of both nodes, each of two containers, of which one makes
// many calls; one pod shares the node's PID namespace and network. The counts are
// those that the workload is told to make.
func TestRecord(t *testing.T) {
	for _, node := range []string{"node-a", "node-b"} {
		p := pod("record-"+node, node, "sleep")
		p.Labels["record"] = "yes"
		if node == "node-b" {
			p.Spec.HostPID, p.Spec.HostNetwork = true, true
		}
		other := p.Spec.Containers[0]
		other.Name = "other"
		p.Spec.Containers = append(p.Spec.Containers, other)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := start(ctx, p); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.CoreV1().Pods(ns).Delete(context.Background(), p.Name, *deleteNow) })
		if err := poll(ctx, func() error { return containersRun(ctx, p.Name, 2) }); err != nil {
			t.Fatal(err)
		}
	}
	for _, flags := range [][]string{{}, {"--least-privilege"}} {
		out := record(t, func() {
			execute(t, "record-node-a", "main", "count", "-n", "100000", getpgrp)
			execute(t, "record-node-a", "main", "count", "-n", "77", initModule)
			execute(t, "record-node-b", "main", "count", "-n", "54321", getpgrp)
			execute(t, "record-node-b", "other", "count", "-n", "3", initModule)
		}, true, append([]string{"-l", "record=yes", "-o", "json"}, flags...)...)
		var list v1alpha1.RecordingList
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		want := map[string][2]int64{
			"record-node-a:main": {100000, 77}, "record-node-a:other": {},
			"record-node-b:main": {54321, 0}, "record-node-b:other": {0, 3},
		}
		for _, r := range list.Items {
			name := r.Source.Pod + ":" + r.Source.Container
			w, ok := want[name]
			if !ok {
				t.Errorf("%s was not asked for, or comes twice", name)
			}
			delete(want, name)
			passed, _ := counted(r, "getpgrp")
			module, refused := counted(r, "init_module")
			if passed != w[0] || refused != w[1] || module != 0 {
				t.Errorf("%v: %s: %d calls of getpgrp and %d refused of init_module, want %d and %d; %d were not refused", flags, name, passed, refused, w[0], w[1], module)
			}
			if r.Coverage.Lost != nil {
				t.Errorf("%s: lost %+v", name, *r.Coverage.Lost)
			}
			// What does nothing but for Go's runtime: nothing was executed in it.
			if w == ([2]int64{}) && len(r.Runtime) > 0 {
				t.Errorf("%s: calls of a runtime: %+v", name, r.Runtime)
			}
			// The runtime executes the workload, which is no call of the workload's.
			if began, _ := counted(r, "execve"); began != 0 {
				t.Errorf("%s: %d calls of execve", name, began)
			}
		}
		if len(want) > 0 {
			t.Errorf("not recorded: %v", want)
		}
	}
}

var (
	deleteNow  = metav1.NewDeleteOptions(0)
	getOptions = metav1.GetOptions{}
)

// containersRun is an error unless a pod has n containers that run.
func containersRun(ctx context.Context, name string, n int) error {
	p, err := client.CoreV1().Pods(ns).Get(ctx, name, getOptions)
	if err != nil {
		return err
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running != nil {
			n--
		}
	}
	if n != 0 {
		return fmt.Errorf("%s: %d containers do not run", name, n)
	}
	return nil
}

// TestRecordEnds records a container that ends meanwhile: what it did until then
// is there, and the recording does not wait for more.
func TestRecordEnds(t *testing.T) {
	p := pod("record-ends", "node-b", "exit", "-after", "30s")
	p.Spec.RestartPolicy = corev1.RestartPolicyNever
	launch(t, p)
	began := time.Now()
	var r v1alpha1.Recording
	out := record(t, func() { execute(t, p.Name, "main", "count", "-n", "10", getpgrp) }, false, p.Name, "--duration", "5m", "-o", "json")
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if n, _ := counted(r, "getpgrp"); n != 10 {
		t.Errorf("%d calls of getpgrp, want 10", n)
	}
	if n, _ := counted(r, "exit_group"); n != 2 {
		t.Errorf("%d calls of exit_group, want 2: of the container and of what was executed in it", n)
	}
	if took := time.Since(began); took > 90*time.Second {
		t.Errorf("it took %v", took)
	}
	if len(r.Problems) != 1 || r.Problems[0].Code != "exited" {
		t.Errorf("problems %+v, want that it ended", r.Problems)
	}
}

// TestRecordedProfile starts pods under the profile that was recorded, by each
// runtime: they may do what was recorded, and nothing else.
func TestRecordedProfile(t *testing.T) {
	// The workload prints what comes of a call, sleeps and is told to end.
	text := record(t, func() { execute(t, "a", "main", "count", "-n", "1", getpgrp) }, true, "a", "-o", "profile")
	name := localhost(t, "recorded.json", text)
	for _, runtime := range []string{"", "crun"} {
		for _, node := range []string{"node-a", "node-b"} {
			p := under(pod("recorded-"+node+runtime, node, "call", getpgrp, initModule, "122"), name)
			if runtime != "" {
				p.Spec.RuntimeClassName = &runtime
			}
			// getpgrp was recorded, init_module refused, and setfsuid not called.
			if got := fmt.Sprint(made(t, p, 3)); got != "[ok EPERM EPERM]" {
				t.Errorf("%s %s: %s", node, runtime, got)
			}
		}
	}
}

// TestRecordedArguments starts pods under a profile that holds arguments to the values
// that were recorded, by each runtime: with others, calls are refused.
func TestRecordedArguments(t *testing.T) {
	const socket, unixSocket, vsock = "41", "41,1,1", "41,40,1"
	text := record(t, func() {
		execute(t, "a", "main", "count", "-n", "1", unixSocket)
		execute(t, "a", "main", "count", "-n", "1", "135,0xffffffff") // personality, which only tells
	}, true, "a", "-o", "profile", "--arguments")
	name := localhost(t, "arguments.json", text)
	for _, runtime := range []string{"", "crun"} {
		for _, node := range []string{"node-a", "node-b"} {
			p := under(pod("arguments-"+node+runtime, node, "call", unixSocket, socket, vsock, "135,0xffffffff", "135,8",
				// What is above 32 bits, the kernel does not look at.
				"41,0x700000001,1", "41,0x700000028,1",
				// A thread's flags are a thread's, and those of a user namespace are not;
				// and clone3 is not there.
				"56,0x10000011", "435"), name)
			if runtime != "" {
				p.Spec.RuntimeClassName = &runtime
			}
			if got, want := fmt.Sprint(made(t, p, 9)), "[ok EPERM EPERM ok EPERM ok EPERM EPERM ENOSYS]"; got != want {
				t.Errorf("%s %s: %s, want %s", node, runtime, got, want)
			}
		}
	}
}

// TestRecordInput has what cannot be recorded.
func TestRecordInput(t *testing.T) {
	failed(t, seccomp(t, "record", "a", "--duration", "0"), "--duration 0s")
	failed(t, seccomp(t, "record"), "takes pods")
	failed(t, seccomp(t, "record", "a", "--base", "main_test.go", "-o", "profile"), "--base main_test.go")
	failed(t, seccomp(t, "record", "a", "--base", "x.json"), "-o profile")
	failed(t, seccomp(t, "record", "no-such-pod"), "no-such-pod")
	nothingLeft(t, probepod.DefaultNamespace)
}
