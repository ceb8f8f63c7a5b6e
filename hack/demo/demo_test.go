//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// pods reads the manifests, strictly, by name.
func pods(t *testing.T) map[string]*corev1.Pod {
	t.Helper()
	all := make(map[string]*corev1.Pod)
	for _, file := range []string{"web.yaml", "behaviours.yaml"} {
		content, err := os.ReadFile(filepath.Join("manifests", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range bytes.Split(content, []byte("\n---\n")) {
			pod := new(corev1.Pod)
			if err := yaml.UnmarshalStrict(document, pod); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if all[pod.Name] != nil {
				t.Errorf("%s: pod %s is there twice", file, pod.Name)
			}
			all[pod.Name] = pod
		}
	}
	return all
}

func TestManifests(t *testing.T) {
	all := pods(t)
	for name, pod := range all {
		if pod.Kind != "Pod" || pod.Namespace != namespace {
			t.Errorf("%s: %s in namespace %q, want a Pod in %q", name, pod.Kind, pod.Namespace, namespace)
		}
		if pod.Spec.NodeSelector[corev1.LabelHostname] == "" {
			t.Errorf("%s may run on any node", name)
		}
		for _, c := range pod.Spec.Containers {
			if c.Image != "localhost/kubectl-seccomp/workload:dev" || c.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("%s: image %s is pulled %s", name, c.Image, c.ImagePullPolicy)
			}
		}
	}
	names := slices.Clone(verified)
	for _, pair := range diffs {
		names = append(names, pair[:]...)
	}
	for _, name := range names {
		if all[name] == nil {
			t.Errorf("there is no pod %s to look at", name)
		}
	}
	local := all["web-local"].Spec.SecurityContext.SeccompProfile.LocalhostProfile
	if local == nil || *local != profile {
		t.Errorf("web-local does not use %s", profile)
	}
}

// TestProfile finds slips in the demo's profile: runtimes ignore a name that
// they do not know.
func TestProfile(t *testing.T) {
	content, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Syscalls []struct{ Names []string }
	}
	if err := json.Unmarshal(content, &p); err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, entry := range p.Syscalls {
		for _, name := range entry.Names {
			_, on64 := syscalls.AMD64.Number(name)
			_, on32 := syscalls.I386.Number(name)
			if !on64 && !on32 {
				t.Errorf("x86 has no system call %q", name)
			}
		}
		names += len(entry.Names)
	}
	if names < 100 {
		t.Errorf("only %d names: the test reads the profile wrongly", names)
	}
}

// TestSeccomp runs a plugin that says how it was called and ends with a code.
func TestSeccomp(t *testing.T) {
	for _, test := range []struct {
		code string
		fail bool
	}{{"0", false}, {"1", false}, {"2", true}, {"126", true}} {
		bin := t.TempDir()
		kubectl := filepath.Join(bin, "kubectl")
		script := "#!/bin/sh\necho \"$KUBECONFIG\" \"$@\" \"${PATH%%:*}\"\nexit " + test.code + "\n"
		if err := os.WriteFile(kubectl, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		c := &cluster{Kubectl: kubectl, Kubeconfig: "/config", path: "/plugins", out: &out}
		err := c.seccomp(context.Background(), "diff", "x", "y")
		if (err != nil) != test.fail {
			t.Errorf("exit code %s: %v", test.code, err)
		}
		want := "\n$ kubectl seccomp diff -n demo x y\n/config seccomp diff -n demo x y /plugins\n"
		if out.String() != want {
			t.Errorf("exit code %s: printed %q, want %q", test.code, out.String(), want)
		}
	}
}

func TestNoCluster(t *testing.T) {
	if _, err := readCluster(filepath.Join(t.TempDir(), "cluster.json")); err == nil || !strings.Contains(err.Error(), "make cluster-up") {
		t.Errorf("no file: %v", err)
	}
	broken := filepath.Join(t.TempDir(), "cluster.json")
	if err := os.WriteFile(broken, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readCluster(broken); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("broken file: %v", err)
	}
}
