//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// localhost installs a profile on the nodes, under a name of this run's, and
// returns the name. A second time it is the file's next content.
func localhost(t *testing.T, name, content string) string {
	t.Helper()
	name = ns + "-" + name
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	clusterTool(t, "profile", path)
	return name
}

// clusterTool runs hack/cluster, of the clone that has brought the cluster up.
func clusterTool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"run", "."}, args...)...)
	cmd.Dir = filepath.Join(filepath.Dir(filepath.Dir(cluster.Kubeconfig)), "hack", "cluster")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("hack/cluster %s: %v\n%s", args[0], err, out)
	}
}

// under returns a pod's copy under a Localhost profile.
func under(p *corev1.Pod, profile string) *corev1.Pod {
	p.Spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &profile}
	return p
}

// declare sets a pod's profile; nil: none.
func declare(p *corev1.Pod, profile *corev1.SeccompProfile) *corev1.Pod {
	p.Spec.SecurityContext.SeccompProfile = profile
	return p
}

// Profiles of our own. All let the workload run.
const (
	plainProfile = `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
	"syscalls": [{"names": ["add_key", "keyctl"], "action": "SCMP_ACT_ERRNO"}]}`
	editedProfile = `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
	"syscalls": [{"names": ["add_key", "keyctl", "request_key"], "action": "SCMP_ACT_ERRNO"}]}`
	// In Docker's format: only containers without SYS_ADMIN may not mount, and
	// only those with it may reboot.
	dockerProfile = `{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
	"syscalls": [
		{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
		{"names": ["reboot"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_ADMIN"]}}]}`
)

// verification runs verify and returns what it says of a pod's only container.
func verification(t *testing.T, code int, pod string, args ...string) v1alpha1.VerifiedContainer {
	t.Helper()
	r := seccomp(t, append([]string{"verify", pod, "-o", "json"}, args...)...)
	if r.code != code {
		t.Errorf("verify %s: exit code %d, want %d: %s", pod, r.code, code, r.stderr)
	}
	var v v1alpha1.Verification
	if err := json.NewDecoder(strings.NewReader(r.stdout)).Decode(&v); err != nil {
		t.Fatalf("verify %s: %v\n%s%s", pod, err, r.stdout, r.stderr)
	}
	if len(v.Items) != 1 || len(v.Items[0].Arrows) != 2 {
		t.Fatalf("verify %s: %s", pod, r.stdout)
	}
	return v.Items[0]
}

// TestVerify has each way in which what is declared is not what is enforced.
func TestVerify(t *testing.T) {
	plain := localhost(t, "plain.json", plainProfile)
	edited := localhost(t, "edited.json", plainProfile)
	docker := localhost(t, "docker.json", dockerProfile)

	privileged := pod("v-privileged", "node-a", "sleep")
	privileged.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	crun := pod("v-crun", "node-a", "sleep")
	crun.Spec.RuntimeClassName = new("crun")
	annotated := declare(pod("v-annotated", "node-a", "sleep"), nil)
	annotated.Annotations = map[string]string{corev1.SeccompPodAnnotationKey: corev1.SeccompProfileRuntimeDefault}
	capable := pod("v-capable", "node-b", "sleep")
	capable.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{
		Add: []corev1.Capability{"SYS_ADMIN", "SYS_PTRACE"}, Drop: []corev1.Capability{"MKNOD"},
	}}

	type arrow struct {
		relation v1alpha1.Relation
		holds    v1alpha1.Holds
		reason   string // one of its reasons; "": any
		says     string // in that reason
	}
	identical := arrow{relation: v1alpha1.Identical, holds: v1alpha1.HoldsYes}
	tests := []struct {
		pod                  *corev1.Pod
		code                 int
		configured, enforced arrow
		edit                 func(*testing.T)
	}{
		{pod: pod("v-default", "node-a", "sleep"), configured: identical, enforced: identical},
		{pod: capable, configured: identical, enforced: arrow{v1alpha1.Tighter, v1alpha1.HoldsYes, v1alpha1.ReasonUnknownSyscalls, "libseccomp does not know"}},
		{pod: under(pod("v-localhost", "node-a", "sleep"), plain), configured: identical, enforced: identical},
		{
			pod: under(pod("v-edited", "node-a", "sleep"), edited), code: 1,
			edit:       func(t *testing.T) { localhost(t, "edited.json", editedProfile) },
			configured: arrow{v1alpha1.Looser, v1alpha1.HoldsNo, v1alpha1.ReasonFileChanged, edited + " was changed at"}, enforced: identical,
		},
		{
			pod: under(pod("v-docker", "node-a", "sleep"), docker), code: 1,
			configured: arrow{v1alpha1.Tighter, v1alpha1.HoldsNo, v1alpha1.ReasonIgnoredKey, `containerd ignores "includes"`}, enforced: identical,
		},
		{
			pod: privileged, code: 1,
			configured: arrow{v1alpha1.Looser, v1alpha1.HoldsNo, v1alpha1.ReasonPrivileged, "privileged"}, enforced: identical,
		},
		{
			pod:        declare(pod("v-unset-a", "node-a", "sleep"), nil),
			configured: arrow{v1alpha1.Identical, v1alpha1.HoldsYes, v1alpha1.ReasonSeccompDefault, "seccompDefault is false: Unconfined"}, enforced: identical,
		},
		{
			pod:        declare(pod("v-unset-b", "node-b", "sleep"), nil),
			configured: arrow{v1alpha1.Identical, v1alpha1.HoldsYes, v1alpha1.ReasonSeccompDefault, "seccompDefault is true: RuntimeDefault"},
			enforced:   arrow{v1alpha1.Tighter, v1alpha1.HoldsYes, v1alpha1.ReasonUnknownSyscalls, ""},
		},
		{
			pod: annotated, code: 1,
			configured: arrow{v1alpha1.Looser, v1alpha1.HoldsNo, v1alpha1.ReasonAnnotation, corev1.SeccompPodAnnotationKey}, enforced: identical,
		},
		{
			pod: pod("v-stack", "node-a", "stack"), configured: identical,
			enforced: arrow{v1alpha1.Tighter, v1alpha1.HoldsYes, v1alpha1.ReasonApplication, "3 filters of its own"},
		},
		{
			pod: crun, configured: identical,
			enforced: arrow{v1alpha1.Identical, v1alpha1.HoldsYes, v1alpha1.ReasonOCIRuntime, "crun makes something else of this profile than runc does"},
		},
	}
	all := t
	for _, test := range tests {
		t.Run(test.pod.Name, func(t *testing.T) {
			launch(all, test.pod) // for verify -A, below
			if test.edit != nil {
				test.edit(t)
			}
			got := verification(t, test.code, test.pod.Name)
			for i, want := range []arrow{test.configured, test.enforced} {
				a := got.Arrows[i]
				says := want.reason == "" || slices.ContainsFunc(a.Reasons, func(r v1alpha1.Reason) bool {
					return r.Code == want.reason && strings.Contains(r.Detail, want.says)
				})
				if a.Relation != want.relation || a.Holds != want.holds || !says {
					t.Errorf("%s → %s: %s, holds %s, %+v; want %+v", a.From, a.To, a.Relation, a.Holds, a.Reasons, want)
				}
				if (a.Relation == v1alpha1.Identical) != (len(a.Differences) == 0) {
					t.Errorf("%s with %d differences", a.Relation, len(a.Differences))
				}
				for _, d := range a.Differences {
					if d.Witness == nil {
						t.Errorf("%s %s: no witness", d.ABI, d.Syscall)
					}
				}
			}
			if got.Declared.RuntimeClass != "" && got.Configured.Reader != got.Declared.RuntimeClass {
				t.Errorf("RuntimeClass %s was read as %s", got.Declared.RuntimeClass, got.Configured.Reader)
			}
		})
	}
	nothingLeft(t, "kube-system")

	// The pods all at once, for a person: what is wrong is there, and only once.
	r := everywhere(t, "verify", "-A")
	for _, want := range []string{"containers are not confined as declared", "NAMESPACE", ns, "was changed at", "containerd ignores"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("verify -A does not say %q:\n%s", want, r.stdout)
		}
	}
	verification(t, 1, "v-stack", "--strict")
	// With the few capabilities that are needed it is all the same.
	for _, name := range []string{"v-edited", "v-docker", "v-crun", "v-unset-b"} {
		code := 0
		if name == "v-edited" || name == "v-docker" {
			code = 1
		}
		few, all := verification(t, code, name, "--least-privilege"), verification(t, code, name)
		if !reflect.DeepEqual(few.Arrows, all.Arrows) || !reflect.DeepEqual(few.Configured, all.Configured) || !reflect.DeepEqual(few.Declared, all.Declared) {
			t.Errorf("%s: %+v with --least-privilege, %+v without", name, few, all)
		}
	}
	if r.code != 1 {
		t.Errorf("verify -A: exit code %d: %s", r.code, r.stderr)
	}
}

// TestVerifyMissing has readings that cannot be had: the other ones are there.
func TestVerifyMissing(t *testing.T) {
	name := localhost(t, "gone.json", plainProfile)
	launch(t, under(pod("v-gone", "node-b", "sleep"), name))
	for _, content := range []string{"{", ""} {
		paths, err := filepath.Glob("/run/kubectl-seccomp-cluster/*/kubelet/seccomp/" + name)
		if err != nil || len(paths) != 2 {
			t.Fatalf("%v, %v", paths, err)
		}
		for _, path := range paths {
			if content == "" {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, []byte(content), 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		code, reason := 1, v1alpha1.ReasonInterpretation
		if content == "" {
			code, reason = 2, v1alpha1.ReasonNotRead
		}
		got := verification(t, code, "v-gone")
		if r := got.Arrows[0].Reasons; len(r) != 1 || r[0].Code != reason || strings.Contains(r[0].Detail, "\n") {
			t.Errorf("%q: %+v", content, got.Arrows[0])
		}
		if a := got.Arrows[1]; a.Relation != v1alpha1.Identical || a.Holds != v1alpha1.HoldsYes {
			t.Errorf("%q: %+v", content, a)
		}
	}
}

// TestReference has the runtime's own default read beside a pod, with the pod's
// capabilities, and what differs between the nodes shown in real containers.
func TestReference(t *testing.T) {
	capable := pod("ref-capable", "node-a", "sleep")
	capable.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{
		Add: []corev1.Capability{"SYS_ADMIN"},
	}}
	launch(t, capable)
	for _, args := range [][]string{{"a", "RuntimeDefault"}, {"b", "RuntimeDefault"}, {"ref-capable", "RuntimeDefault"}, {"RuntimeDefault", "ref-capable"}} {
		if r := seccomp(t, append([]string{"diff"}, args...)...); r.code != 0 || !strings.Contains(r.stdout, "are identical: ") {
			t.Errorf("diff %v: exit code %d: %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if r := seccomp(t, "diff", "ref-capable", "RuntimeDefault@node-b"); r.code != 1 {
		t.Errorf("another node's: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	failed(t, seccomp(t, "dump", "RuntimeDefault"), "write RuntimeDefault@NODE")
	failed(t, seccomp(t, "dump", "RuntimeDefault@no-such-node"), "the cluster has no such node")
	nothingLeft(t, "kube-system")
}

// TestReferenceWitnesses executes the printed calls in containers on both nodes:
// each gets what the row says.
func TestReferenceWitnesses(t *testing.T) {
	r := seccomp(t, "diff", "RuntimeDefault@node-a", "RuntimeDefault@node-b", "-o", "json")
	var d v1alpha1.Diff
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil || r.code != 1 || len(d.Differences) == 0 {
		t.Fatalf("exit code %d, %v: %s", r.code, err, r.stderr)
	}
	tried := 0
	for _, side := range []struct {
		node string
		want func(v1alpha1.Difference) v1alpha1.Action
	}{
		{"node-a", func(d v1alpha1.Difference) v1alpha1.Action { return d.A }},
		{"node-b", func(d v1alpha1.Difference) v1alpha1.Action { return d.B }},
	} {
		var calls []string
		var want []v1alpha1.Action
		for _, diff := range d.Differences {
			if diff.ABI != "amd64" || diff.Witness == nil || diff.Syscall == "" {
				continue // not for this program to make
			}
			calls = append(calls, strings.Join(append([]string{diff.Witness.NR}, diff.Witness.Args...), ","))
			want = append(want, side.want(diff))
		}
		got := made(t, pod("witness-"+side.node, side.node, append([]string{"call"}, calls...)...), len(calls))
		free := declare(pod("free-"+side.node, side.node, append([]string{"call"}, calls...)...), &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined})
		kernel := made(t, free, len(calls))
		for i, call := range calls {
			tried++
			expect := kernel[i] // what the call comes to where no filter is asked
			if want[i].Action == "ERRNO" {
				expect = want[i].Errno
			}
			if got[i] != expect {
				t.Errorf("%s: %s: %s, want %s: %+v, and %s without a filter", side.node, call, got[i], expect, want[i], kernel[i])
			}
		}
	}
	t.Logf("%d calls", tried)
	if tried < 10 {
		t.Errorf("only %d calls were made", tried)
	}
}

// made runs a pod that makes n calls, and returns what came of them.
func made(t *testing.T, p *corev1.Pod, n int) (results []string) {
	t.Helper()
	launch(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := poll(ctx, func() error {
		lines := strings.Split(podLog(t, p.Name), "\n")
		if len(lines) < n+2 || lines[n+1] != "" { // "ready" before them, and the last line's end
			return fmt.Errorf("%s: %d lines for %d calls", p.Name, len(lines), n)
		}
		results = lines[1 : n+1]
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return results
}
