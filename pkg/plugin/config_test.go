package plugin

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// TestNoCluster has kubeconfigs that lead nowhere: every command that needs a cluster
// says so in one line, and what to do.
func TestNoCluster(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"HOME", "USERPROFILE", "KUBERNETES_SERVICE_HOST", "KUBERNETES_MASTER"} {
		t.Setenv(name, "")
	}
	const entries = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
	for name, text := range map[string]string{
		"empty": "", "broken": "clusters: [\n", "other": "kind: Pod\napiVersion: v1\n",
		"config": "apiVersion: v1\nkind: Config\ncurrent-context: x\n" + entries,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const see = "; see `kubectl config view`, and --context"
	for _, test := range []struct{ kubeconfig, flags, want string }{
		{"none", "", "read the kubeconfig: there is none, so nothing says which cluster is meant; name a file by --kubeconfig"},
		{"empty", "", "read the kubeconfig: there is none"},
		{"config", "--kubeconfig=none", "read the kubeconfig: stat none: no such file or directory; see --kubeconfig"},
		{"broken", "", "read the kubeconfig: error loading config file .*; see --kubeconfig"},
		{"other", "", "read the kubeconfig: .*no kind \"Pod\" is registered .*; see --kubeconfig"},
		{"config", "--context=z", `read the kubeconfig: context "z" does not exist` + see},
		{"config", "--cluster=z", `read the kubeconfig: cluster "z" does not exist` + see},
		{"config", "--user=z", `read the kubeconfig: auth info "z" does not exist` + see},
		{"none", "--kubeconfig=config --context=z", `read the kubeconfig: context "z" does not exist; see .kubectl --kubeconfig=config config view., and --context`},
		{"none", "--kubeconfig=config --context=x", "connection refused; the API server did not answer: see `kubectl --kubeconfig=config --context=x cluster-info`"},
		{"config", "--request-timeout=soon", "read the kubeconfig: (?i)invalid timeout value.*--request-timeout"},
		{"config", "--as-group=g", "read the kubeconfig: .*without impersonating a user"},
		{"config", "", "connection refused; the API server did not answer: see `kubectl cluster-info`"},
		{"config", "--server=https://nobody.invalid", "nobody.invalid.*; the API server did not answer: see `kubectl --server=https://nobody.invalid cluster-info`"},
	} {
		t.Setenv("KUBECONFIG", test.kubeconfig)
		for _, command := range []string{"dump web", "dump deploy/web", "dump -l app=web", "diff web Unconfined", "explain web clone", "verify", "list", "list node/n", "cleanup"} {
			var out, errOut bytes.Buffer
			c := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
			args := append([]string{"kubectl-seccomp", "--cache-dir=" + filepath.Join(t.TempDir(), "cache")}, strings.Fields(command+" "+test.flags)...)
			code := run(c, args)
			if code != 2 || out.Len() > 0 || !regexp.MustCompile(`^error: .*`+test.want+`.*\n$`).MatchString(errOut.String()) {
				t.Errorf("KUBECONFIG=%s %s %s: exit code %d, stdout %q, stderr %q, want %q", test.kubeconfig, command, test.flags, code, &out, &errOut, test.want)
			}
		}
	}
	// What needs no cluster asks for none.
	t.Setenv("KUBECONFIG", "broken")
	for _, args := range [][]string{{"version"}, {"dump", "Unconfined"}, {"completion", "bash"}, {"--help"}} {
		var errOut bytes.Buffer
		c := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &bytes.Buffer{}, ErrOut: &errOut})
		if code := run(c, append([]string{"kubectl-seccomp"}, args...)); code != 0 || errOut.Len() > 0 {
			t.Errorf("%q: exit code %d, %s", args, code, &errOut)
		}
	}
}
