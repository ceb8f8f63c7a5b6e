package plugin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// refusedCluster are pods whose calls were refused.
func refusedCluster() *fakeCluster {
	const began = 1795521392601432352
	denial := func(seq int, stack bpf.Stack, nr uint32, how wire.How, ret int64, args ...uint64) report.Denial {
		d := report.Denial{Filters: stack, Denial: wire.Denial{
			Seq: seq, TimeNS: began + int64(seq)*int64(time.Millisecond), PID: 4711, TID: 4711, NSPID: 1, NSTID: 1, Process: "app", Comm: "app",
			ABI: "amd64", NR: nr, IP: 0x7f0012345678, How: how, Return: ret, Stack: seq,
		}}
		copy(d.Args[:], args)
		if stack == nil {
			d.Stack = wire.NoStack
		}
		return d
	}
	worker := denial(2, bpf.Stack{vsock}, 41, wire.HowReturned, -97, 40, 1)
	worker.TID, worker.NSTID, worker.Comm, worker.Held = 4712, 2, "wor\x1b[31mker", 11
	runtime := denial(16, bpf.Stack{denyFor(428, eperm)}, 428, wire.HowReturned, -1)
	runtime.Runtime, runtime.Process, runtime.Comm = true, "runc:[2:INIT]", "runc:[2:INIT]"
	x32 := denial(14, bpf.Stack{denyFor(0x40000027, eperm)}, 0x40000027, wire.HowReturned, -1)
	x32.ABI = "x32"
	logs := denyFor(64, bpf.Log.With(0))
	notifies := denyFor(62, bpf.UserNotif.With(0))
	many := []report.Denial{
		denial(1, bpf.Stack{vsock}, 41, wire.HowReturned, -97, 40, 1),
		worker,
		denial(3, bpf.Stack{readOnly}, 165, wire.HowSignal, 165),
		denial(4, bpf.Stack{denyFor(99, bpf.KillThread.With(0))}, 99, wire.HowEnded, 0),
		denial(5, bpf.Stack{denyFor(98, bpf.Trap.With(7))}, 98, wire.HowSignal, 98),
		denial(6, bpf.Stack{logs}, 64, wire.HowBegan, 0, 1, 2, 3),
		denial(7, bpf.Stack{notifies}, 62, wire.HowReturned, 4711, 1, 2),
		denial(8, bpf.Stack{notifies}, 62, wire.HowBegan, 0, 1, 2),
		denial(9, bpf.Stack{denyFor(63, bpf.Trace.With(3))}, 63, wire.HowReturned, -38),
		denial(10, bpf.Stack{vsock, denyFor(addKey, eperm)}, addKey, wire.HowReturned, -1),
		denial(11, nil, 61, wire.HowReturned, -13),
		denial(12, bpf.Stack{vsock}, 60, wire.HowReturned, -1), // the filters allow it
		denial(13, bpf.Stack{vsock}, 41, wire.HowReturned, -1, 40),
		x32,
		denial(15, bpf.Stack{denyFor(5000, eperm)}, 5000, wire.HowReturned, -1),
		runtime,
	}
	watched := func(d wire.Denied) *wire.Denied {
		d.Target, d.BeganNS, d.EndedNS = "x", began, began+int64(time.Minute)
		return &d
	}
	refused := &wire.Problem{Code: wire.CodeUnsupported, Op: "look for refused calls", Detail: "load the program: the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)"}
	return &fakeCluster{pods: map[string][]fakePod{
		"many": {{name: "many", subject: wire.ModeFilter, stack: bpf.Stack{vsock}, denials: many, denied: watched(wire.Denied{
			Unclear: 1, LostCalls: 2, LostStacks: 3, LostRuns: 4,
			Held: []wire.Held{
				{ABI: "amd64", NR: 99, How: wire.HowEnded, Count: 100}, // all of which are alike
				{ABI: "amd64", NR: noNumber, How: wire.HowReturned, Result: -1, Count: 5},
			},
		})}},
		"few":        {{name: "few", subject: wire.ModeFilter, stack: bpf.Stack{vsock}, denials: many[:1], denied: watched(wire.Denied{})}},
		"logged":     {{name: "logged", subject: wire.ModeFilter, stack: bpf.Stack{logs}, denials: []report.Denial{denial(1, bpf.Stack{logs}, 64, wire.HowBegan, 0)}, denied: watched(wire.Denied{})}},
		"none":       {{name: "none", subject: wire.ModeFilter, stack: bpf.Stack{vsock}, denied: watched(wire.Denied{})}},
		"unsure":     {{name: "unsure", subject: wire.ModeFilter, stack: bpf.Stack{vsock}, denials: many[11:12], denied: watched(wire.Denied{LostCalls: 1})}},
		"free":       {{name: "free", denied: watched(wire.Denied{})}},
		"old":        {{name: "old", problems: []wire.Problem{*refused}}},
		"deploy/web": {{name: "some", subject: wire.ModeFilter, stack: bpf.Stack{vsock}, denials: many[:1], denied: watched(wire.Denied{})}, {name: "old", problems: []wire.Problem{*refused}}},
	}}
}

func TestDenials(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
	}{
		{"denials many", 1},
		{"denials many -o wide", 1},
		{"denials many -o name", 1},
		{"denials many --follow", 1},
		{"denials many --follow -o wide", 1},
		{"denials few", 1},
		{"denials few -o json", 1},
		{"denials few --follow -o json", 1},
		{"denials few --follow -o yaml", 1},
		{"denials logged", 0},
		{"denials none", 0},
		{"denials unsure", 2},
		{"denials none --follow", 0},
		{"denials free", 0},
		{"denials old", 2},
		{"denials deploy/web", 2},
		{"denials", 2},
		{"denials few --duration 0s", 2},
		{"denials few --duration 25h", 2},
		{"denials few --keep-probe", 2},
	} {
		code, out, errOut := plugin(refusedCluster(), strings.Fields(test.args)...)
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d: %s", test.args, code, test.code, errOut)
		}
		if strings.Contains(out+errOut, "\x1b") {
			t.Errorf("%s: it writes what the container has in its names", test.args)
		}
		name := strings.NewReplacer(" ", "_", "/", "-").Replace(test.args)
		golden(t, name+".txt", out+errOut)
	}
}

// TestRemedy has the rule that is told allow the call, in a profile that refuses
// everything else, and not the same call with other arguments that were looked at.
func TestRemedy(t *testing.T) {
	// socket(AF_VSOCK, …) fails, and all that is not named.
	strict := bpf.Filter{
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: 41, Jf: 2},
		{Op: bpf.LdAbsW, K: 16},
		{Op: bpf.JeqK, K: 2, Jt: 1},
		{Op: bpf.RetK, K: uint32(eperm)},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
	}
	c := refusedCluster()
	few := c.pods["few"][0]
	few.denials = []report.Denial{few.denials[0], few.denials[0]}
	for i := range few.denials {
		few.denials[i].Filters, few.denials[i].Return = bpf.Stack{strict}, -1
	}
	few.denials[1].Args[0] = 38 // refused by the same instruction, and another rule would allow it
	c.pods["few"] = []fakePod{few}
	_, out, errOut := plugin(c, "denials", "few", "-o", "json")
	var list v1alpha1.DenialList
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Items) != 2 || list.Items[0].Remedy == nil {
		t.Fatalf("%v: %s%s", err, out, errOut)
	}
	rule := list.Items[0].Remedy.Rule
	for args, allowed := range map[[3]uint64]bool{{40, 1}: true, {40, 9, 9}: true, {7<<32 | 40, 1}: true, {39, 1}: false, {38, 1}: false} {
		p, err := profile.Parse([]byte(`{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [` + rule + `]}`))
		if err != nil {
			t.Fatalf("%v: %s", err, rule)
		}
		loaded, err := p.Load(profile.Target{Arch: "amd64", Runtime: profile.Containerd, OCIRuntime: profile.Crun})
		if err != nil {
			t.Fatal(err)
		}
		call := bpf.Data{NR: 41, Arch: 0xc000003e}
		copy(call.Args[:], args[:])
		if got := loaded.Stack().Run(&call, syscalls.AMD64.ByteOrder()).Ret.Action() == bpf.Allow; got != allowed {
			t.Errorf("socket%v under %s: allowed %v, want %v", args, rule, got, allowed)
		}
	}
}
