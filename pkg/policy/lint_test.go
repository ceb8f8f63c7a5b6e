package policy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

func TestLint(t *testing.T) {
	i386 := func(name string) uint32 {
		nr, ok := syscalls.I386.Number(name)
		if !ok {
			t.Fatal(name)
		}
		return nr
	}
	x32 := func(name string) uint32 {
		nr, ok := syscalls.X32.Number(name)
		if !ok {
			t.Fatal(name)
		}
		return nr
	}
	allowlist := func(rules ...rule) bpf.Stack {
		return bpf.Stack{compile(rules, []uint32{archAMD64, archI386}, eperm)}
	}
	for _, c := range []struct {
		name     string
		s        bpf.Stack
		has, not []string // findings as "check abi call"
	}{
		{"nothing", nil, []string{"open-end amd64 ", "open-end 386 "}, []string{"arch-unchecked 386 ", "exempt amd64 uprobe"}},
		{"an int compared whole", amd64(deny(41, test{0, all64, 38})),
			[]string{"wide-argument amd64 socket", "other-abi amd64 socket", "multiplexer amd64 socket"}, []string{"exempt amd64 uprobe"}},
		{"its low word", amd64(deny(41, test{0, 1<<32 - 1, 38})), nil, []string{"wide-argument amd64 socket"}},
		{"allowed values of an int", allowlist(rule{archAMD64, 41, []test{{0, all64, 1}}, allow}),
			[]string{"exempt amd64 uprobe", "exempt amd64 uretprobe"},
			[]string{"wide-argument amd64 socket", "other-abi amd64 socket", "multiplexer amd64 socket", "open-end amd64 "}},
		{"socketcall", allowlist(rule{archI386, i386("socketcall"), nil, allow}),
			[]string{"multiplexer amd64 socket", "multiplexer 386 bind"}, []string{"multiplexer amd64 semop"}},
		{"x32", allowlist(rule{archAMD64, x32("open"), nil, allow}), []string{"other-abi amd64 open"}, []string{"other-abi amd64 close"}},
		{"clone3 beside a restricted clone", allowlist(rule{archAMD64, 56, []test{{0, 0x7e020000, 0}}, allow}, rule{archAMD64, 435, nil, allow}),
			[]string{"twin amd64 clone"}, []string{"twin amd64 clone3"}},
		{"a relative that does something else", amd64(deny(56, test{0, 1 << 28, 1 << 28}), rule{archAMD64, 435, nil, eperm}),
			[]string{"other-abi amd64 clone"}, []string{"twin amd64 clone", "twin amd64 clone3"}},
		{"architecture not looked at", bpf.Stack{tree([]uint32{0, 100}, []uint32{allow, eperm})}, []string{"arch-unchecked 386 "}, nil},
		{"actions that need somebody", amd64(rule{archAMD64, 2, nil, 0x7fc00000}, rule{archAMD64, 3, nil, 0x7ff00001}, rule{archAMD64, 4, nil, 0x50000}),
			[]string{"needs-supervisor amd64 open", "needs-tracer amd64 close", "fake-success amd64 stat"}, []string{"fake-success amd64 open"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustOf(t, c.s)
			findings, err := p.Lint(syscalls.OfMachine("amd64"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, fmt.Sprintf("%s %s %s", f.Check, f.ABI, f.Call))
				if f.Check != WideArgument {
					continue
				}
				x, y := c.s.Run(&f.Witness.CallA, le).Ret, c.s.Run(&f.Witness.CallB, le).Ret
				if AccessOf(x.Action()) >= AccessOf(y.Action()) {
					t.Errorf("%s: the calls of the witness get %v and %v", f.Detail, x, y)
				}
			}
			for _, w := range c.has {
				if !slices.Contains(got, w) {
					t.Errorf("findings lack %q: %q", w, got)
				}
			}
			for _, w := range c.not {
				if slices.Contains(got, w) {
					t.Errorf("findings have %q", w)
				}
			}
		})
	}
}
