//go:build linux

package profile

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

var update = flag.Bool("update", false, "write the golden files of testdata/warnings anew, to be reviewed by hand")

// TestWarnings compares with golden files.
func TestWarnings(t *testing.T) {
	data, err := os.ReadFile("testdata/warnings/mistakes.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []Target{
		{Runtime: Containerd}, {Runtime: DockerEngine}, {Runtime: CRIO},
	} {
		target.Arch = "amd64"
		t.Run(target.Runtime.String(), func(t *testing.T) {
			l, err := p.Load(target)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, w := range l.Warnings {
				fmt.Fprintf(&got, "%s: %s\n", w.Code, w)
			}
			file := filepath.Join("testdata", "warnings", target.Runtime.String()+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("warnings (-%s +got):\n%s", file, diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		is         error
		want       string
	}{
		{"empty", "", ErrNotProfile, "want a JSON object"},
		{"no JSON", `{"defaultAction": "SCMP_ACT_ALLOW",}`, ErrNotProfile, "line 1 column 36: not JSON"},
		{"cut off", "{\n\"defaultAction\": \"SCMP_", ErrNotProfile, "not JSON: unexpected end"},
		{"two values", "{}\n{}", ErrNotProfile, "line 2 column 1: not JSON"},
		{"array", "[]", ErrNotProfile, "want a JSON object"},
		{"other JSON", `{"hello": 1}`, ErrNotProfile, "neither defaultAction nor syscalls"},
		{"other kind", "kind: Pod\napiVersion: v1\n", ErrNotProfile, `kind "Pod"`},
		{"YAML", "defaultAction: SCMP_ACT_ALLOW\n", ErrNotProfile, "only a SeccompProfile"},
		{"action", "{\"syscalls\": [\n {\"names\": [\"read\"],\n  \"action\": \"SCMP_ACT_FOO\"}]}", ErrNotProfile, "line 3 column 13: syscalls[0].action: unknown action \"SCMP_ACT_FOO\""},
		{"default", `{"defaultAction": "scmp_act_allow"}`, ErrNotProfile, "line 1 column 19: defaultAction: unknown action"},
		{"no action", `{"syscalls": [{"names": ["read"]}]}`, ErrNotProfile, "syscalls[0]: has no action"},
		{"arch", `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "x86"]}`, ErrNotProfile, "architectures[1]: unknown architecture \"x86\""},
		{"sub-arch", `{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_VAX"]}]}`, ErrNotProfile, "archMap[0].subArchitectures[0]"},
		{"operator", `{"syscalls": [{"action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "=="}]}]}`, ErrNotProfile, "syscalls[0].args[0].op: unknown operator"},
		{"index", `{"syscalls": [{"action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "op": "SCMP_CMP_EQ"}]}]}`, ErrNotProfile, "syscalls[0].args[0].index: argument index is 6"},
		{"negative index", `{"syscalls": [{"action": "SCMP_ACT_ALLOW", "args": [{"index": -1, "op": "SCMP_CMP_EQ"}]}]}`, ErrNotProfile, "argument index is -1"},
		{"syscalls", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}`, ErrNotProfile, "syscalls: want a list"},
		{"deep", strings.Repeat(`{"a":`, 70) + "0" + strings.Repeat("}", 70), ErrNotProfile, "more than 64 levels"},
		{"large", strings.Repeat(" ", MaxSize+1), ErrTooLarge, "bytes, more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			var e *Error
			if !errors.As(err, &e) || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %q, want one line about %q", err, c.want)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct {
		name, text string
		target     Target
		is         error
		want       string
	}{
		{"no machine", `{"defaultAction": "SCMP_ACT_ALLOW"}`, Target{}, nil, `no architecture is called ""`},
		{"no default", `{"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`, Target{Arch: "amd64"}, ErrRefused, "no action"},
		{"type", "{\"defaultAction\": \"SCMP_ACT_ALLOW\",\n \"syscalls\": [{\"names\": \"read\", \"action\": \"SCMP_ACT_ALLOW\"}]}", Target{Arch: "amd64"}, ErrRefused, "line 2 column"},
		{"errno", `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}`, Target{Arch: "amd64"}, ErrRefused, "errno is 4096"},
		{"errno for crun", `{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}`, Target{Arch: "amd64", OCIRuntime: Crun}, ErrRefused, "crun does not take an errno"},
		{"notify", `{"defaultAction": "SCMP_ACT_NOTIFY"}`, Target{Arch: "amd64"}, ErrRefused, "SCMP_ACT_NOTIFY as default"},
		{"notify write", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]}`, Target{Arch: "amd64"}, ErrRefused, "syscalls[0].names[0]: runc does not take"},
		{"flag", `{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["FAST"]}`, Target{Arch: "amd64"}, ErrRefused, "unknown flag"},
		{"native", `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_NATIVE"]}`, Target{Arch: "amd64"}, ErrRefused, "SCMP_ARCH_NATIVE"},
		{"byte order", `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_S390X"]}`, Target{Arch: "amd64"}, ErrRefused, "byte order"},
		{"both", `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}`, Target{Arch: "amd64", Runtime: DockerEngine}, ErrRefused, "both architectures and archMap"},
		{"name and names", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_KILL"}]}`, Target{Arch: "amd64", Runtime: DockerEngine}, ErrRefused, "both name and names"},
		{"no kernel", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "4.8"}}]}`, Target{Arch: "amd64", Runtime: DockerEngine}, ErrRefused, "kernel's version"},
		{"minKernel", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "4.8.1"}}]}`, Target{Arch: "amd64", Runtime: DockerEngine}, ErrRefused, `minKernel "4.8.1"`},
		{"errno name", `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "EFOO"}`, Target{Arch: "amd64", Runtime: CRIO}, ErrRefused, `unknown errno "EFOO"`},
		{"contradiction", `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]},
			{"names": ["ioctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]}]}`, Target{Arch: "amd64"}, ErrRefused, "line 3 column 15: syscalls[1].names[0]: the rule for ioctl contradicts one of syscalls[0]"},
		{"base", "apiVersion: security-profiles-operator.x-k8s.io/v1beta1\nkind: SeccompProfile\nspec: {defaultAction: SCMP_ACT_ERRNO, baseProfileName: runc-v1.2}\n", Target{Arch: "amd64"}, ErrBase, `extends "runc-v1.2"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Load(c.target)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %q, want one line about %q", err, c.want)
			}
		})
	}
}

func TestFormats(t *testing.T) {
	const list = `"syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"`
	for _, c := range []struct {
		text string
		want Format
	}{
		{`{"defaultAction": "SCMP_ACT_ALLOW"}`, OCI},
		{`{` + list + `}]}`, OCI},
		{`{` + list + `, "includes": {}}]}`, Docker},
		{`{"archMap": [], ` + list + `}]}`, Docker},
		{`{"archMap": [], ` + list + `, "errno": "EPERM"}]}`, ContainersCommon},
		{`{"defaultErrno": "EPERM"}`, ContainersCommon},
		{`{"ociVersion": "1.0.2", "linux": {"seccomp": {` + list + `}]}}}`, OCIConfig},
		{`{"apiVersion": "security-profiles-operator.x-k8s.io/v1beta1", "kind": "SeccompProfile", "spec": {"defaultAction": "SCMP_ACT_LOG"}}`, CustomResource},
	} {
		p, err := Parse([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if p.Format() != c.want {
			t.Errorf("%s is taken for %s, want %s", c.text, p.Format(), c.want)
		}
	}
}

// TestUnconfined: what runtimes take for no profile.
func TestUnconfined(t *testing.T) {
	for _, c := range []struct {
		text   string
		target Target
		want   bool
	}{
		{`{"ociVersion": "1.0.2", "linux": {}}`, Target{}, true},
		{`{"ociVersion": "1.0.2", "linux": {"seccomp": null}}`, Target{}, true},
		{`{"syscalls": []}`, Target{}, true},
		{`{"syscalls": []}`, Target{Runtime: DockerEngine, OCIRuntime: Crun}, true},
		{`{"defaultAction": "SCMP_ACT_ALLOW"}`, Target{}, false},
	} {
		p, err := Parse([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		c.target.Arch = "amd64"
		l, err := p.Load(c.target)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if l.Unconfined != c.want || (len(l.Stack()) == 0) != c.want {
			t.Errorf("%s: unconfined is %t, want %t", c.text, l.Unconfined, c.want)
		}
	}
}

// TestResource: the operator's errnos are strings.
func TestResource(t *testing.T) {
	p, err := Parse([]byte(`
apiVersion: security-profiles-operator.x-k8s.io/v1beta1
kind: SeccompProfile
metadata: {name: web}
spec:
  defaultAction: SCMP_ACT_ERRNO
  architectures: [SCMP_ARCH_AARCH64]
  syscalls:
  - {action: SCMP_ACT_ALLOW, names: [read, write]}
  - {action: SCMP_ACT_ERRNO, names: [ptrace], errnoRet: "38"}
`))
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Load(Target{Arch: "arm64", OCIRuntime: Crun})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"read": "ALLOW", "ptrace": "ERRNO(ENOSYS)", "mount": "ERRNO(EPERM)"} {
		nr, _ := syscalls.ARM64.Number(name)
		d := bpf.Data{NR: nr, Arch: syscalls.ARM64.AuditArch()}
		if got := l.Filter.Run(&d, syscalls.ARM64.ByteOrder()).Ret.Format(syscalls.ARM64); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestMachines writes filters for every machine, big-endian ones too, of a profile
// whose conditions need both halves of an argument.
func TestMachines(t *testing.T) {
	p, err := Parse([]byte(`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW",
		"args": [{"index": 1, "value": 4294967298, "op": "SCMP_CMP_GT"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range []string{"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x"} {
		l, err := p.Load(Target{Arch: arch})
		if err != nil {
			t.Errorf("%s: %v", arch, err)
			continue
		}
		abi := syscalls.OfMachine(arch)[0]
		nr, _ := abi.Number("ioctl")
		for arg, want := range map[uint64]bool{4294967298: false, 4294967299: true, 1 << 40: words(abi) == 2, 2: false, 3: words(abi) == 1} {
			d := bpf.Data{NR: nr, Arch: abi.AuditArch(), Args: [6]uint64{1: arg}}
			if got := l.Filter.Run(&d, abi.ByteOrder()).Ret == bpf.Allow.With(0); got != want {
				t.Errorf("%s: ioctl(1, %#x) is allowed: %t, want %t", arch, arg, got, want)
			}
		}
		d := bpf.Data{NR: nr, Arch: 0xdeadbeef}
		if got := l.Filter.Run(&d, abi.ByteOrder()).Ret; got != bpf.KillThread.With(0) {
			t.Errorf("%s: another architecture gets %s", arch, got)
		}
	}
}

// TestTooLong: a filter that would not fit is refused, not cut off.
func TestTooLong(t *testing.T) {
	var args []LinuxSeccompArg
	for i := range 6 {
		args = append(args, LinuxSeccompArg{Index: uint(i), Value: 1, Op: "SCMP_CMP_EQ"})
	}
	l := &LinuxSeccomp{DefaultAction: "SCMP_ACT_ERRNO"}
	for _, c := range syscalls.AMD64.Table() {
		l.Syscalls = append(l.Syscalls, LinuxSyscall{Names: []string{c.Name}, Action: "SCMP_ACT_ALLOW", Args: args})
	}
	p, err := Parse(l.JSON())
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Load(Target{Arch: "amd64"})
	if !errors.Is(err, bpf.ErrTooLong) {
		t.Errorf("error is %v, want one about the length", err)
	}
}

func TestParseKernel(t *testing.T) {
	for release, want := range map[string]string{"6.18.44": "6.18", "3.12-1-amd64": "3.12", "5.15": "5.15"} {
		if k, err := ParseKernel(release); err != nil || k.String() != want {
			t.Errorf("ParseKernel(%q) = %v, %v; want %v", release, k, err, want)
		}
	}
	for _, release := range []string{"", "6", "six.1", "6."} {
		if k, err := ParseKernel(release); err == nil {
			t.Errorf("ParseKernel(%q) = %v, want an error", release, k)
		}
	}
}
