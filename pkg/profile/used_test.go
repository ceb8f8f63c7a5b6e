package profile

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestExtended extends profiles and loads what comes of it: what they name stays,
// and nothing but the names is added.
func TestExtended(t *testing.T) {
	names := []string{"read", "bpf", "socket", "getpid", "read", "openat", "clone3", "socketcall"}
	for _, test := range []struct {
		name, base string
		kept       []string
		allowed    []string // of read, bpf, socket, getpid, write, openat and clone3
	}{
		{"bare", `{"defaultAction": "SCMP_ACT_ERRNO"}`, nil, []string{"read", "bpf", "socket", "getpid", "openat", "clone3"}},
		{"blocks", `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["bpf"], "action": "SCMP_ACT_KILL_PROCESS"},
			{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
			{"names": ["write", "read"], "action": "SCMP_ACT_ALLOW"}]}`, []string{"bpf", "socket", "socketcall"}, []string{"read", "getpid", "write", "openat", "clone3"}},
		{"of Docker", `{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": [
			{"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_BPF"]}, "args": []},
			{"name": "socket", "action": "SCMP_ACT_ERRNO"}]}`, []string{"socket", "socketcall"}, []string{"read", "getpid", "openat", "clone3"}},
		{"names one of two that do the same", `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["open", "getppid"], "action": "SCMP_ACT_ERRNO"},
			{"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
			{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]}]}`,
			[]string{"clone3", "openat", "socket", "socketcall"}, []string{"read", "bpf", "getpid"}},
		{"says that one is not there", `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
			{"names": ["open"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
			{"names": ["clone", "socket", "bpf", "write"], "action": "SCMP_ACT_ALLOW"}]}`,
			nil, []string{"read", "bpf", "getpid", "write", "socket", "openat", "clone3"}},
		{"allows all", `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO"}]}`,
			[]string{"bpf"}, []string{"read", "socket", "getpid", "write", "openat", "clone3"}},
	} {
		p, err := Parse([]byte(test.base))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		extended, kept, err := p.Extended(Uses(names))
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
		for _, name := range []string{"read", "bpf", "socket", "getpid", "write", "openat", "clone3"} {
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
	if _, _, err := p.Extended(Uses(names)); err == nil {
		t.Error("a custom resource was extended")
	}
}

// randomUses are calls, some of them held to values.
func randomUses(r *rand.Rand) (uses []Use) {
	names := []string{"read", "socket", "clone", "clone3", "ioctl", "prctl", "getpid"}
	for _, i := range r.Perm(len(names))[:1+r.IntN(len(names))] {
		u := Use{Name: names[i]}
		switch r.IntN(4) {
		case 0:
			u.Arg = r.IntN(2)
			for range 1 + r.IntN(4) {
				u.Values = append(u.Values, []uint32{0, 1, 2, 40, 0x10000000, 0x80000000, 0xffffffff}[r.IntN(7)])
			}
		case 1:
			u.Without, u.Values = 0x7e020000, []uint32{0x10000011}
		case 2:
			if u.Name == "clone3" {
				u.Errno = 38
			}
		}
		uses = append(uses, u)
	}
	return uses
}

// has tells whether uses allow a call, by what they say.
func has(uses []Use, name string, args [6]uint64) bool {
	for _, u := range uses {
		if u.Name != name || u.Errno != 0 {
			continue
		}
		v := uint32(args[u.Arg])
		return u.Values == nil && u.Without == 0 || slices.Contains(u.Values, v) || u.Without != 0 && v&u.Without == 0
	}
	return false
}

// TestAllowing loads profiles of random uses, as runc and crun do, and makes random
// calls: those are allowed that are among the uses, whatever is in the upper half of an
// argument.
func TestAllowing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		uses := randomUses(r)
		text := Allowing(uses, []syscalls.ABI{syscalls.AMD64}).JSON()
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := p.Load(Target{Arch: "amd64", OCIRuntime: []OCIRuntime{Runc, Crun}[r.IntN(2)]})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if len(loaded.Dependent) > 0 {
			t.Errorf("the compiler decides about %+v\n%s", loaded.Dependent, text)
		}
		for range 200 {
			name := []string{"read", "socket", "clone", "clone3", "ioctl", "prctl", "getpid", "bpf"}[r.IntN(8)]
			nr, _ := syscalls.AMD64.Number(name)
			call := bpf.Data{Arch: syscalls.AMD64.AuditArch(), NR: nr}
			for i := range call.Args {
				call.Args[i] = uint64([]uint32{0, 1, 2, 40, 0x10000000, 0x10000011, 0x80000000, 0xffffffff}[r.IntN(8)])
				if r.IntN(3) == 0 {
					call.Args[i] |= uint64(r.Uint32()) << 32
				}
			}
			if got, want := loaded.Stack().Run(&call, syscalls.AMD64.ByteOrder()).Ret.Action() == bpf.Allow, has(uses, name, call.Args); got != want {
				t.Fatalf("%s(%#x) is allowed: %v, want %v\n%s", name, call.Args, got, want, text)
			}
		}
	}
}

// TestExtendedIsNeverLooser extends random profiles by random uses, and compares: with
// nothing that the base names is more allowed than with the base.
func TestExtendedIsNeverLooser(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	target := Target{Arch: "amd64", OCIRuntime: Crun}
	looser := 0
	for range 200 {
		named := make(map[string]bool)
		base := &LinuxSeccomp{DefaultAction: []string{"SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ALLOW"}[r.IntN(3)]}
		for _, name := range []string{"read", "socket", "clone", "clone3", "prctl"} {
			e := LinuxSyscall{Names: []string{name}, Action: []string{"SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ALLOW", "SCMP_ACT_TRAP"}[r.IntN(4)]}
			if r.IntN(2) == 0 {
				e.Args = []LinuxSeccompArg{{Index: 0, Op: "SCMP_CMP_EQ", Value: uint64(r.IntN(3))}}
			}
			if named[name] = r.IntN(3) > 0; named[name] {
				base.Syscalls = append(base.Syscalls, e)
			}
		}
		p, err := Parse(base.JSON())
		if err != nil {
			t.Fatal(err)
		}
		uses := randomUses(r)
		extended, _, err := p.Extended(uses)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(extended)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		var of [2]*policy.Policy
		for i, p := range []*Profile{p, q} {
			loaded, err := p.Load(target)
			if err != nil {
				t.Fatal(err)
			}
			if of[i], err = policy.Of(loaded.Stack(), syscalls.AMD64.ByteOrder()); err != nil {
				t.Fatal(err)
			}
		}
		c, err := policy.Compare(of[0], of[1], policy.Options{ABIs: []syscalls.ABI{syscalls.AMD64}})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range c.Differences {
			if d.Direction == policy.DirectionLooser {
				looser++
			}
			if named[d.Name()] || d.Name() == "" || d.Direction != policy.DirectionLooser && !slices.ContainsFunc(uses, func(u Use) bool { return u.Name == d.Name() && u.Errno != 0 }) {
				t.Fatalf("%s differs: %v, now %v\n%s\n%s", d.Name(), d.A, d.B, base.JSON(), text)
			}
		}
	}
	if looser < 100 {
		t.Errorf("only %d calls were added", looser)
	}
}
