package probepod

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

var update = flag.Bool("update", false, "write the golden files")

var twoTargets = []target.Container{
	{Namespace: "shop", Pod: "web-0", Name: "nginx", ID: "containerd://aa11", Node: "node-a.example.com"},
	{Namespace: "shop", Pod: "db-0", Name: "postgres", ID: "containerd://bb22", Node: "node-a.example.com"},
}

// TestNew compares whole pods. What a golden file says was reviewed by hand
// against the API's documentation: review what -update changes.
func TestNew(t *testing.T) {
	for _, test := range []struct {
		golden  string
		request Request
		opts    Options
	}{
		{"privileged.yaml", Request{Containers: twoTargets}, Options{
			Image: "example.com/probe:v1", PullPolicy: corev1.PullIfNotPresent, Version: "v1.2.3+dirty",
		}},
		{"least-privilege.yaml", Request{Containers: twoTargets}, Options{
			Image: "example.com/probe:v1", Version: "v1.2.3", Namespace: "tools",
			LeastPrivilege: true, AllThreads: true, Timeout: 10 * time.Second,
			PullSecrets: []string{"registry", "mirror"}, ServiceAccount: "prober", PriorityClass: "system-node-critical", Keep: true,
		}},
		{"references.yaml", Request{
			Containers: []target.Container{{
				Namespace: "shop", Pod: "web-0", Name: "nginx", ID: "containerd://aa11",
				Declared: target.Declared{Type: corev1.SeccompProfileTypeLocalhost, Localhost: "audit.json"},
			}},
			PIDs: []int{4711},
			References: []Reference{
				{}, {Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}, Drop: []corev1.Capability{"MKNOD"}}},
			},
			All: true, Configs: true,
		}, Options{Image: "example.com/probe:v1", PullPolicy: corev1.PullNever, Version: "v1.2.3"}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			test.request.Node = "node-a.example.com"
			pod := New(test.request, test.opts, "seccomp-probe-node-a-example-com-abcde", "0123456789abcdef")
			got, err := yaml.Marshal(pod)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", test.golden)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		})
	}
}

func TestPodName(t *testing.T) {
	defer func(f func(int) string) { nameSuffixFunc = f }(nameSuffixFunc)
	nameSuffixFunc = func(n int) string { return strings.Repeat("x", n) }
	for node, want := range map[string]string{
		"node-a":                                 "seccomp-probe-node-a-xxxxx",
		"ip-10-0-0-1.eu-west-1.compute.internal": "seccomp-probe-ip-10-0-0-1-eu-west-1-compute-internal-xxxxx",
		strings.Repeat("a", 39) + ".b":           "seccomp-probe-" + strings.Repeat("a", 39) + "-xxxxx",
		strings.Repeat("n", 253):                 "seccomp-probe-" + strings.Repeat("n", 40) + "-xxxxx",
	} {
		got := podName(node)
		if got != want {
			t.Errorf("podName(%q) = %q, want %q", node, got, want)
		}
		// A label: it becomes the pod's host name.
		if errs := validation.IsDNS1123Label(got); len(errs) > 0 {
			t.Errorf("podName(%q) = %q: %v", node, got, errs)
		}
	}
}

func TestLabelValue(t *testing.T) {
	for s, want := range map[string]string{
		"v1.2.3":                 "v1.2.3",
		"v1.2.3+dirty":           "v1.2.3_dirty",
		"-x-":                    "x",
		"é1":                     "1",
		strings.Repeat("v.", 50): strings.TrimSuffix(strings.Repeat("v.", 32), "."),
	} {
		got := labelValue(s)
		if got != want {
			t.Errorf("labelValue(%q) = %q, want %q", s, got, want)
		}
		if errs := validation.IsValidLabelValue(got); len(errs) > 0 {
			t.Errorf("labelValue(%q) = %q: %v", s, got, errs)
		}
	}
}

func TestListIsBounded(t *testing.T) {
	many := make([]target.Container, 2000)
	for i := range many {
		many[i] = twoTargets[i%2]
	}
	got := Request{Containers: many}.list()
	if len(got) > maxAnnotation+64 {
		t.Errorf("the annotation of 2000 targets has %d bytes", len(got))
	}
	if !strings.Contains(got, "more") || !strings.HasPrefix(got, "shop/pod/web-0:nginx,shop/pod/db-0:postgres,") {
		t.Errorf("the annotation of 2000 targets is %q", got)
	}
}
