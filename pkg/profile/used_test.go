package profile

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestExtended extends profiles and loads what comes of it: what they name stays,
// and nothing but the names is added.
func TestExtended(t *testing.T) {
	names := []string{"read", "bpf", "socket", "getpid", "read"}
	for _, test := range []struct {
		name, base string
		kept       []string
		allowed    []string // of read, bpf, socket, getpid and write
	}{
		{"bare", `{"defaultAction": "SCMP_ACT_ERRNO"}`, nil, []string{"read", "bpf", "socket", "getpid"}},
		{"blocks", `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["bpf"], "action": "SCMP_ACT_KILL_PROCESS"},
			{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
			{"names": ["write", "read"], "action": "SCMP_ACT_ALLOW"}]}`, []string{"bpf", "socket"}, []string{"read", "getpid", "write"}},
		{"of Docker", `{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": [
			{"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}, "args": []},
			{"name": "socket", "action": "SCMP_ACT_ERRNO"}]}`, []string{"socket"}, []string{"read", "getpid"}},
		{"allows all", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO"}]}`,
			[]string{"bpf"}, []string{"read", "socket", "getpid", "write"}},
	} {
		p, err := Parse([]byte(test.base))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		extended, kept, err := p.Extended(names)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if !slices.Equal(kept, test.kept) {
			t.Errorf("%s: kept %q, want %q", test.name, kept, test.kept)
		}
		text, err := json.Marshal(extended)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", test.name, err, text)
		}
		if again.Format() != p.Format() {
			t.Errorf("%s: it is %v now", test.name, again.Format())
		}
		target := Target{Arch: "amd64"}
		if p.Format() == Docker {
			target.Runtime = DockerEngine
		}
		loaded, err := again.Load(target)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		for _, name := range []string{"read", "bpf", "socket", "getpid", "write"} {
			nr, _ := syscalls.AMD64.Number(name)
			call := bpf.Data{Arch: syscalls.AMD64.AuditArch(), NR: nr, Args: [6]uint64{2}}
			got := loaded.Stack().Run(&call, syscalls.AMD64.ByteOrder()).Ret.Action() == bpf.Allow
			if want := slices.Contains(test.allowed, name); got != want {
				t.Errorf("%s: %s is allowed: %v, want %v", test.name, name, got, want)
			}
		}
	}
	p, err := Parse([]byte("kind: SeccompProfile\napiVersion: security-profiles-operator.x-k8s.io/v1beta1\nspec:\n  defaultAction: SCMP_ACT_ERRNO\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Extended(names); err == nil {
		t.Error("a custom resource was extended")
	}
}
