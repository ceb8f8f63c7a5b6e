package plugin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
)

// external sets the variable to a shell script and arguments of it, and has all
// temporary files where the test looks afterwards.
func external(t *testing.T, script, args string) (temp string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "differ")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	temp = t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv(externalDiffEnv, strings.TrimSpace(program+" "+args))
	return temp
}

// TestExternalDiff has the differences shown by another program.
func TestExternalDiff(t *testing.T) {
	const compare = `diff -u "$1" "$2"`
	for name, test := range map[string]struct {
		script, args string
		command      string
		code         int
		stdout       string // a regular expression
		stderr       string
	}{
		"arguments": {
			script:  `for a; do echo "<$a>"; done; ls "$3" "$4"; echo said >&2`,
			args:    `-x  --color=auto ;rm $(id) a.b`,
			command: "diff key vsock", code: 1,
			stdout: `^<-x>\n<--color=auto>\n<.*/A-\d+>\n<.*/B-\d+>\n.*/A-\d+:\npolicy.yaml\n\n.*/B-\d+:\npolicy.yaml\n$`,
			stderr: `^said\n$`,
		},
		"the program says 1":     {script: compare, command: "diff key key-kill", code: 1, stdout: `\n-amd64 add_key: ERRNO\(EPERM\)\n\+amd64 add_key: KILL_PROCESS\n`},
		"the program says 0":     {script: "exit 0", command: "diff key key-kill", code: 1},
		"identical":              {script: compare, command: "diff key key-dead", code: 0},
		"the program fails":      {script: "exit 3", command: "diff key key-kill", code: 2, stderr: `^error: run ".*/differ" of \$KUBECTL_EXTERNAL_DIFF: exit status 3\n$`},
		"a signal":               {script: "kill -TERM $PPID\nexec sleep 60", command: "diff key vsock", code: 143, stderr: `^error: run ".*: interrupted \(terminated\)\n$`},
		"nobody reads on":        {script: "kill -PIPE $$", command: "diff key vsock", code: 141},
		"only what is selected":  {script: `cat "$1/policy.yaml"`, command: "diff key vsock --syscall socket,add_key --abi amd64", code: 1, stdout: `^amd64 add_key: ERRNO\(EPERM\)\namd64 socket: ALLOW\n$`},
		"not what is selected":   {script: compare, command: "diff key vsock --syscall read", code: 1, stderr: `^warning: the difference is not in what .*/differ was shown`},
		"by access":              {script: compare, command: "diff key key-kill --reduce", code: 0},
		"other architectures":    {script: compare, command: "diff key arm --syscall read,add_key", code: 1, stdout: `\n-add_key: ERRNO\(EPERM\)\n-read: ALLOW\n\+add_key: KILL_PROCESS\n\+read: KILL_PROCESS\n$`},
		"not for other formats":  {script: "exit 3", command: "diff key vsock -o json", code: 1, stdout: `^\{`},
		"not for the wide one":   {script: "exit 3", command: "diff key vsock -o wide", code: 1, stdout: `^vsock is`},
		"not for a template":     {script: "exit 3", command: "diff key vsock --template={{.relation}}", code: 1, stdout: `^Incomparable$`},
		"not for other commands": {script: "exit 3", command: "dump key", stdout: `^default/key:main is`},
		"an error before":        {script: "echo no", command: "diff key nosuch", code: 2, stderr: `^error: find pod`},
	} {
		t.Run(name, func(t *testing.T) {
			temp := external(t, test.script, test.args)
			code, stdout, stderr := plugin(pods(), strings.Fields(test.command)...)
			if test.stdout == "" {
				test.stdout = "^$"
			}
			if test.stderr == "" {
				test.stderr = "^$"
			}
			if code != test.code || !regexp.MustCompile(test.stdout).MatchString(stdout) || !regexp.MustCompile(test.stderr).MatchString(stderr) {
				t.Errorf("exit code %d, want %d\n%s\nwant %s\nstderr %q, want %s", code, test.code, stdout, test.stdout, stderr, test.stderr)
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("%v is left: %v", left, err)
			}
		})
	}
	t.Run("no such program", func(t *testing.T) {
		t.Setenv(externalDiffEnv, "no-such-program -u")
		code, stdout, stderr := plugin(pods(), "diff", "key", "vsock")
		const want = "error: run \"no-such-program\" of $KUBECTL_EXTERNAL_DIFF: executable file not found in $PATH\n"
		if code != 2 || stdout != "" || stderr != want {
			t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
		}
	})
	t.Run("no place to write", func(t *testing.T) {
		external(t, "exit 3", "")
		t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "nosuch"))
		if code, _, stderr := plugin(pods(), "diff", "key", "vsock"); code != 2 || !strings.Contains(stderr, "write what $KUBECTL_EXTERNAL_DIFF compares: ") {
			t.Errorf("exit code %d, %q", code, stderr)
		}
	})
}

// TestExternalDiffText is what diff -u has to say, reviewed by hand.
func TestExternalDiffText(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	external(t, `diff -U1 "$1" "$2" | grep -v -e ^diff -e ^--- -e ^+++`, "")
	for name, args := range map[string]string{
		"externaldiff_vsock":    "diff key vsock",
		"externaldiff_profiles": "diff ./p.json ./clone.json --arch amd64 --runtime docker --abi amd64 --syscall clone,personality,read,socket",
	} {
		files(t)
		// Conditions on arguments, of three kinds.
		clone := `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["clone"], "action": "SCMP_ACT_ALLOW",
		"args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
		{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}`
		if err := os.WriteFile("clone.json", []byte(clone), 0o644); err != nil {
			t.Fatal(err)
		}
		_, stdout, _ := plugin(pods(), strings.Fields(args)...)
		t.Chdir(filepath.Dir(testdata))
		golden(t, name+".txt", fmt.Sprintf("$ KUBECTL_EXTERNAL_DIFF='diff -U1' kubectl seccomp %s\n%s", args, stdout))
	}
}

// TestPolicyIsYAML reads what other programs are given.
func TestPolicyIsYAML(t *testing.T) {
	for _, name := range []string{"free", "key", "vsock", "stack", "read-only", "key-kill"} {
		var d v1alpha1.Dump
		_, text, _ := plugin(pods(), "dump", name, "-o", "json")
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		for _, native := range []bool{false, true} {
			var out strings.Builder
			if err := printer.Policy(&d, native, &out); err != nil {
				t.Fatal(err)
			}
			var policy map[string]any
			if err := yaml.UnmarshalStrict([]byte(out.String()), &policy); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			prefix := d.Source.ABIs[0] + " "
			if native {
				prefix = ""
			}
			if policy[prefix+"read"] != "ALLOW" || len(policy) < 300 {
				t.Errorf("%s: read gets %v", name, policy[prefix+"read"])
			}
			if conditional, ok := policy[prefix+"socket"].([]any); (name == "vsock" || name == "stack") != ok || ok && len(conditional) != 2 {
				t.Errorf("%s: socket gets %v", name, policy[prefix+"socket"])
			}
		}
	}
}
