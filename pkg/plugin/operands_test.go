package plugin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
)

const profileText = `{
  "defaultAction": "SCMP_ACT_ALLOW",
  "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_X86"],
  "syscalls": [
    {"names": ["add_key", "add_kye"], "action": "SCMP_ACT_ERRNO"},
    {"names": ["clone"], "action": "SCMP_ACT_ERRNO",
     "args": [{"index": 0, "value": 268435456, "valueTwo": 268435456, "op": "SCMP_CMP_MASKED_EQ"}]},
    {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]},
    {"names": ["socket"], "action": "SCMP_ACT_KILL", "args": [{"index": 1, "value": 3, "op": "SCMP_CMP_EQ"}]}
  ]
}
`

// files writes the files that the tests name into a directory and changes to it.
func files(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range map[string][]byte{
		"p.json":  []byte(profileText),
		"key.bpf": denyFor(addKey, eperm).Encode(binary.LittleEndian),
		"two.bpf": denyFor(addKey, bpf.Errno.With(2)).Encode(binary.LittleEndian),
		"cut.bpf": denyFor(addKey, eperm).Encode(binary.LittleEndian)[:13],
		"arm.bpf": readOnly.Encode(binary.LittleEndian),
		"no.json": []byte(strings.Replace(profileText, "SCMP_ACT_KILL", "SCMP_ACT_NO", 1)),
	} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, dump, _ := plugin(pods(), "dump", "key", "-o", "json")
	if err := os.WriteFile("key.json", []byte(dump), 0o644); err != nil {
		t.Fatal(err)
	}
}

// offline runs a command line where there is no cluster.
func offline(stdin string, args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	c := newCommon(genericiooptions.IOStreams{In: strings.NewReader(stdin), Out: &out, ErrOut: &errOut})
	c.connect = func(*probeFlags) (Resolver, Prober, error) { return nil, nil, errors.New("there is no cluster") }
	code = run(c, append([]string{"/opt/bin/kubectl-seccomp"}, args...))
	return code, out.String(), errOut.String()
}

// TestOffline has what needs no cluster.
func TestOffline(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
	}{
		{"dump Unconfined --arch amd64", 0},
		{"dump ./p.json --arch amd64", 0},
		{"dump ./p.json --arch amd64 --runtime cri-o --oci-runtime crun", 0},
		{"dump ./key.bpf --arch amd64", 0},
		{"dump ./key.json", 0},
		{"dump bpf:key.bpf,two.bpf --arch amd64 -o asm", 0},
		{"diff ./key.bpf ./key.json", 0},
		{"diff Unconfined profile:p.json --arch amd64", 1},
		{"diff bpf:key.bpf,two.bpf bpf:two.bpf,key.bpf --arch amd64", 1},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Setenv("COLUMNS", "")
			files(t)
			code, stdout, stderr := offline("", strings.Fields(test.args)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, stderr)
			}
			name := "offline_" + strings.NewReplacer(" ", "_", "/", "", ":", "-", "--", "", ",", "-").Replace(test.args) + ".txt"
			t.Chdir(filepath.Dir(testdata))
			golden(t, name, fmt.Sprintf("$ kubectl seccomp %s\n%s%s", test.args, stdout, prefix("stderr: ", stderr)))
		})
	}
}

// TestBesidePod has files take a container's architecture.
func TestBesidePod(t *testing.T) {
	files(t)
	for args, want := range map[string]int{
		"diff key ./key.bpf":              0,
		"diff ./key.json key":             0,
		"diff ./key.bpf free":             1,
		"diff arm Unconfined":             1,
		"diff arm ./arm.bpf":              0,
		"diff arm bpf:arm.bpf":            0,
		"diff free Unconfined":            0,
		"diff key profile:./p.json":       1,
		"diff profile:./p.json arm":       1,
		"diff arm ./key.json":             1, // the dump is of amd64
		"diff ./arm.bpf arm --arch=amd64": 1, // by name, they differ
	} {
		code, stdout, stderr := plugin(pods(), strings.Fields(args)...)
		if code != want {
			t.Errorf("%s: exit code %d, want %d\n%s%s", args, code, want, stdout, stderr)
		}
	}
}

// TestForgottenSlash has a file named like a pod.
func TestForgottenSlash(t *testing.T) {
	files(t)
	code, _, stderr := plugin(pods(), "dump", "p.json")
	if code != 2 || !strings.HasSuffix(stderr, "; for the file of that name write ./p.json\n") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestStdin(t *testing.T) {
	files(t)
	raw := string(denyFor(addKey, eperm).Encode(binary.LittleEndian))
	for args, want := range map[string]int{
		"diff - ./key.json":              0,
		"diff ./key.json bpf:-":          0,
		"diff Unconfined - --arch amd64": 1,
		"diff - -":                       2,
		"diff - profile:-":               2,
		"dump bpf:-,-":                   2,
	} {
		code, stdout, stderr := offline(raw, strings.Fields(args)...)
		if code != want || want == 2 && (stdout != "" || !strings.Contains(stderr, "standard input is named twice")) {
			t.Errorf("%s: exit code %d, want %d: %s", args, code, want, stderr)
		}
	}
}

// TestOfflineErrors has one line about what is wrong and where, and nothing else.
func TestOfflineErrors(t *testing.T) {
	files(t)
	for args, want := range map[string]string{
		"dump ./cut.bpf":                    "./cut.bpf: decode filter of 13 bytes: length is not a multiple of 8 bytes",
		"dump ./none":                       "open ./none: no such file or directory",
		"dump profile:":                     "a file's name is missing",
		"dump profile:key.bpf":              "key.bpf: seccomp profile: ",
		"dump ./no.json":                    "./no.json: seccomp profile: line 9 column 37: syscalls[3].action: ",
		"dump ./p.json --arch=z80":          `--arch "z80": there is no such architecture`,
		"dump ./p.json --runtime=rkt":       `--runtime "rkt": want containerd, docker or cri-o`,
		"dump ./p.json --oci-runtime=youki": `--oci-runtime "youki": want runc or crun`,
		"diff ./p.json web":                 "there is no cluster",
	} {
		code, stdout, stderr := offline("", strings.Fields(args)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "error: ") {
			t.Errorf("%s: exit code %d, %q and %q, want %q", args, code, stdout, stderr, want)
		}
	}
}
