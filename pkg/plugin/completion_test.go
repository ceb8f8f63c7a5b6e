package plugin

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// completed returns what the plugin offers kubectl for a command line, without
// descriptions.
func completed(t *testing.T, args ...string) string {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	var out, errOut bytes.Buffer
	c := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
	if code := run(c, append([]string{"/root/bin/kubectl_complete-seccomp"}, args...)); code != 0 || errOut.Len() > 0 {
		t.Errorf("%q: exit code %d, stderr %s", args, code, &errOut)
	}
	var words []string
	for line := range strings.Lines(out.String()) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestCompletion(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"exp|", "explain :4"},
		{"completion |", "bash zsh fish powershell :4"},
		{"explain web io_uring_e|", "io_uring_enter :4"},
		{"explain web socketc|", "socketcall :4"},
		{"explain web socketc| --abi amd64", ":4"},
		{"explain web socket |", "family= type= protocol= :6"},
		{"explain web socket family=AF_VS|", "family=AF_VSOCK :6"},
		{"explain web clone flags=CLONE_NEWUSER|CLONE_NEWUT|", "flags=CLONE_NEWUSER|CLONE_NEWUTS :6"},
		{"explain web no_such_call |", ":4"},
		{"diff a b |", ":4"},
		{"diff ./a.json ./|", ":0"},
		{"version |", ":4"},
		{"dump --syscall openat,fchmodat|", "openat,fchmodat openat,fchmodat2 :4"},
		{"dump --abi arm|", "arm64 arm :4"},
		{"dump --cap-add SYS_P|", "SYS_PTRACE SYS_PACCT :4"},
		{"dump --color |", "auto always never :4"},
		{"dump --color=n|", "never :4"},
		{"verify -o wi|", "wide :4"},
		{"dump --arch s|", "s390x :4"},
		{"dump --runtime |", "containerd cri-o docker :4"},
		{"dump --kubeconfig |", ":0"},
		{"dump --timeout |", ":4"},
	} {
		// The last "|" is the cursor.
		at := strings.LastIndexByte(test.line, '|')
		before, after := strings.Split(test.line[:at], " "), strings.Fields(test.line[at+1:])
		if len(after) > 0 { // kubectl passes on what is behind the cursor before it
			before = append(append(before[:len(before)-1:len(before)-1], after...), before[len(before)-1])
		}
		if got := completed(t, before...); got != test.want {
			t.Errorf("%s: %q, want %q", test.line, got, test.want)
		}
	}
}

// TestCompletionOfFlags has no flag that takes a value complete to file names, but
// those that name files.
func TestCompletionOfFlags(t *testing.T) {
	root := newRootCommand(newCommon(genericiooptions.IOStreams{}), "kubectl-seccomp")
	files := map[string]bool{"kubeconfig": true, "cache-dir": true, "certificate-authority": true, "client-certificate": true, "client-key": true, "template": true, "override": true, "base": true, "recording": true}
	for _, cmd := range root.Commands() {
		check := func(f *pflag.Flag) {
			if _, ok := cmd.GetFlagCompletionFunc(f.Name); ok == files[f.Name] && f.NoOptDefVal == "" && f.Value.Type() != "int" {
				t.Errorf("%s --%s: completed %v, a file %v", cmd.Name(), f.Name, ok, files[f.Name])
			}
		}
		cmd.LocalNonPersistentFlags().VisitAll(check)
		root.PersistentFlags().VisitAll(check)
	}
	for _, arch := range architectures {
		if syscalls.OfMachine(arch) == nil {
			t.Errorf("no architecture %s", arch)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, want := range map[string]string{"bash": "__start_kubectl-seccomp", "zsh": "#compdef kubectl-seccomp", "fish": "complete -c kubectl-seccomp", "powershell": "Register-ArgumentCompleter"} {
		code, stdout, stderr := plugin(pods(), "completion", shell)
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit code %d, %s", shell, code, stderr)
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "ksh"}, {"completion", "bash", "zsh"}} {
		if code, _, stderr := plugin(pods(), args...); code != 2 || !strings.Contains(stderr, "want one of bash, zsh, fish and powershell") {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
	}
}
