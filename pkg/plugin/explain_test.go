package plugin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// wide denies socket(AF_VSOCK, …) with zeros above the int only, and so to nobody
// who knows.
var wide = bpf.Filter{
	{Op: bpf.LdAbsW, K: 4},
	{Op: bpf.JeqK, K: syscalls.AMD64.AuditArch(), Jf: 7},
	{Op: bpf.LdAbsW, K: 0},
	{Op: bpf.JeqK, K: 41, Jf: 5},
	{Op: bpf.LdAbsW, K: 20}, // args[0] high
	{Op: bpf.JeqK, K: 0, Jf: 3},
	{Op: bpf.LdAbsW, K: 16},
	{Op: bpf.JeqK, K: 40, Jf: 1},
	{Op: bpf.RetK, K: uint32(bpf.Errno.With(97))},
	{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
}

// podsAndWide are the fixtures and a pod with that filter.
func podsAndWide() *fakeCluster {
	c := pods()
	c.pods["wide"] = []fakePod{{name: "wide", subject: wire.ModeFilter, stack: bpf.Stack{wide}}}
	return c
}

func TestExplainGolden(t *testing.T) {
	for _, args := range []string{
		"explain vsock socket AF_VSOCK",
		"explain vsock socket",
		"explain stack add_key",
		"explain stack socket family=AF_VSOCK type=SOCK_STREAM|SOCK_CLOEXEC",
		"explain stack read 3",
		"explain free clone flags=CLONE_NEWUSER",
		"explain vsock socketcall",
		"explain vsock 999",
		"explain vsock socket --abi x32",
		"explain vsock socket AF_VSOCK -o yaml",
		"explain wide socket AF_VSOCK",
		"explain wide socket AF_VSOCK --view kernel",
		"explain vsock socket --view kernel",
	} {
		t.Run(args, func(t *testing.T) {
			t.Setenv("COLUMNS", "")
			code, stdout, stderr := plugin(podsAndWide(), strings.Fields(args)...)
			if code != 0 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			name := strings.NewReplacer(" ", "_", "--", "", "|", "-", "=", "-").Replace(args) + ".txt"
			golden(t, name, fmt.Sprintf("$ kubectl seccomp %s\n%s%s", args, stdout, prefix("stderr: ", stderr)))
		})
	}
}

// TestExplainVerdict holds what is said about a call against a run of the filters
// that are its source.
func TestExplainVerdict(t *testing.T) {
	stack := bpf.Stack{denyFor(addKey, eperm), vsock}
	for _, test := range []struct {
		args string
		call bpf.Data
	}{
		{"socket 40", bpf.Data{NR: 41, Args: [6]uint64{40}}},
		{"socket 0x100000028", bpf.Data{NR: 41, Args: [6]uint64{0x100000028}}},
		{"socket arg0=40 protocol=-1", bpf.Data{NR: 41, Args: [6]uint64{40, 0, 0xffffffff}}},
		{"socket AF_UNIX SOCK_STREAM|SOCK_CLOEXEC", bpf.Data{NR: 41, Args: [6]uint64{1, 0x80001}}},
		{"add_key 1 2 3 4 5", bpf.Data{NR: 248, Args: [6]uint64{1, 2, 3, 4, 5}}},
		{"0xffffffff 1", bpf.Data{NR: 0xffffffff, Args: [6]uint64{1}}},
		{"clone flags=CLONE_NEWUSER|CLONE_NEWNS", bpf.Data{NR: 56, Args: [6]uint64{0x10020000}}},
	} {
		code, stdout, stderr := plugin(pods(), append(strings.Fields("explain stack "+test.args), "-o", "json")...)
		var e v1alpha1.Explanation
		if err := json.Unmarshal([]byte(stdout), &e); code != 0 || err != nil || e.Kind != "Explanation" {
			t.Errorf("%s: %d, %v, %s", test.args, code, err, stderr)
			continue
		}
		test.call.Arch = syscalls.AMD64.AuditArch()
		run := stack.Run(&test.call, syscalls.AMD64.ByteOrder())
		var args []string
		for _, a := range test.call.Args {
			args = append(args, fmt.Sprintf("%#x", a))
		}
		v := e.Verdict
		if v == nil || v.DecidedBy == nil {
			t.Errorf("%s: no verdict", test.args)
			continue
		}
		if fmt.Sprint(v.Args) != fmt.Sprint(args) || v.NR != fmt.Sprintf("%#x", test.call.NR) ||
			v.Action.Action != run.Ret.Action().String() || v.Action.Data != run.Ret.Data() ||
			v.DecidedBy.Filter != run.Filter || v.DecidedBy.PC != run.PC {
			t.Errorf("%s: %+v, want %v of %+v", test.args, v, args, run)
		}
		if line := v.DecidedBy.Listing[v.DecidedBy.PC-v.DecidedBy.First]; !strings.HasPrefix(strings.TrimSpace(line), fmt.Sprint(run.PC)+":") || !strings.Contains(line, "ret") {
			t.Errorf("%s: decided by %q", test.args, line)
		}
		holds := 0
		for _, d := range e.Decisions {
			if d.Holds {
				holds++
				if d.Action != v.Action {
					t.Errorf("%s: %+v holds and gives %+v", test.args, d, v.Action)
				}
			}
		}
		if holds != 1 {
			t.Errorf("%s: %d decisions hold", test.args, holds)
		}
	}
}

// TestExplainKernelView holds the kernel's view of a call against a run of the
// filter with the call that is said to show it: one that has the same int.
func TestExplainKernelView(t *testing.T) {
	for _, test := range []struct {
		args   string
		filter bpf.Filter
		want   bpf.Return
		itself bool // shown by the call itself
	}{
		{"wide socket 40", wide, bpf.Allow.With(0), false},
		{"wide socket 0x200000028", wide, bpf.Allow.With(0), true},
		{"wide socket 41", wide, bpf.Allow.With(0), true},
		{"vsock socket 40", vsock, bpf.Errno.With(97), true},
		{"vsock socket 41", vsock, bpf.Allow.With(0), true},
	} {
		code, stdout, stderr := plugin(podsAndWide(), append(strings.Fields("explain "+test.args), "--view=kernel", "-o", "json")...)
		var e v1alpha1.Explanation
		if err := json.Unmarshal([]byte(stdout), &e); code != 0 || err != nil || e.View != v1alpha1.ViewKernel || e.Verdict == nil {
			t.Errorf("%s: %d, %v, %s%s", test.args, code, err, stdout, stderr)
			continue
		}
		v := e.Verdict
		shown := v.Args
		if v.ReachedBy != nil {
			shown = v.ReachedBy.Args
		}
		call := bpf.Data{NR: 41, Arch: syscalls.AMD64.AuditArch()}
		var asked uint64
		if _, err := fmt.Sscan(v.Args[0]+" "+shown[0], &asked, &call.Args[0]); err != nil {
			t.Fatal(err)
		}
		run := (bpf.Stack{test.filter}).Run(&call, syscalls.AMD64.ByteOrder())
		if run.Ret != test.want || v.Action.Action != test.want.Action().String() || uint32(asked) != uint32(call.Args[0]) ||
			v.DecidedBy == nil || v.DecidedBy.PC != run.PC || (v.ReachedBy == nil) != test.itself {
			t.Errorf("%s: %+v, by %+v; the filter returns %v at %d for %#x", test.args, v, v.ReachedBy, run.Ret, run.PC, call.Args[0])
		}
		for _, d := range e.Decisions {
			if d.Holds && d.Action != v.Action {
				t.Errorf("%s: %+v holds and gives %+v", test.args, d, v.Action)
			}
		}
	}
}

func TestExplainErrors(t *testing.T) {
	files(t)
	for args, want := range map[string]string{
		"explain stack":                            "explain takes a source, a syscall and perhaps arguments",
		"explain stack sokcet":                     `syscall "sokcet": no ABI of [amd64 x32 386] has it`,
		"explain stack socket family=AF_VSOKC":     `argument "family=AF_VSOKC": "AF_VSOKC" is neither a number nor a known name such as AF_`,
		"explain stack socket domain=1":            `argument "domain=1": socket has no parameter of that name: want family, type, protocol, arg0 to arg5`,
		"explain stack socket 1 family=2":          `argument "family=2": this one is given twice`,
		"explain stack socket 1 2 3 4 5 6 7":       `argument "7": a call has at most 6`,
		"explain stack close x":                    `argument "x": "x" is no number`,
		"explain stack socket 1|":                  `argument "1|": `,
		"explain stack socket 0x10000000000000000": `is neither a number`,
		"explain stack socketcall --abi amd64":     `no ABI of [amd64] has it`,
		"explain stack socket --view sideways":     `--view "sideways": want written or kernel`,
		"explain stack socket --abi arm64":         `--abi arm64: default/pod/stack:main has only [amd64 x32 386]`,
		"explain stack socket --abi pdp11":         `--abi: `,
		"explain strict socket":                    `its main thread is in seccomp's strict mode`,
		"explain deploy/web socket":                `its pods do not have the same filters`,
		"explain ./cut.bpf socket":                 `length is not a multiple of 8 bytes`,
		"explain ./none socket":                    `no such file`,
	} {
		code, stdout, stderr := plugin(pods(), strings.Fields(args)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q and %q, want %q", args, code, stdout, stderr, want)
		}
	}
}
