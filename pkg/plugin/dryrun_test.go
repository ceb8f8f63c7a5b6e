package plugin

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"
)

// TestDryRun has the pods printed that would be created, and nothing read.
func TestDryRun(t *testing.T) {
	for args, want := range map[string][]string{ // the node and the target of each pod
		"dump key":                    {"node-amd64 containerd://key"},
		"explain key read":            {"node-amd64 containerd://key"},
		"diff key arm":                {"node-amd64 containerd://key", "node-arm64 containerd://arm"},
		"diff key ./key.json":         {"node-amd64 containerd://key"},
		"dump RuntimeDefault@node-b":  {"node-b reference://0"},
		"list key":                    {"node-amd64 containerd://key"},
		"verify key":                  {"node-amd64 containerd://key"},
		"dump key --least-privilege":  {"node-amd64 containerd://key"},
		"dump key --create-namespace": {"node-amd64 containerd://key"},
		"dump ./key.json":             nil,
		"diff Unconfined ./key.json":  nil,
		"dump pid:1":                  nil,
		"list --local":                nil,
		"dump key --dry-run=server":   nil,
		"dump key -o wide":            nil,
		"dump nosuch":                 nil,
		"dump key --probe-namespace=": nil,
	} {
		t.Run(args, func(t *testing.T) {
			files(t)
			c := pods()
			var out, errOut bytes.Buffer
			common := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
			common.connect = func(f *probeFlags) (Resolver, Prober, error) {
				return c, &dryProber{f.options("kubectl"), f.dryPrinter, &out}, nil
			}
			own, home := strings.Contains(args, "--create-namespace"), "tools"
			line := append([]string{"kubectl-seccomp"}, strings.Fields(args)...)
			for _, flag := range []string{"--dry-run=client", "-o=yaml", "--probe-namespace=tools"} {
				name, _, _ := strings.Cut(flag, "=")
				if own && name == "--probe-namespace" {
					continue // it is made
				}
				if !strings.Contains(args, name) {
					line = append(line, flag)
				}
			}
			code := run(common, line)
			if want == nil {
				if code != 2 || out.Len() > 0 || errOut.Len() == 0 {
					t.Errorf("exit code %d, %q, %q, want an error", code, out.String(), errOut.String())
				}
				return
			}
			if code != 0 || errOut.Len() > 0 || len(c.asked) > 0 {
				t.Errorf("exit code %d, %q, %v were read", code, errOut.String(), c.asked)
			}
			var got []string
			documents := strings.Split(out.String(), "---\n")
			if own {
				var ns corev1.Namespace
				if err := yaml.UnmarshalStrict([]byte(documents[0]), &ns); err != nil || ns.Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
					t.Errorf("%v: not a namespace for probes: %s", err, documents[0])
				}
				documents, home = documents[1:], ns.Name
			}
			for _, document := range documents {
				var pod corev1.Pod
				if err := yaml.UnmarshalStrict([]byte(document), &pod); err != nil {
					t.Fatal(err)
				}
				args := pod.Spec.Containers[len(pod.Spec.Containers)-1].Args
				got = append(got, pod.Spec.NodeName+" "+args[slices.Index(args, "--target")+1])
				if pod.Kind != "Pod" || pod.Namespace != home || !strings.HasPrefix(pod.Name, "seccomp-probe-"+pod.Spec.NodeName) {
					t.Errorf("not a probe pod: %s", document)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("pods for %q, want %q", got, want)
			}
		})
	}
}
