package source

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

var (
	deny = bpf.Filter{
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: 248, Jf: 1}, // add_key of amd64
		{Op: bpf.RetK, K: uint32(bpf.Errno.With(1))},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
	}
	allow = bpf.Filter{{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))}}
)

const (
	ociProfile = `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
 "syscalls": [{"names": ["add_key"], "action": "SCMP_ACT_ERRNO"}]}`
	dockerProfile = `{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}],
 "syscalls": [{"names": ["add_key"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]}`
	resource = `apiVersion: security-profiles-operator.x-k8s.io/v1beta1
kind: SeccompProfile
metadata: {name: p}
spec:
  defaultAction: SCMP_ACT_ALLOW
  architectures: [SCMP_ARCH_X86_64]
  syscalls: [{names: [add_key], action: SCMP_ACT_ERRNO}]
`
)

// amd64 is a machine on which files are interpreted.
func amd64(capabilities ...string) profile.Target {
	return profile.Target{Arch: "amd64", Capabilities: capabilities}
}

// write makes a file with a content and returns its path.
func write(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, operand, stdin string, m profile.Target) ([]*Source, error) {
	t.Helper()
	r, ok, err := Parse(operand)
	if err != nil {
		return nil, err
	}
	if !ok {
		t.Fatalf("%q is no operand without a cluster", operand)
	}
	c, err := r.Open(strings.NewReader(stdin))
	if err != nil {
		return nil, err
	}
	return c.On(m)
}

// savedDump is a dump of a source, as -o json prints it.
func savedDump(t testing.TB, s *Source) []byte {
	t.Helper()
	text, err := json.MarshalIndent(&s.Dump, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Ref{
		"./a":         {kind: byContent, files: []string{"./a"}},
		"../a:b":      {kind: byContent, files: []string{"../a:b"}},
		"/a,b":        {kind: byContent, files: []string{"/a,b"}},
		"-":           {kind: byContent, files: []string{"-"}},
		"profile:a:b": {kind: asProfile, files: []string{"a:b"}},
		"profile:-":   {kind: asProfile, files: []string{"-"}},
		"bpf:a":       {kind: asFilters, files: []string{"a"}},
		"bpf:a,-,c":   {kind: asFilters, files: []string{"a", "-", "c"}},
		"Unconfined":  {kind: asNone},
	} {
		want.Text = text
		got, ok, err := Parse(text)
		if err != nil || !ok || got.kind != want.kind || !slices.Equal(got.files, want.files) || got.Stdin() != slices.Contains(want.files, "-") {
			t.Errorf("Parse(%q) = %+v, %v, %v", text, got, ok, err)
		}
	}
	for _, text := range []string{"web", "deploy/web", "web:profile", "a/deploy/web:c", "unconfined", "profile", "bpf", "bpf/x:y"} {
		if r, ok, err := Parse(text); ok || err != nil {
			t.Errorf("Parse(%q) = %+v, %v: want a container", text, r, err)
		}
	}
	for _, text := range []string{"profile:", "bpf:", "bpf:a,,b", "bpf:-,-"} {
		if _, ok, err := Parse(text); !ok || err == nil {
			t.Errorf("Parse(%q): no error", text)
		}
	}
	if _, _, err := Parse("bpf:-,-"); !errors.Is(err, ErrStdin) {
		t.Errorf("standard input twice: %v", err)
	}
}

// TestByContent has the same policy in each format, recognised by what is in it.
func TestByContent(t *testing.T) {
	raw := deny.Encode(binary.LittleEndian)
	sources, err := open(t, "bpf:-", string(raw), amd64())
	if err != nil {
		t.Fatal(err)
	}
	dump := savedDump(t, sources[0])
	dumpYAML, err := yaml.JSONToYAML(dump)
	if err != nil {
		t.Fatal(err)
	}
	list := `{"apiVersion": "seccomp.kubectl.dev/v1alpha1", "kind": "DumpList", "items": [` + string(dump) + "]}"
	addKey := bpf.Data{NR: 248, Arch: syscalls.AMD64.AuditArch()}
	for format, content := range map[string][]byte{
		"raw filters": raw, "OCI seccomp profile": []byte(ociProfile), "Docker seccomp profile": []byte(dockerProfile), "SeccompProfile": []byte(resource),
		// What was saved of a file stays what it was.
		"raw filters ": dump, "raw filters  ": dumpYAML, "raw filters   ": []byte(list),
		"raw filters    ": append([]byte("\n\t "), dump...),
	} {
		for _, operand := range []string{"-", write(t, content)} {
			sources, err := open(t, operand, string(content), amd64())
			if err != nil || len(sources) != 1 {
				t.Errorf("%s: %v", format, err)
				continue
			}
			s := sources[0]
			if got := s.Stacks[0].Run(&addKey, s.Order()).Ret; got != bpf.Errno.With(1) {
				t.Errorf("%s: add_key gets %v", format, got)
			}
			if s.Dump.Source.Format != strings.TrimSpace(format) || s.Name() != operand {
				t.Errorf("%s: taken for %q of %q", format, s.Dump.Source.Format, s.Name())
			}
		}
	}
}

// TestStack has the oldest filter first: of two that deny, the newest one's errno
// stands.
func TestStack(t *testing.T) {
	newer := slices.Clone(deny)
	newer[2].K = uint32(bpf.Errno.With(2))
	sources, err := open(t, "bpf:"+write(t, deny.Encode(binary.LittleEndian))+",-", string(newer.Encode(binary.LittleEndian)), amd64())
	if err != nil {
		t.Fatal(err)
	}
	s := sources[0]
	run := s.Stacks[0].Run(&bpf.Data{NR: 248, Arch: syscalls.AMD64.AuditArch()}, s.Order())
	if run.Ret != bpf.Errno.With(2) || run.Filter != 1 {
		t.Errorf("got %+v, want the errno of the newer filter", run)
	}
}

// TestCapabilities has a profile that asks for a capability loaded for containers
// with and without it.
func TestCapabilities(t *testing.T) {
	for _, test := range []struct {
		m    profile.Target
		want bpf.Return
	}{
		{profile.Target{Arch: "amd64", Runtime: profile.DockerEngine}, bpf.Errno.With(1)},
		{profile.Target{Arch: "amd64", Runtime: profile.DockerEngine, Capabilities: []string{"SYS_ADMIN"}}, bpf.Allow.With(0)},
	} {
		sources, err := open(t, "-", dockerProfile, test.m)
		if err != nil {
			t.Fatal(err)
		}
		got := sources[0].Stacks[0].Run(&bpf.Data{NR: 248, Arch: syscalls.AMD64.AuditArch()}, binary.LittleEndian).Ret
		if got != test.want {
			t.Errorf("with capabilities %v: %v, want %v", test.m.Capabilities, got, test.want)
		}
	}
}

func TestByteOrder(t *testing.T) {
	big := string(deny.Encode(binary.BigEndian))
	if sources, err := open(t, "bpf:-", big, profile.Target{Arch: "s390x"}); err != nil || len(sources[0].Stacks[0]) != 1 {
		t.Errorf("filter of s390x: %v", err)
	}
	if _, err := open(t, "bpf:-", big, amd64()); err == nil || !strings.Contains(err.Error(), "--arch") {
		t.Errorf("filter of s390x on amd64: %v", err)
	}
}

func TestUnconfined(t *testing.T) {
	sources, err := open(t, "Unconfined", "", amd64())
	if err != nil || len(sources) != 1 || len(sources[0].Stacks[0]) != 0 || sources[0].Dump.States[0].Mode != "disabled" {
		t.Errorf("%+v, %v", sources, err)
	}
}

// TestWarnings has what is silently ignored, and what the compiler decides, said.
func TestWarnings(t *testing.T) {
	text := `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": [
 {"names": ["add_kye"], "action": "SCMP_ACT_ERRNO"},
 {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_GE"}]},
 {"names": ["socket"], "action": "SCMP_ACT_KILL", "args": [{"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]}`
	sources, err := open(t, "profile:-", text, amd64())
	if err != nil {
		t.Fatal(err)
	}
	all := errors.Join(sources[0].Warnings...).Error()
	for _, want := range []string{`add_kye`, `line 2 column`, `only a live filter tells what happens to amd64:socket`} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning with %q in:\n%s", want, all)
		}
	}
	if d := sources[0].Dump.Dependent; len(d) == 0 || d[0].Syscall != "socket" {
		t.Errorf("dependent: %+v", d)
	}
}

// TestEscape has a saved dump that was tampered with to write to the terminal.
func TestEscape(t *testing.T) {
	sources, err := open(t, "Unconfined", "", amd64())
	if err != nil {
		t.Fatal(err)
	}
	d := sources[0].Dump
	d.Source.Pod, d.Source.Container, d.Source.Kernel = "x\x1b[2J", "c", "6\r"
	text, err := json.Marshal(&d)
	if err != nil {
		t.Fatal(err)
	}
	sources, err = open(t, "-", string(text), amd64())
	if err != nil {
		t.Fatal(err)
	}
	if got := sources[0].Dump.Source; got.Pod != `x\x1b[2J` || got.Kernel != `6\r` {
		t.Errorf("not escaped: %+q", []string{got.Pod, got.Kernel})
	}
}

func TestErrors(t *testing.T) {
	raw := deny.Encode(binary.LittleEndian)
	sources, err := open(t, "bpf:-", string(raw), amd64())
	if err != nil {
		t.Fatal(err)
	}
	dump := string(savedDump(t, sources[0]))
	replace := func(old, new string) string {
		if !strings.Contains(dump, old) {
			t.Fatalf("no %q in %s", old, dump)
		}
		return strings.Replace(dump, old, new, 1)
	}
	invalid := slices.Clone(deny)
	invalid[1].Jf = 200
	for _, test := range []struct{ operand, stdin, want string }{
		{"./no/such", "", `open ./no/such: no such file`},
		{"/", "", `read /: is a directory`},
		{"-", "", `read standard input: it is empty`},
		{"-", string(raw[:13]), `standard input: decode filter of 13 bytes: length is not a multiple of 8 bytes`},
		{"bpf:-", string(raw[:13]), `standard input: decode filter of 13 bytes`},
		{"bpf:-", strings.Repeat(string(raw), 2000), `standard input: .* is larger|decode filter`},
		{"-", strings.Repeat(string(raw), 2000), `standard input: decode filter of 8000 instructions: program has more than 4096`},
		{"-", string(invalid.Encode(binary.LittleEndian)), `standard input: check filter: instruction 1: jump leaves the program`},
		{"bpf:-", ociProfile, `decode filter|not one that seccomp accepts`},
		{"-", "hello", `standard input: .*not a seccomp profile`},
		{"-", "[1]", `not a seccomp profile`},
		{"-", `{"defaultAction": "SCMP_ACT_ALLOW"`, `standard input: seccomp profile: line 1 column`},
		{"profile:-", dump, `not a seccomp profile but kind "Dump"`},
		{"-", `{"kind": "Pod", "apiVersion": "v1"}`, `not a seccomp profile but kind "Pod"`},
		{"-", strings.Replace(ociProfile, "SCMP_ACT_ERRNO", "SCMP_ACT_NO", 1), `line 2 column \d+: syscalls\[0\].action: .*SCMP_ACT_NO`},
		{"-", strings.Replace(ociProfile, "SCMP_ARCH_X86_64", "SCMP_ARCH_Z80", 1), `line 1 column \d+: architectures\[0\]: .*SCMP_ARCH_Z80`},
		{"-", strings.Replace(ociProfile, `"SCMP_ACT_ERRNO"`, `"SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]`, 1), `syscalls\[0\].args\[0\].index: .*6`},
		{"-", strings.Replace(ociProfile, `"SCMP_ACT_ERRNO"`, `"SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_IS"}]`, 1), `syscalls\[0\].args\[0\].op: .*SCMP_CMP_IS`},
		{"-", replace("v1alpha1", "v1"), `apiVersion "seccomp.kubectl.dev/v1": unknown API version: this build reads seccomp.kubectl.dev/v1alpha1`},
		{"-", replace(`"kind": "Dump"`, `"kind": "Diff"`), `a saved "Diff" holds no filters`},
		{"-", `{"apiVersion": "seccomp.kubectl.dev/v1alpha1", "kind": "DumpList", "items": []}`, `items: the list holds no dump`},
		{"-", `{"apiVersion": "seccomp.kubectl.dev/v1alpha1", "kind": "DumpList", "items": [{}]}`, `items\[0\].source.arch ""`},
		{"-", dump[:len(dump)/2], `standard input: .*line \d+`},
		{"-", replace(`"processes": 0`, `"processes": "none"`), `line \d+: processes: want int, not string`},
		{"-", replace(`"arch": "amd64"`, `"arch": "z80"`), `source.arch "z80"`},
		{"-", replace(`"arch": "amd64"`, `"arch": "s390x"`), `source.abis: .* is no ABI of s390x`},
		{"-", replace(`"386"`, `"387"`), `source.abis: .*387`},
		{"-", replace(`"filterCount": 1`, `"filterCount": 2`), `states\[0\]: it has 1 filters, and not the 2`},
		{"-", replace(`"mode": "filter"`, `"mode": "filters"`), `states\[0\].mode "filters": want one of disabled, strict, filter`},
		{"-", replace(`"mode": "filter"`, `"mode": "disabled"`), `states\[0\].mode "disabled"`},
		{"-", replace(sources[0].Dump.States[0].Filters[0], "00"), `states\[0\].filters\[0\]: there is no filter "00"`},
		{"-", replace(`"program": "I`, `"program": "J`), `filters\[0\].program: `},
	} {
		sources, err := open(t, test.operand, test.stdin, amd64())
		if err == nil {
			t.Errorf("%s of %.60q: no error, but %+v", test.operand, test.stdin, sources[0].Dump)
			continue
		}
		if !regexp.MustCompile(test.want).MatchString(err.Error()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s of %.60q: %q, want %q", test.operand, test.stdin, err, test.want)
		}
	}
	if _, err := open(t, "Unconfined", "", profile.Target{Arch: "z80"}); err == nil || !strings.Contains(err.Error(), `--arch "z80"`) {
		t.Errorf("no such architecture: %v", err)
	}
}

// TestTooLarge has a file that does not end.
func TestTooLarge(t *testing.T) {
	r, _, _ := Parse("profile:-")
	if _, err := r.Open(endless{}); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("endless profile: %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

// FuzzOpen has any bytes read as anything: there is an error, or there is a
// source whose filters the kernel would take and whose dump is a source again.
func FuzzOpen(f *testing.F) {
	raw := deny.Encode(binary.LittleEndian)
	f.Add(raw)
	f.Add(allow.Encode(binary.BigEndian))
	for _, text := range []string{ociProfile, dockerProfile, resource, "", "{", "a: [*b]", "\x00"} {
		f.Add([]byte(text))
	}
	sources, err := open(f, "bpf:-", string(raw), amd64())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(savedDump(f, sources[0]))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, operand := range []string{"-", "bpf:-", "profile:-"} {
			sources, err := open(t, operand, string(data), amd64())
			if err != nil {
				if strings.ContainsAny(err.Error(), "\n\r") {
					t.Errorf("error of several lines: %q", err)
				}
				continue
			}
			for _, s := range sources {
				if _, err := s.Policy(0); err != nil {
					t.Error(err)
				}
				again, err := open(t, "-", string(savedDump(t, s)), amd64())
				if err != nil {
					t.Fatalf("saved dump: %v", err)
				}
				if len(again) != 1 || len(again[0].Stacks[0]) != len(s.Stacks[0]) {
					t.Errorf("saved dump differs: %+v", again)
				}
			}
		}
	})
}
