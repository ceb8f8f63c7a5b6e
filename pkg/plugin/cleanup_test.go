package plugin

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

func TestCleanupCommand(t *testing.T) {
	some := []probepod.Leftover{
		{Kind: "Pod", Namespace: "kube-system", Name: "seccomp-probe-a-aaaaa"},
		{Kind: "Pod", Namespace: "kube-system", Name: "seccomp-probe-b-bbbbb", Left: "its run\nmay be under way"},
	}
	const deleted = "pod kube-system/seccomp-probe-a-aaaaa deleted\n"
	const left = "left alone: pod kube-system/seccomp-probe-b-bbbbb: its run; may be under way\n"
	failed := append(some[:2:2], probepod.Leftover{Namespace: "kube-system", Name: "x", Err: errors.New("delete probe pod kube-system/x: you may not")})
	kube := probepod.CleanupOptions{Namespace: "kube-system", Created: true}
	own := append(some[:2:2],
		probepod.Leftover{Kind: "Namespace", Name: "seccomp-probe-0123456789"},
		probepod.Leftover{Kind: "Namespace", Name: "seccomp-probe-abcdefghij", Left: "it holds configmaps/mine, which no run has made"})
	unseen := &probepod.Unseen{Err: errors.New("look for namespaces: no")}
	for _, test := range []struct {
		args           string
		list           []probepod.Leftover
		err            error
		asked          probepod.CleanupOptions
		code           int
		stdout, stderr string
	}{
		{"cleanup", some, nil, kube, 0, deleted, left},
		{"cleanup -o name", some, nil, kube, 0, "pod/seccomp-probe-a-aaaaa\n", left},
		{"cleanup --dry-run=client -o custom-columns=NAME:.name,DELETED:.deleted,WHY:.left --no-headers", some, nil, probepod.CleanupOptions{Namespace: "kube-system", Created: true, DryRun: true}, 0,
			"seccomp-probe-a-aaaaa   true    <none>\nseccomp-probe-b-bbbbb   false   its run; may be under way\n", left},
		{"cleanup --dry-run=client", some, nil, probepod.CleanupOptions{Namespace: "kube-system", Created: true, DryRun: true}, 0, "pod kube-system/seccomp-probe-a-aaaaa deleted (dry run)\n", left},
		{"cleanup --all --probe-namespace tools", nil, nil, probepod.CleanupOptions{Namespace: "tools", All: true}, 0, "", "nothing to delete in namespace tools\n"},
		{"cleanup --kept", some, nil, probepod.CleanupOptions{Namespace: "kube-system", Created: true, Kept: true}, 0, deleted, left},
		{"cleanup -A", some[1:], nil, probepod.CleanupOptions{Created: true}, 0, "", left + "nothing to delete in any namespace\n"},
		{"cleanup", failed, nil, kube, 2, deleted, left + "error: delete probe pod kube-system/x: you may not\n"},
		{"cleanup", own, nil, kube, 0, deleted + "namespace seccomp-probe-0123456789 deleted\n",
			left + "left alone: namespace seccomp-probe-abcdefghij: it holds configmaps/mine, which no run has made\n"},
		{"cleanup -o name", own[2:3], nil, kube, 0, "namespace/seccomp-probe-0123456789\n", ""},
		{"cleanup", some, unseen, kube, 0, deleted, "warning: look for namespaces: no\n" + left},
		{"cleanup", nil, unseen, kube, 0, "", "warning: look for namespaces: no\nno pod to delete in namespace kube-system\n"},
		{"cleanup", some, errors.New("look for namespaces: broken"), kube, 2, deleted, left + "error: look for namespaces: broken\n"},
		{"cleanup", nil, errors.New("list probe pods: no"), kube, 2, "", "error: list probe pods: no\n"},
		{"cleanup -n shop", nil, nil, probepod.CleanupOptions{}, 2, "", "error: --namespace: that is where targets are; name the namespace of the probe's pods by --probe-namespace\n"},
		{"cleanup --dry-run=server", nil, nil, probepod.CleanupOptions{}, 2, "", "error: --dry-run \"server\": want none or client\n"},
		{"cleanup --probe-namespace=", nil, nil, probepod.CleanupOptions{}, 2, "", "error: --probe-namespace: want the name of a namespace\n"},
		{"cleanup --probe-namespace=a/b", nil, nil, probepod.CleanupOptions{}, 2, "", "error: --probe-namespace \"a/b\": that cannot be the name of a namespace\n"},
		{"cleanup -A --probe-namespace=tools", nil, nil, probepod.CleanupOptions{}, 2, "", "error: --all-namespaces looks in all namespaces: leave out --probe-namespace, or this flag\n"},
		{"cleanup -o wide", nil, nil, probepod.CleanupOptions{}, 2, "", "error: output format \"wide\": want one of json, yaml, kyaml, name, go-template, go-template-file, template, templatefile, jsonpath, jsonpath-as-json, jsonpath-file, custom-columns, custom-columns-file\n"},
		{"cleanup web", nil, nil, probepod.CleanupOptions{}, 2, "", "error: cleanup takes no operands, not 1; see `kubectl seccomp cleanup --help`\n"},
	} {
		var out, errOut bytes.Buffer
		var asked probepod.CleanupOptions
		c := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
		c.cleanup = func(_ context.Context, o probepod.CleanupOptions) ([]probepod.Leftover, error) {
			asked = o
			return test.list, test.err
		}
		code := run(c, append([]string{"kubectl-seccomp"}, strings.Fields(test.args)...))
		if code != test.code || out.String() != test.stdout || errOut.String() != test.stderr || asked != test.asked {
			t.Errorf("%s: %d, %q, %q, asked %+v\nwant %d, %q, %q, %+v", test.args,
				code, out.String(), errOut.String(), asked, test.code, test.stdout, test.stderr, test.asked)
		}
	}
}
