package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// recorded are pods whose calls were recorded.
func recorded() *fakeCluster {
	const began = 1795521392601432352
	call := func(abi string, nr uint32, n uint64) wire.Calls { return wire.Calls{ABI: abi, NR: nr, Count: n} }
	all := &wire.Recorded{
		BeganNS: began, EndedNS: began + int64(time.Minute),
		Calls: []wire.Calls{
			call("amd64", 0, 120), call("amd64", 41, 9), call("amd64", 16, 20), call("amd64", 1023, 1), call("amd64", noNumber, 5), call("386", 20, 2),
			{ABI: "amd64", NR: 59, Runtime: true, Count: 1},
		},
		Values: []wire.Value{
			{Calls: call("amd64", 41, 6), Value: 2}, {Calls: call("amd64", 41, 3), Value: 1},
			{Calls: call("amd64", 16, 20), Arg: 1, Value: 0x5401},
			{Calls: wire.Calls{ABI: "amd64", NR: 56, Runtime: true, Count: 1}, Value: 17},
		},
		Refused: []wire.Refused{
			{Calls: call("amd64", 272, 4), Return: -1}, {Calls: call("amd64", 41, 2), Return: -97},
			{Calls: call("amd64", 165, 1), Return: 165}, {Calls: call("amd64", 139, 1)},
		},
		Unclear: 1, LostCalls: 2, LostValues: 3, LostRefusals: 4, LostOrigins: 5, LostRuns: 6,
	}
	few := &wire.Recorded{BeganNS: began, EndedNS: began + int64(time.Second), Calls: []wire.Calls{call("amd64", 1, 1)}}
	none := &wire.Recorded{BeganNS: began, EndedNS: began + int64(time.Second)}
	refused := &wire.Problem{Code: wire.CodeUnsupported, Op: "record calls", Detail: "load the program: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)"}
	return &fakeCluster{pods: map[string][]fakePod{
		"all":        {{name: "all", subject: wire.ModeFilter, stack: bpf.Stack{vsock}, recorded: all}},
		"few":        {{name: "few", recorded: few}},
		"none":       {{name: "none", recorded: none}},
		"old":        {{name: "old", problems: []wire.Problem{*refused}}},
		"deploy/web": {{name: "few", recorded: few}, {name: "old", problems: []wire.Problem{*refused}}, {name: "none", recorded: none}},
	}}
}

func TestRecord(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base.json")
	if err := os.WriteFile(base, []byte(`{"defaultAction": "SCMP_ACT_ERRNO", "comment": "kept", "syscalls": [
		{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO"},
		{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
	}{
		{"record all", 0},
		{"record all -o wide --duration 1m", 0},
		{"record all -o json", 0},
		{"record all -o name", 0},
		{"record all -o profile", 0},
		{"record all -o profile --start=false", 0},
		{"record all -o seccompprofile --start=false", 0},
		{"record all -o profile --start=false --base BASE", 0},
		{"record all -o profile --arguments", 0},
		{"record all -o profile --start=false --arguments --base BASE", 0},
		{"record few", 0},
		{"record none", 0},
		{"record none -o profile", 2},
		{"record old", 2},
		{"record deploy/web", 2},
		{"record", 2},
		{"record few --duration 0s", 2},
		{"record few --duration 25h", 2},
		{"record few --keep-probe", 2},
		{"record few --base BASE", 2},
		{"record few --base testdata/none.json -o profile", 2},
		{"record few --base record_test.go -o profile", 2},
		{"record few -o seccompprofile --start=false --base BASE", 2},
	} {
		code, out, errOut := plugin(recorded(), strings.Fields(strings.ReplaceAll(test.args, "BASE", base))...)
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d: %s", test.args, code, test.code, errOut)
		}
		name := strings.NewReplacer(" ", "_", "/", "-").Replace(test.args)
		golden(t, name+".txt", strings.ReplaceAll(out+errOut, base, "BASE"))
	}
}

// TestRecordNodeProblem has what a node says of no container in particular be told.
func TestRecordNodeProblem(t *testing.T) {
	c := recorded()
	c.problems = []wire.Problem{{Code: wire.CodeTooManyTargets, Op: "record calls", Detail: "3 more containers came\x1b[31m than there is room for"}}
	code, out, errOut := plugin(c, "record", "few")
	if want := `warning: node `; code != 0 || !strings.Contains(errOut, want) || !strings.Contains(errOut, `3 more containers came\x1b[31m than`) || !strings.Contains(out, "write") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
}

// TestRecordedProfileLoads has what is written be what was recorded.
func TestRecordedProfileLoads(t *testing.T) {
	_, out, _ := plugin(recorded(), "record", "all", "-o", "profile", "--start=false")
	p, err := profile.Parse([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := p.Load(profile.Target{Arch: "amd64", Runtime: profile.Containerd, OCIRuntime: profile.Crun})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		abi     syscalls.ABI
		name    string
		allowed bool
	}{
		{syscalls.AMD64, "read", true}, {syscalls.AMD64, "socket", true}, {syscalls.AMD64, "ioctl", true}, {syscalls.I386, "getpid", true},
		{syscalls.AMD64, "getpid", true}, // OCI has one list for all ABIs
		{syscalls.AMD64, "write", false}, {syscalls.AMD64, "execve", false}, {syscalls.AMD64, "setns", false}, {syscalls.X32, "read", false},
	} {
		nr, _ := test.abi.Number(test.name)
		got := loaded.Stack().Run(&bpf.Data{Arch: test.abi.AuditArch(), NR: nr}, test.abi.ByteOrder()).Ret.Action() == bpf.Allow
		if got != test.allowed {
			t.Errorf("%v %s: allowed %v, want %v", test.abi, test.name, got, test.allowed)
		}
	}
}
