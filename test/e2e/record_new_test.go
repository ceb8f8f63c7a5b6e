//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// recordings are what was printed, by pod.
func recordings(t *testing.T, out string) map[string][]v1alpha1.Recording {
	t.Helper()
	var list v1alpha1.RecordingList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if list.Kind == "Recording" {
		list.Items = make([]v1alpha1.Recording, 1)
		if err := json.Unmarshal([]byte(out), &list.Items[0]); err != nil {
			t.Fatal(err)
		}
	}
	by := make(map[string][]v1alpha1.Recording)
	for _, r := range list.Items {
		by[r.Source.Pod] = append(by[r.Source.Pod], r)
	}
	return by
}

func sum(calls []v1alpha1.RecordedCall, syscall string) (n int64) {
	for _, c := range calls {
		if c.Syscall == syscall {
			n += c.Count
		}
	}
	return n
}

// TestRecordNew has pods come while their selection is recorded, to each node, and one
// beside them that is not selected. What they do at their start is known: the calls that
// they are told to make, and one exit; and it is a runtime that executes them.
func TestRecordNew(t *testing.T) {
	labelled := func(name, node, selected string, args ...string) *corev1.Pod {
		p := pod(name, node, args...)
		p.Labels["record-new"] = selected
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		return p
	}
	var created []string
	create := func(p *corev1.Pod) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := client.CoreV1().Pods(ns).Create(ctx, p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		created = append(created, p.Name)
		if err := poll(ctx, func() error {
			now, err := client.CoreV1().Pods(ns).Get(ctx, p.Name, getOptions)
			if err == nil && now.Status.Phase != corev1.PodSucceeded {
				err = fmt.Errorf("%s is %s", p.Name, now.Status.Phase)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, name := range created {
			client.CoreV1().Pods(ns).Delete(context.Background(), name, *deleteNow)
		}
	})
	out := record(t, func() {
		create(labelled("new-a", "node-a", "yes", "count", "-n", "1000", getpgrp))
		create(labelled("new-not", "node-a", "no", "count", "-n", "7", getpgrp))
		create(labelled("new-b", "node-b", "yes", "count", "-n", "2000", getpgrp))
		create(labelled("new-refused", "node-b", "yes", "count", "-n", "30", initModule))
	}, true, "-l", "record-new=yes", "--node", "node-a,node-b", "-o", "json")
	by := recordings(t, out)
	for name, want := range map[string][2]int64{"new-a": {1000, 0}, "new-b": {2000, 0}, "new-refused": {0, 30}} {
		if len(by[name]) != 1 {
			t.Errorf("%s: %d recordings", name, len(by[name]))
			continue
		}
		r := by[name][0]
		delete(by, name)
		began, _ := counted(r, "getpgrp")
		_, refused := counted(r, "init_module")
		if began != want[0] || refused != want[1] {
			t.Errorf("%s: %d calls of getpgrp and %d refused of init_module, want %d and %d", name, began, refused, want[0], want[1])
		}
		if !r.Coverage.Start || r.Coverage.Lost != nil {
			t.Errorf("%s: %+v", name, r.Coverage)
		}
		if exits, executed := sum(r.Calls, "exit_group"), sum(r.Calls, "execve"); exits != 1 || executed != 0 {
			t.Errorf("%s: %d calls of exit_group and %d of execve, want 1 and 0", name, exits, executed)
		}
		if sum(r.Runtime, "execve") == 0 || sum(r.Runtime, "getpgrp") != 0 {
			t.Errorf("%s: the runtime's calls are %+v", name, r.Runtime)
		}
	}
	if len(by) > 0 {
		t.Errorf("recorded beside that: %v", by)
	}
}

// TestRecordRestart has a container end, and another come in its place.
func TestRecordRestart(t *testing.T) {
	p := pod("record-restart", "node-a", "exit", "-after", "15s")
	launch(t, p)
	out := record(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		execute(t, p.Name, "main", "count", "-n", "11", getpgrp)
		if err := poll(ctx, func() error {
			now, err := client.CoreV1().Pods(ns).Get(ctx, p.Name, getOptions)
			if err != nil {
				return err
			}
			if s := now.Status.ContainerStatuses; len(s) != 1 || s[0].RestartCount != 1 || s[0].State.Running == nil {
				return fmt.Errorf("it has not restarted")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		execute(t, p.Name, "main", "count", "-n", "22", getpgrp)
	}, true, p.Name, "-o", "json")
	list := recordings(t, out)[p.Name]
	if len(list) != 2 {
		t.Fatalf("%d recordings, want 2: %s", len(list), out)
	}
	for i, want := range []int64{11, 22} {
		if n, _ := counted(list[i], "getpgrp"); n != want || list[i].Coverage.Start != (i == 1) {
			t.Errorf("recording %d: %d calls of getpgrp, want %d; %+v", i, n, want, list[i].Coverage)
		}
	}
}

// TestRecordCut cuts the connections to the API server while calls are recorded, before
// and after some are made: all of them are there at the end.
func TestRecordCut(t *testing.T) {
	var opened sync.WaitGroup
	opened.Add(1)
	var once sync.Once
	p := newProxy(t, &proxy{after: func(r *http.Response) error {
		if logging(r.Request) && r.StatusCode == http.StatusOK {
			once.Do(opened.Done)
		}
		return nil
	}})
	cmd := begin(t, p.kubeconfig, "record", "a", "-o", "json", "--duration", "20s")
	opened.Wait()
	probePID(t, begins)
	for _, n := range []string{"100", "23"} {
		p.CloseClientConnections()
		execute(t, "a", "main", "count", "-n", n, getpgrp)
	}
	r := cmd.wait()
	if r.code != 0 {
		t.Fatalf("exit code %d, stderr %s", r.code, r.stderr)
	}
	if n, _ := counted(recordings(t, r.stdout)["a"][0], "getpgrp"); n != 123 {
		t.Errorf("%d calls of getpgrp, want 123", n)
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// begins is what a probe writes when a recording does.
const begins = `"type":"began"`

// probePID returns the process of the one probe that there is, once its log has a text.
func probePID(t *testing.T, text string) (pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll(ctx, func() error {
		names := probes(t, probepod.DefaultNamespace)
		if len(names) != 1 {
			return fmt.Errorf("probes %q", names)
		}
		log, err := client.CoreV1().Pods(probepod.DefaultNamespace).GetLogs(names[0], &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			return err
		}
		if !strings.Contains(string(log), text) {
			return fmt.Errorf("its log has no %s", text)
		}
		own, err := client.CoreV1().Pods(probepod.DefaultNamespace).Get(ctx, names[0], getOptions)
		if err != nil {
			return err
		}
		for found, cmdline := range cmdlines() {
			if strings.HasPrefix(cmdline, "/probe collect --run "+own.Labels[probepod.LabelInstance]) {
				pid = found
				return nil
			}
		}
		return fmt.Errorf("it does not run")
	}); err != nil {
		t.Fatal(err)
	}
	return pid
}

// TestRecordKilled kills the probe, and has its pod deleted, while it records: what it
// wrote by then is printed. Killed, it leaves its last checkpoint; told to end, all.
func TestRecordKilled(t *testing.T) {
	cmd := begin(t, cluster.Kubeconfig, "record", "a", "-o", "json", "--duration", "1m")
	probePID(t, begins)
	execute(t, "a", "main", "count", "-n", "50", getpgrp)
	pid := probePID(t, `"nr":`+getpgrp+`,"count":50}`)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := cmd.wait()
	if r.code != 2 || !strings.Contains(r.stderr, "what was called last on node node-a is missing") {
		t.Errorf("exit code %d, stderr %s", r.code, r.stderr)
	}
	if n, _ := counted(recordings(t, r.stdout)["a"][0], "getpgrp"); n != 50 {
		t.Errorf("%d calls of getpgrp, want 50", n)
	}
	nothingLeft(t, probepod.DefaultNamespace)

	cmd = begin(t, cluster.Kubeconfig, "record", "a", "-o", "json", "--duration", "1m")
	probePID(t, begins)
	execute(t, "a", "main", "count", "-n", "60", getpgrp)
	for _, name := range probes(t, probepod.DefaultNamespace) {
		if err := client.CoreV1().Pods(probepod.DefaultNamespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	r = cmd.wait()
	if r.code != 0 {
		t.Fatalf("exit code %d, stderr %s", r.code, r.stderr)
	}
	if n, _ := counted(recordings(t, r.stdout)["a"][0], "getpgrp"); n != 60 {
		t.Errorf("%d calls of getpgrp, want 60; exit code %d, stderr %s", n, r.code, r.stderr)
	}
	nothingLeft(t, probepod.DefaultNamespace)
}
