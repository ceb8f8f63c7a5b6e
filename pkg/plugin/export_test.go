package plugin

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
)

// TestRaw has what -o raw writes be the filter, also when it is read again.
func TestRaw(t *testing.T) {
	key, sock := denyFor(addKey, eperm), vsock
	for args, want := range map[string]bpf.Filter{
		"dump key -o raw":              key,
		"dump key -o raw --filter 1":   key,
		"dump stack -o raw --filter 1": key,
		"dump stack -o raw --filter 2": sock,
	} {
		code, stdout, stderr := plugin(pods(), strings.Fields(args)...)
		if code != 0 || stdout != string(want.Encode(binary.LittleEndian)) {
			t.Errorf("%s: exit code %d, %d bytes: %s", args, code, len(stdout), stderr)
		}
		if code, _, stderr := offline(stdout, "diff", "-", "bpf:-", "--arch", "amd64"); code != 2 {
			t.Errorf("standard input twice: %d, %s", code, stderr)
		}
	}
}

// TestProfile has a policy that is written as a profile compared with where it is
// from.
func TestProfile(t *testing.T) {
	files(t)
	// Without the rule that leaves it to the compiler what it means.
	clear := strings.Replace(profileText, `"SCMP_ACT_KILL"`, `"SCMP_ACT_ERRNO"`, 1)
	if err := os.WriteFile("clear.json", []byte(clear), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := offline("", strings.Fields("dump ./clear.json --arch amd64 -o profile")...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if err := os.WriteFile("again.json", []byte(stdout), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := offline("", strings.Fields("diff ./clear.json ./again.json --arch amd64")...); code != 0 {
		t.Errorf("not the same: %s%s\n%s", stdout, stderr, stdout)
	}
	code, stdout, stderr = offline("", strings.Fields("dump ./p.json --arch amd64 -o profile")...)
	if code != 2 || stdout != "" || !strings.Contains(stderr, "error: ./p.json: write a policy as an OCI profile: socket of amd64: ") {
		t.Errorf("compiler's choice: exit code %d, %q, %q", code, stdout, stderr)
	}
	// No profile allows calls of other architectures.
	code, stdout, stderr = plugin(pods(), "dump", "key", "-o", "profile")
	if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "error: default/key:main: write a policy as an OCI profile: ") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestDOT(t *testing.T) {
	code, stdout, stderr := plugin(pods(), "dump", "stack", "-o", "dot")
	if code != 0 || !strings.HasPrefix(stdout, "digraph policy {\n") || !strings.HasSuffix(stdout, "}\n") ||
		!strings.Contains(stdout, `label="ERRNO(EAFNOSUPPORT)"`) || !strings.Contains(stdout, `label="args[0] low bit 3"`) {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

func TestExportErrors(t *testing.T) {
	for args, want := range map[string]string{
		"dump stack -o raw":             "it has 2: choose one with --filter, from 1, the oldest, to 2",
		"dump stack -o raw --filter 3":  "write filter 3 of default/stack:main: it has only 2",
		"dump stack -o raw --filter=-1": "--filter -1: filters are counted from 1",
		"dump stack --filter 1":         "--filter: it says which filter -o raw writes",
		"dump free -o raw":              "write a filter of default/free:main: it has none",
		"dump strict -o profile":        "in seccomp's strict mode, which has no filters",
		"dump deploy/web -o dot":        "this output is of one container, and there are 3: name one of them, such as default/pod/web-1:main",
	} {
		code, stdout, stderr := plugin(pods(), strings.Fields(args)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q and %q, want %q", args, code, stdout, stderr, want)
		}
	}
}
