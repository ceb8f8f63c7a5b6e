//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// diagnosis is what doctor finds, with an exit code.
func diagnosis(t *testing.T, code int, args ...string) *v1alpha1.Diagnosis {
	t.Helper()
	r := seccomp(t, append([]string{"doctor", "-o", "json"}, args...)...)
	if r.code != code {
		t.Errorf("doctor %v: exit code %d, want %d: %s%s", args, r.code, code, r.stdout, r.stderr)
	}
	d := new(v1alpha1.Diagnosis)
	if err := json.Unmarshal([]byte(r.stdout), d); err != nil {
		t.Fatalf("doctor %v: %v\n%s%s", args, err, r.stdout, r.stderr)
	}
	for _, c := range d.Checks {
		if c.Status == v1alpha1.CheckFailed && c.Remedy == "" {
			t.Errorf("no remedy: %+v", c)
		}
	}
	return d
}

// found is the check of a name, on a node.
func found(t *testing.T, d *v1alpha1.Diagnosis, name, node string) v1alpha1.Check {
	t.Helper()
	i := slices.IndexFunc(d.Checks, func(c v1alpha1.Check) bool { return c.Name == name && c.Node == node })
	if i < 0 {
		t.Errorf("no check %s of %q in %+v", name, node, d.Checks)
		return v1alpha1.Check{}
	}
	return d.Checks[i]
}

// TestDoctor has both nodes checked, which have all that is needed, and holds what is
// told of them against what Kubernetes, the kernel and other commands say.
func TestDoctor(t *testing.T) {
	for _, args := range [][]string{{"node-a", "node-b"}, {"--least-privilege", "node-a", "node-b"}} {
		d := diagnosis(t, 0, args...)
		for _, c := range d.Checks {
			if c.Status != v1alpha1.CheckOK {
				t.Errorf("%v: %+v", args, c)
			}
		}
		for _, node := range []string{"node-a", "node-b"} {
			n, err := client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				v1alpha1.CheckKernel:     n.Status.NodeInfo.KernelVersion,
				v1alpha1.CheckContainers: n.Status.NodeInfo.ContainerRuntimeVersion,
				v1alpha1.CheckPrivileges: "the capabilities that it needs",
			} {
				if c := found(t, d, name, node); !strings.Contains(c.Message, want) {
					t.Errorf("%v: %+v does not say %q", args, c, want)
				}
			}
			if c := found(t, d, v1alpha1.CheckReadFilter, node); c.Took == nil || c.Took.Duration <= 0 || c.Took.Duration > time.Second {
				t.Errorf("%v: %+v", args, c)
			}
			// The fingerprint is that of the same container as dump has it.
			r := seccomp(t, "list", map[string]string{"node-a": "a", "node-b": "b"}[node], "-o", "jsonpath={.items[0].fingerprint}")
			const short = len("s:") + 12
			if c := found(t, d, v1alpha1.CheckRuntimeDefault, node); len(r.stdout) < short || !strings.Contains(c.Message, r.stdout[:short]) {
				t.Errorf("%v: %+v, and pods there have %s%s", args, c, r.stdout, r.stderr)
			}
		}
	}
	noProbes(t)
}

// TestDoctorFinds has something wrong each time.
func TestDoctorFinds(t *testing.T) {
	restricted := ns + "-doctor"
	namespace(t, restricted, map[string]string{"pod-security.kubernetes.io/enforce": "baseline"})
	for name, test := range map[string]struct {
		code        int
		args        []string
		check, node string
		status      v1alpha1.CheckStatus
		say, remedy string
	}{
		"Pod Security": {1, []string{"node-a", "--probe-namespace", restricted}, v1alpha1.CheckProbeNamespace, "", v1alpha1.CheckFailed,
			"violates PodSecurity", "label --overwrite namespace " + restricted + " pod-security.kubernetes.io/enforce=privileged"},
		"no namespace": {1, []string{"node-a", "--probe-namespace", "no-such"}, v1alpha1.CheckProbeNamespace, "", v1alpha1.CheckFailed,
			"there is no such namespace", "create namespace no-such"},
		"no image": {1, []string{"node-a", "--image", "none:v1", "--image-pull-policy", "Never"}, v1alpha1.CheckProbe, "node-a", v1alpha1.CheckFailed,
			"ErrImageNeverPull", "load the image on node node-a"},
		"no registry": {1, []string{"node-b", "--image", "127.0.0.1:1/none:v1"}, v1alpha1.CheckProbe, "node-b", v1alpha1.CheckFailed,
			"image 127.0.0.1:1/none:v1", "name an image that the node can pull by --image"},
		"another image": {1, []string{"node-a", "--image", workload}, v1alpha1.CheckProbe, "node-a", v1alpha1.CheckFailed,
			"", "see the node's kubelet and runtime logs"},
		"no node": {1, []string{"no-such-node", "node-a"}, v1alpha1.CheckNode, "no-such-node", v1alpha1.CheckFailed,
			"the cluster has no such node", "get nodes`"},
		"no rights": {1, []string{"node-a", "--as=nobody"}, v1alpha1.CheckRBACProbe, "", v1alpha1.CheckFailed,
			"you may not create, get, watch, delete and list pods; get pods/log in namespace kube-system", "--role=kubectl-seccomp-probe --user=nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			d := diagnosis(t, test.code, test.args...)
			if c := found(t, d, test.check, test.node); c.Status != test.status || !strings.Contains(c.Message, test.say) || !strings.Contains(c.Remedy, test.remedy) {
				t.Errorf("%+v", c)
			}
			if name == "no node" && found(t, d, v1alpha1.CheckReadFilter, "node-a").Status != v1alpha1.CheckOK {
				t.Errorf("%+v", d.Checks)
			}
		})
	}
	noProbes(t)
}

// noProbes fails the test if a probe pod is left that reads no container. Somebody
// else's doctor on the cluster is waited for.
func noProbes(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := poll(ctx, func() error {
		list, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{LabelSelector: probepod.Selector})
		if err != nil {
			return err
		}
		for _, p := range list.Items {
			if p.Annotations[probepod.AnnotationTargets] == "itself" {
				return fmt.Errorf("probe pod %s/%s is left", p.Namespace, p.Name)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
