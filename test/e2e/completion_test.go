//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletion asks kubectl what its command line can become, as a shell does. The
// plugin answers by the name that kubectl asks.
func TestCompletion(t *testing.T) {
	link := filepath.Join(filepath.Dir(plugin), "kubectl_complete-seccomp")
	if err := os.Symlink(filepath.Base(plugin), link); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(link) })
	for _, test := range []struct{ words, want string }{
		{"du", "dump :4"},
		{"dump -n " + ns + " ", "a b restarts :4"}, // and keywords, see below
		{"dump -n " + ns + " a:", "a:main :4"},
		{"diff " + ns + "/pod/a " + ns + "/pod/", ns + "/pod/b " + ns + "/pod/restarts :4"},
		{"dump node/node-", "node/node-a: node/node-b: :6"},
		{"diff RuntimeDefault@node-a RuntimeDefault@", "RuntimeDefault@node-b :4"},
		{"list node/node-b", "node/node-b :4"},
		{"dump --probe-namespace kube-sy", "kube-system :4"},
		{"dump -n " + ns[:len(ns)-1], ns + " :4"},
		{"explain a fchmodat", "fchmodat fchmodat2 :4"},
		{"dump --as=nobody " + ns + "/pod/", ":4"},
		{"dump --server=https://127.0.0.1:1 " + ns + "/pod/", ":4"},
	} {
		cmd := exec.Command(cluster.Kubectl, append([]string{"__complete", "seccomp"}, strings.Split(test.words, " ")...)...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig, "PATH="+filepath.Dir(plugin)+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", test.words, err)
		}
		var words []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			// What is offered for any operand is not looked at here.
			if !strings.HasSuffix(test.words, " ") || strings.HasPrefix(word, ":") || !strings.ContainsAny(word, "/:RU") {
				words = append(words, word)
			}
		}
		if got := strings.Join(words, " "); got != test.want {
			t.Errorf("kubectl seccomp %s: %q, want %q", test.words, got, test.want)
		}
	}
}
