//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// notRun are the command lines of the documentation that this machine cannot run, and
// why. One that the documentation no longer has fails the test.
var notRun = map[string]string{
	"sudo kubectl-seccomp diff docker:a pid:4711":                                                                                  "needs a Docker daemon: test/docker has it",
	"install bin/kubectl-seccomp /usr/local/bin/":                                                                                  "would install what was built",
	"ln -s kubectl-seccomp /usr/local/bin/kubectl_complete-seccomp":                                                                "would install a link; docs/install.md has one that is run",
	"tar -xzf kubectl-seccomp_v0.1.0_linux_amd64.tar.gz kubectl-seccomp":                                                           "needs a release's archive: hack/release tests unpack it",
	"install kubectl-seccomp /usr/local/bin/":                                                                                      "would install a release",
	"kubectl krew install --manifest=seccomp.yaml --archive=kubectl-seccomp_v0.1.0_linux_amd64.tar.gz":                             "needs krew and a release",
	"kubectl krew install --manifest-url=https://github.com/kubectl-seccomp/kubectl-seccomp/releases/download/v0.1.0/seccomp.yaml": "needs krew and a release",
}

// here is what the documentation calls something that has another name in the local
// cluster.
var here = strings.NewReplacer(
	"worker-1", "node-a",
	"app=rec", "app=web",
	"registry.example.com/tools/probe:v0.1.0", probeImage,
)

// TestExamples runs every command line with the plugin in it that the help texts and
// the documentation have, as someone who pastes it: in a shell, in a folder and in
// namespaces that have what they name.
func TestExamples(t *testing.T) {
	lines := addLines(helpExamples(t), documented(t), true)
	if len(lines) < 50 {
		t.Errorf("only %d command lines were found", len(lines))
	}
	for line := range maps.Keys(notRun) {
		if !slices.Contains(lines, line) {
			t.Errorf("not in the documentation any more: %s", line)
		}
	}
	env := stage(t)
	for _, line := range lines {
		if notRun[line] != "" {
			continue
		}
		t.Run(line, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", duration.ReplaceAllString(here.Replace(line), "--duration 2s"))
			cmd.Dir, cmd.Env = env.dir, env.vars
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			code := exitCode(cmd.Run())
			if code != 0 && !(code == 1 && exitsWithOne.MatchString(line)) {
				t.Errorf("exit code %d: %s", code, &stderr)
			}
			if stdout.Len() == 0 && !silent.MatchString(line) {
				t.Errorf("it prints nothing, and says: %s", &stderr)
			}
		})
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

var (
	// exitsWithOne are the commands whose exit code 1 is an answer.
	exitsWithOne = regexp.MustCompile(`seccomp (diff|verify|denials)\b|seccomp doctor .*--as jane`)
	// duration is how long an example records: a test has no hour.
	duration = regexp.MustCompile(`--duration \S+`)
	// silent are lines that print nothing where the test can see it.
	silent = regexp.MustCompile(`^(source|ln) | >|jsonpath=|seccomp cleanup\b| --follow\b`)
)

// helpExamples are the examples of the help texts.
func helpExamples(t *testing.T) (lines []string) {
	help := func(args ...string) string {
		out, err := exec.Command(plugin, append(args, "--help")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	section := func(text, title string) (list []string) {
		_, text, _ = strings.Cut(text, "\n"+title+":\n")
		text, _, _ = strings.Cut(text, "\n\n")
		for line := range strings.Lines(text) {
			list = append(list, strings.TrimSpace(line))
		}
		return list
	}
	root := help()
	commands := section(root, "Available Commands")
	if len(commands) < 7 {
		t.Fatalf("commands: %q", commands)
	}
	texts := []string{root}
	for _, c := range commands {
		name, _, _ := strings.Cut(c, " ")
		texts = append(texts, help(name))
		if len(section(texts[len(texts)-1], "Examples")) == 0 && name != "help" {
			t.Errorf("%s: no examples", name)
		}
	}
	for _, text := range texts {
		lines = addLines(lines, section(text, "Examples"), true)
	}
	return lines
}

// documented are the command lines in blocks of code of the documentation.
func documented(t *testing.T) (lines []string) {
	files := []string{filepath.Join(root(), "README.md")}
	for _, folder := range []string{"docs", "docs/howto"} {
		found, err := filepath.Glob(filepath.Join(root(), folder, "*.md"))
		if err != nil || len(found) == 0 {
			t.Fatal(folder, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fenced := false
		var code []string
		for line := range strings.Lines(string(text)) {
			switch {
			case strings.HasPrefix(line, "```"):
				fenced = !fenced
			case fenced, strings.HasPrefix(line, "    "):
				code = append(code, strings.TrimSpace(line))
			}
		}
		lines = addLines(lines, code, false)
	}
	return lines
}

var (
	// command begins a line of code that is one for a shell.
	command = regexp.MustCompile(`^(\$ )?((kubectl|kubectl-seccomp|sudo|source|install|ln|tar) |[a-z]+=\$\()`)
	// runsPlugin tells of a command line that it is about the plugin.
	runsPlugin = regexp.MustCompile(`\bkubectl[ -]seccomp( |"|$)|\bkubectl krew install `)
	comment    = regexp.MustCompile(`\s+#.*$`)
)

// addLines adds the command lines of a block of code that are not there yet. All of
// an example are commands.
func addLines(lines, code []string, all bool) []string {
	for i := 0; i < len(code); i++ {
		line := code[i]
		if strings.HasPrefix(line, "#") || !all && !command.MatchString(line) {
			continue
		}
		for strings.HasSuffix(line, `\`) && i+1 < len(code) {
			i++
			line = strings.TrimSuffix(line, `\`) + code[i]
		}
		line = comment.ReplaceAllString(strings.TrimPrefix(line, "$ "), "")
		if runsPlugin.MatchString(line) && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// environment is where examples are run.
type environment struct {
	dir  string
	vars []string
}

// stage makes what the examples name.
func stage(t *testing.T) environment {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	dir := t.TempDir()
	current := ns + "-examples"
	namespace(t, current, nil)
	pods := map[string][]*corev1.Pod{
		current: {named("web", "node-a"), named("web-a", "node-a"), named("web-b", "node-b")},
		"shop":  {named("web", "node-a")},
	}
	deployments := []string{current, "staging", "production", "prod"}
	if _, err := client.CoreV1().Namespaces().Get(ctx, "demo", metav1.GetOptions{}); apierrors.IsNotFound(err) {
		for i, name := range []string{"web-a", "web-b", "web-crun", "web-local", "web-free", "web-privileged", "stack", "args"} {
			pods["demo"] = append(pods["demo"], named(name, []string{"node-a", "node-b"}[i%2]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		if name != current {
			namespace(t, name, nil)
		}
		for _, p := range pods[name] {
			if _, err := client.CoreV1().Pods(name).Create(ctx, p, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range deployments {
		if pods[name] == nil {
			namespace(t, name, nil)
		}
		if _, err := client.AppsV1().Deployments(name).Create(ctx, deployment(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(pods)), deployments) {
		if err := poll(ctx, func() error { return running(ctx, name) }); err != nil {
			t.Fatal(err)
		}
	}
	return environment{dir, files(t, dir, current)}
}

// named is a pod of whatever service account there is.
func named(name, node string) *corev1.Pod {
	p := pod(name, node, "sleep")
	if name == "web" { // which examples record, for a second and longer
		p.Spec.Containers[0].Args = []string{"fork", "-children", "1", "-life", "400ms"}
	}
	p.Spec.ServiceAccountName = ""
	p.Labels = map[string]string{"app": name}
	return p
}

// deployment is web, with the containers nginx and sidecar.
func deployment() *appsv1.Deployment {
	p := named("web", "node-a")
	p.Spec.NodeName = "" // the scheduler's
	p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0])
	p.Spec.Containers[0].Name, p.Spec.Containers[1].Name = "nginx", "sidecar"
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web", "kind": "deployment"}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", "kind": "deployment"}}, Spec: p.Spec},
		},
	}
}

// running tells whether there are pods in a namespace, and each runs.
func running(ctx context.Context, namespace string) error {
	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		if p.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("pod %s/%s is %s", namespace, p.Name, p.Status.Phase)
		}
	}
	deployments, err := client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, d := range deployments.Items {
		if d.Status.AvailableReplicas != *d.Spec.Replicas {
			return fmt.Errorf("deployment %s/%s is not available", namespace, d.Name)
		}
	}
	if len(list.Items) == 0 {
		return errors.New("no pods yet in " + namespace)
	}
	return nil
}

// files writes what the examples read into a folder, and returns the environment
// variables to run them with.
func files(t *testing.T, dir, namespace string) []string {
	t.Helper()
	profile, err := os.ReadFile(filepath.Join(root(), "hack", "demo", "demo-web.json"))
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	config, err := clientcmd.LoadFromFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	dump, err := exec.Command(plugin, "--kubeconfig", kubeconfig, "dump", "web", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	recording, err := exec.Command(plugin, "--kubeconfig", kubeconfig, "record", "web", "--duration", "1s", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"monday.json":               recording,
		"tuesday.json":              recording,
		"runs.json":                 recording,
		"profile.json":              profile,
		"web.json":                  profile,
		"base.json":                 profile,
		"hack/demo/demo-web.json":   profile,
		"web-dump.json":             dump,
		".config/fish/completions/": nil,
		// Tests run as root already.
		"bin/sudo": []byte("#!/bin/sh\nexec \"$@\"\n"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if content == nil {
			err = os.MkdirAll(path, 0o755)
		} else {
			err = os.WriteFile(path, content, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(plugin, filepath.Join(dir, "bin", "kubectl-seccomp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(cluster.Kubectl, filepath.Join(dir, "bin", "kubectl")); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+dir, "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
}
