//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauth "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// asUser writes a kubeconfig of the cluster with another user.
func asUser(t *testing.T, user *api.AuthInfo) string {
	t.Helper()
	c, err := clientcmd.LoadFromFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c.AuthInfos = map[string]*api.AuthInfo{"someone": user}
	c.Contexts[c.CurrentContext].AuthInfo = "someone"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// helper is a credential plugin that is a line of a shell.
func helper(script string) *api.AuthInfo {
	return &api.AuthInfo{Exec: &api.ExecConfig{
		APIVersion: clientauth.SchemeGroupVersion.String(), Command: "sh", Args: []string{"-c", script}, InteractiveMode: api.NeverExecInteractiveMode,
	}}
}

// TestCredentials has the API server refuse who asks, or what they ask for: each
// command says so in one line.
func TestCredentials(t *testing.T) {
	expired := asUser(t, &api.AuthInfo{Token: "expired"})
	ended := asUser(t, helper("exit 3"))
	missing := asUser(t, &api.AuthInfo{Exec: &api.ExecConfig{
		APIVersion: clientauth.SchemeGroupVersion.String(), Command: "no-such-helper", InteractiveMode: api.NeverExecInteractiveMode}})
	for _, command := range []string{"dump a", "dump deploy/a", "dump -l pod=a", "diff a b", "explain a clone", "verify", "list"} {
		for _, test := range []struct {
			kubeconfig, flags string
			say               []string
		}{
			{expired, "", []string{"the API server does not accept your credentials; log in again"}},
			{ended, "", []string{"your credentials could not be had: exec: executable sh failed with exit code 3; log in"}},
			{missing, "", []string{"executable no-such-helper not found; log in"}},
			{cluster.Kubeconfig, "--as=nobody", []string{"you are not allowed to ", "; ask for that permission; `kubectl "}},
			{cluster.Kubeconfig, "--tls-server-name=nobody", []string{"certificate is valid for", "`kubectl --kubeconfig=" + cluster.Kubeconfig + " config view --minify`"}},
		} {
			r := begin(t, test.kubeconfig, strings.Fields(command+" "+test.flags)...).wait()
			failed(t, r, test.say...)
			if !strings.HasPrefix(r.stderr, "error: ") || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("%s %s: not one line: %s", command, test.flags, r.stderr)
			}
		}
	}
	// Doctor checks nothing then: that is none of its findings.
	for _, kubeconfig := range []string{expired, ended, missing} {
		r := begin(t, kubeconfig, "doctor", "--no-headers").wait()
		if r.code != 2 || !strings.Contains(r.stdout, "unknown ") || !strings.Contains(r.stdout, "log in") || !strings.Contains(r.stderr, "1 of 1 checks could not be made") {
			t.Errorf("doctor: exit code %d, %s%s", r.code, r.stdout, r.stderr)
		}
	}
	nothingLeft(t, metav1.NamespaceAll)
}

// TestCredentialPlugin has the credentials come from a program, and requests end in
// time, but not the log.
func TestCredentialPlugin(t *testing.T) {
	c, err := clientcmd.LoadFromFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	admin := c.AuthInfos[c.Contexts[c.CurrentContext].AuthInfo]
	text, err := json.Marshal(clientauth.ExecCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: clientauth.SchemeGroupVersion.String(), Kind: "ExecCredential"},
		Status: &clientauth.ExecCredentialStatus{
			ClientCertificateData: string(admin.ClientCertificateData), ClientKeyData: string(admin.ClientKeyData),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "credential.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := begin(t, asUser(t, helper("cat "+path)), "dump", "a", "--request-timeout=20s").wait(); r.code != 0 || r.stderr != "" {
		t.Errorf("exit code %d, stderr %s", r.code, r.stderr)
	}
	r := seccomp(t, "dump", "a", "--request-timeout=1us")
	failed(t, r, "find pod "+ns+"/a", "no answer within the time of --request-timeout, 1µs")
	nothingLeft(t, metav1.NamespaceAll)
}
