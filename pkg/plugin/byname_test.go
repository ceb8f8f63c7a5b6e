package plugin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
)

// machines writes a dump of a profile for each of some architectures: a Docker
// profile, of which one rule is another on s390x, and as "careless" the same
// without that.
func machines(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	const profile = `{"defaultAction": "SCMP_ACT_ALLOW",
 "archMap": [
  {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
  {"architecture": "SCMP_ARCH_X86", "subArchitectures": []},
  {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
  {"architecture": "SCMP_ARCH_S390X", "subArchitectures": ["SCMP_ARCH_S390"]}],
 "syscalls": [
  {"names": ["add_key", "keyctl", "open"], "action": "SCMP_ACT_ERRNO"},
  {"names": ["openat"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 2, "value": 16384, "valueTwo": 16384, "op": "SCMP_CMP_MASKED_EQ"}], "includes": {"arches": ["arm64"]}},
  {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 268435456, "valueTwo": 268435456, "op": "SCMP_CMP_MASKED_EQ"}], "excludes": {"arches": ["s390x"]}},
  {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 268435456, "valueTwo": 268435456, "op": "SCMP_CMP_MASKED_EQ"}], "includes": {"arches": ["s390x"]}},
  {"names": ["mmap"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 2, "value": 4, "valueTwo": 4, "op": "SCMP_CMP_MASKED_EQ"}]}
 ]}`
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("p.json", profile)
	write("careless.json", strings.Replace(profile, `"index": 1`, `"index": 0`, 1))
	for _, arch := range []string{"amd64", "386", "arm64", "s390x"} {
		for file, to := range map[string]string{"p.json": arch + ".json", "careless.json": "careless-" + arch + ".json"} {
			code, dump, stderr := offline("", "dump", "profile:"+file, "--arch", arch, "--runtime", "docker", "-o", "json")
			if code != 0 {
				t.Fatal(stderr)
			}
			write(to, dump)
		}
	}
}

// TestByName has sources of different architectures.
func TestByName(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
	}{
		{"diff ./amd64.json ./arm64.json", 1},
		{"diff ./amd64.json ./arm64.json -o yaml --syscall openat", 1},
		{"diff ./arm64.json ./amd64.json --reduce --abi arm64", 1},
		{"diff ./amd64.json ./s390x.json", 1},
		{"diff ./s390x.json ./careless-s390x.json", 1},
		{"diff ./careless-amd64.json ./careless-s390x.json --syscall clone", 1},
		{"diff ./amd64.json ./386.json", 1},
		{"diff Unconfined ./arm64.json --arch amd64", 1},
		{"diff ./p.json ./s390x.json --runtime docker", 0}, // the file takes the dump's
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Setenv("COLUMNS", "")
			machines(t)
			code, stdout, stderr := offline("", strings.Fields(test.args)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, stderr)
			}
			name := "byname_" + strings.NewReplacer(" ", "_", "/", "", "--", "").Replace(test.args) + ".txt"
			t.Chdir(filepath.Dir(testdata))
			golden(t, name, fmt.Sprintf("$ kubectl seccomp %s\n%s%s", test.args, stdout, prefix("stderr: ", stderr)))
		})
	}
}

// TestByNamePods has containers of different nodes.
func TestByNamePods(t *testing.T) {
	t.Setenv("COLUMNS", "")
	code, stdout, stderr := plugin(pods(), "diff", "key", "arm")
	if code != 1 || strings.Contains(stderr, "error") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	golden(t, "byname_pods.txt", "$ kubectl seccomp diff key arm\n"+stdout+prefix("stderr: ", stderr))
}

// TestByNameWitnesses runs what -o json has as witnesses through the filters of the
// dumps that were compared.
func TestByNameWitnesses(t *testing.T) {
	machines(t)
	load := func(name string) *source.Source {
		ref, _, err := source.Parse("./" + name)
		if err != nil {
			t.Fatal(err)
		}
		content, err := ref.Open(nil)
		if err != nil {
			t.Fatal(err)
		}
		sources, err := content.On(source.DefaultMachine())
		if err != nil {
			t.Fatal(err)
		}
		return sources[0]
	}
	number := func(s string) uint64 {
		n, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	do := func(s *source.Source, arch, nr, ip string, args []string) string {
		d := bpf.Data{Arch: uint32(number(arch)), NR: uint32(number(nr)), IP: number(ip)}
		for i := range d.Args {
			d.Args[i] = number(args[i])
		}
		return s.Stacks[0].Run(&d, s.Order()).Ret.Action().String()
	}
	for _, pair := range [][2]string{{"amd64.json", "careless-s390x.json"}, {"arm64.json", "amd64.json"}, {"careless-s390x.json", "arm64.json"}} {
		code, stdout, stderr := offline("", "diff", "./"+pair[0], "./"+pair[1], "-o", "json")
		if code != 1 {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		var diff v1alpha1.Diff
		if err := json.Unmarshal([]byte(stdout), &diff); err != nil {
			t.Fatal(err)
		}
		a, b := load(pair[0]), load(pair[1])
		moved := 0
		for _, d := range diff.Differences {
			w := d.Witness
			if w == nil {
				t.Errorf("%s of %v has no witness", d.Syscall, pair)
				continue
			}
			argsB := w.Args
			if w.ArgsB != nil {
				argsB = w.ArgsB
				moved++
			}
			if x, y := do(a, w.Arch, w.NR, w.IP, w.Args), do(b, w.ArchB, w.NRB, w.IP, argsB); x != d.A.Action || y != d.B.Action {
				t.Errorf("%v: the witness %+v gets %s and %s", pair, w, x, y)
			}
		}
		if len(diff.Differences) == 0 || strings.Contains(pair[0]+pair[1], "careless") && moved == 0 {
			t.Errorf("%v: %d differences, %d with other arguments", pair, len(diff.Differences), moved)
		}
	}
}
