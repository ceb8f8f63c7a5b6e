//go:build e2e

package e2e

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// gate is docs/ci/policy-diff.yaml, run in a folder with both sides' manifests.
type gate struct {
	dir, summary string
	env          []string
	scripts      map[string]string // by the names of their steps
}

// newGate has the workflow's scripts look at workloads of a namespace. Each side has the
// manifests of its deployments in a folder of its own below deploy.
func newGate(t *testing.T, namespace, workloads string, sides map[string][]*appsv1.Deployment) *gate {
	t.Helper()
	return readWorkflow(t, "policy-diff.yaml", map[string]string{"NAMESPACE": namespace, "WORKLOADS": workloads}, sides)
}

// readWorkflow has the scripts of a workflow of docs/ci run in a folder with manifests,
// with other values of its env.
func readWorkflow(t *testing.T, file string, env map[string]string, sides map[string][]*appsv1.Deployment) *gate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(), "docs", "ci", file))
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Env  map[string]string
		Jobs map[string]struct {
			Steps []struct{ Name, Run string }
		}
	}
	if err := yaml.Unmarshal(text, &workflow); err != nil {
		t.Fatal(err)
	}
	g := &gate{dir: t.TempDir(), scripts: make(map[string]string)}
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			g.scripts[step.Name] = step.Run
		}
	}
	for side, deployments := range sides {
		for _, d := range deployments {
			d.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}
			text, err := yaml.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(g.dir, side, "deploy", d.Name, d.Name+".yaml")
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	bin := t.TempDir()
	for name, program := range map[string]string{"kubectl": cluster.Kubectl, "kubectl-seccomp": plugin} {
		if err := os.Symlink(program, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	g.summary = filepath.Join(g.dir, "summary.md")
	for name, value := range env {
		if _, ok := workflow.Env[name]; !ok {
			t.Fatalf("docs/ci/%s has no %s in its env", file, name)
		}
		workflow.Env[name] = value
	}
	g.env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig, "PATH="+bin+":"+os.Getenv("PATH"), "GITHUB_STEP_SUMMARY="+g.summary)
	for name, value := range workflow.Env {
		g.env = append(g.env, name+"="+value)
	}
	return g
}

// step runs the script of a step as GitHub's runner does, and returns its exit code and
// what it says.
func (g *gate) step(t *testing.T, name string) (int, string) {
	t.Helper()
	script, ok := g.scripts[name]
	if !ok {
		t.Fatalf("the workflow has no step %q", name)
	}
	cmd := exec.Command("bash", "-e", "-c", script)
	cmd.Dir, cmd.Env = g.dir, g.env
	out, err := cmd.CombinedOutput()
	return exitCode(err), string(out)
}

const (
	gateDeploy  = "Deploy both sides and read their policies"
	gateCompare = "Compare"
)

// guarded is a deployment of a container, or more, with a profile.
func guarded(name string, replicas int32, profile corev1.SeccompProfileType, change ...func(*corev1.PodSpec)) *appsv1.Deployment {
	p := named(name, "node-a")
	p.Spec.SecurityContext.SeccompProfile.Type = profile
	for _, c := range change {
		c(&p.Spec)
	}
	selector := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selector}, Spec: p.Spec},
		},
	}
}

// TestGate runs the workflow that the documentation gives away, for a pull request that
// makes some workloads' policies looser, in each way that there is, and others' not.
func TestGate(t *testing.T) {
	const confined, free = corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined
	sidecar := func(profile corev1.SeccompProfileType) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) {
			proxy := s.Containers[0]
			proxy.Name, proxy.RestartPolicy = "proxy", ptr.To(corev1.ContainerRestartPolicyAlways)
			proxy.SecurityContext = &corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: profile}}
			s.InitContainers = append(s.InitContainers, proxy)
		}
	}
	// The profile is the same, and has rules for who has a capability.
	capable := func(s *corev1.PodSpec) {
		s.Containers[0].SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}
	}
	ns := newNamespace(t, nil)
	g := newGate(t, ns, "deploy/looser deploy/tighter deploy/same deploy/mesh deploy/capable deploy/new deploy/open deploy/gone", map[string][]*appsv1.Deployment{
		"base": {guarded("looser", 1, confined), guarded("tighter", 1, free), guarded("same", 2, confined), guarded("mesh", 1, confined, sidecar(confined)),
			guarded("capable", 1, confined), guarded("gone", 1, confined)},
		"head": {guarded("looser", 1, free), guarded("tighter", 1, confined), guarded("same", 2, confined), guarded("mesh", 1, confined, sidecar(free)),
			guarded("capable", 1, confined, capable), guarded("new", 1, confined), guarded("open", 1, free)},
	})
	if code, out := g.step(t, gateDeploy); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if list, err := client.AppsV1().Deployments(ns).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("%d deployments are left (%v)", len(list.Items), err)
	}

	code, out := g.step(t, gateCompare)
	if want := "::error::may call more than before: policies-head/deploy-capable.main.json policies-head/deploy-looser.main.json policies-head/deploy-mesh.proxy.json policies-head/deploy-open.main.json\n"; code != 1 || out != want {
		t.Errorf("exit code %d, %q, want %q", code, out, want)
	}
	summary, err := os.ReadFile(g.summary)
	if err != nil {
		t.Fatal(err)
	}
	verdicts := make(map[string]string)
	for _, part := range strings.Split(string(summary), "### ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		verdicts[name] = text
	}
	for name, say := range map[string]string{
		"deploy-looser.main": "looser", "deploy-tighter.main": "tighter", "deploy-same.main": "identical", "deploy-mesh.main": "identical",
		"deploy-mesh.proxy": "looser", "deploy-capable.main": "mount", "deploy-new.main": "tighter", "deploy-open.main": "identical",
	} {
		if !strings.Contains(strings.ToLower(verdicts[name]), say) {
			t.Errorf("the summary of %s does not say %q: %s", name, say, verdicts[name])
		}
	}
	if len(verdicts) != 8 {
		t.Errorf("the summary is of %q", slices.Sorted(maps.Keys(verdicts)))
	}

	// What is left is no reason to fail; what cannot be read is, and is no difference.
	for _, name := range []string{"capable.main", "looser.main", "mesh.proxy", "open.main"} {
		if err := os.Remove(filepath.Join(g.dir, "policies-head", "deploy-"+name+".json")); err != nil {
			t.Fatal(err)
		}
	}
	if code, out := g.step(t, gateCompare); code != 0 || out != "" {
		t.Errorf("exit code %d: %s", code, out)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "policies-base", "deploy-same.main.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := g.step(t, gateCompare); code < 2 || !strings.Contains(out, "error: ") {
		t.Errorf("exit code %d: %s", code, out)
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// TestGateWaits has one side's pod take its time to end: it is not taken for the other
// side's.
func TestGateWaits(t *testing.T) {
	slow := func(s *corev1.PodSpec) {
		s.TerminationGracePeriodSeconds = ptr.To(int64(40))
		s.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 30}}}
	}
	g := newGate(t, newNamespace(t, nil), "deploy/slow", map[string][]*appsv1.Deployment{
		"base": {guarded("slow", 1, corev1.SeccompProfileTypeUnconfined, slow)},
		"head": {guarded("slow", 1, corev1.SeccompProfileTypeRuntimeDefault)},
	})
	for _, step := range []string{gateDeploy, gateCompare} {
		if code, out := g.step(t, step); code != 0 {
			t.Fatalf("%s: exit code %d: %s", step, code, out)
		}
	}
	if summary, err := os.ReadFile(g.summary); err != nil || !strings.Contains(string(summary), "tighter") {
		t.Errorf("the summary does not say that it is tighter: %s (%v)", summary, err)
	}
}

// TestGateFails has what ends the workflow before there is anything to compare.
func TestGateFails(t *testing.T) {
	const confined = corev1.SeccompProfileTypeRuntimeDefault
	for name, test := range map[string]struct {
		workloads string
		say       string
	}{
		"no such workload": {"deploy/here deploy/nowhere", "::error::on neither side: deploy/nowhere"},
		"no such type":     {"deploys/here", `the server doesn't have a resource type "deploys"`},
	} {
		t.Run(name, func(t *testing.T) {
			here := func() []*appsv1.Deployment { return []*appsv1.Deployment{guarded("here", 1, confined)} }
			g := newGate(t, newNamespace(t, nil), test.workloads, map[string][]*appsv1.Deployment{"base": here(), "head": here()})
			if code, out := g.step(t, gateDeploy); code != 1 || !strings.Contains(out, test.say) {
				t.Errorf("exit code %d: %s", code, out)
			}
		})
	}
	nothingLeft(t, probepod.DefaultNamespace)
}
