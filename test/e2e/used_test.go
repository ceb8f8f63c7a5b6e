//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// TestUsed runs the workflow that the documentation gives away, with profiles that fit
// what the tests have the pod do, that lack something, and that allow too much.
func TestUsed(t *testing.T) {
	ns := newNamespace(t, nil)
	g := readWorkflow(t, "record.yaml", map[string]string{
		"NAMESPACE": ns, "WORKLOAD": "deploy/used", "CONTAINER": "main", "MANIFESTS": "head/deploy", "PROFILE": "used.json", "MAX_UNUSED": "0",
		// getpgrp, in the pod.
		"TESTS": `kubectl exec --namespace "$NAMESPACE" "$WORKLOAD" -c "$CONTAINER" -- /workload count -n 5 111`,
	}, map[string][]*appsv1.Deployment{"head": {guarded("used", 1, corev1.SeccompProfileTypeUnconfined)}})
	if code, said := g.step(t, "Deploy, test and record"); code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	fitting, err := g.run("kubectl-seccomp merge recording.json -o profile")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, profile string
		code          int
		says          string // on the summary page
	}{
		{"fits", fitting, 0, "and 0 of them were never called"},
		{"lacks", strings.Replace(fitting, `"getpgrp",`, "", 1), 1, "`getpgrp`"},
		{"too much", strings.Replace(fitting, `"getpgrp",`, `"getpgrp", "bpf",`, 1), 1, "1 of them was never called, more than 0"},
		{"broken", "{", 2, ""},
	} {
		if err := os.WriteFile(filepath.Join(g.dir, "used.json"), []byte(test.profile), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(g.summary)
		code, said := g.step(t, "Compare")
		summary, _ := os.ReadFile(g.summary)
		if code != test.code || !strings.Contains(string(summary), test.says) {
			t.Errorf("%s: exit code %d, want %d: %s\n%s", test.name, code, test.code, said, summary)
		}
		if test.code == 1 && !strings.Contains(string(summary), "```diff\n--- used.json") {
			t.Errorf("%s: no diff in %s", test.name, summary)
		}
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// TestUsedFails has the tests fail, and the recorder.
func TestUsedFails(t *testing.T) {
	ns := newNamespace(t, nil)
	for name, env := range map[string]map[string]string{
		"the tests have failed": {"TESTS": "false"},
		"nothing is recorded":   {"CONTAINER": "none"},
	} {
		env["NAMESPACE"], env["WORKLOAD"], env["MANIFESTS"] = ns, "deploy/used", "head/deploy"
		if env["CONTAINER"] == "" {
			env["CONTAINER"] = "main"
		}
		g := readWorkflow(t, "record.yaml", env, map[string][]*appsv1.Deployment{"head": {guarded("used", 1, corev1.SeccompProfileTypeUnconfined)}})
		if code, said := g.step(t, "Deploy, test and record"); code != 1 || !strings.Contains(said, "::error::"+name) {
			t.Errorf("%s: exit code %d: %s", name, code, said)
		}
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// run runs a command line where a workflow's scripts run.
func (g *gate) run(line string) (string, error) {
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir, cmd.Env = g.dir, g.env
	out, err := cmd.Output()
	return string(out), err
}
