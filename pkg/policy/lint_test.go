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
		{"socketcall, for one call", allowlist(rule{archI386, i386("socketcall"), []test{{0, all64, 1}}, allow}),
			[]string{"multiplexer amd64 socket", "multiplexer 386 socket"}, []string{"multiplexer amd64 bind", "multiplexer 386 bind"}},
		{"socketcall, for others", allowlist(rule{archI386, i386("socketcall"), []test{{0, all64, 1}}, eperm}, rule{archI386, i386("socketcall"), nil, allow}),
			[]string{"multiplexer amd64 bind"}, []string{"multiplexer amd64 socket"}},
		{"another ABI, in part", bpf.Stack{compile([]rule{deny(41, test{0, all64, 38}), deny(41, test{0, all64, 40}),
			{archI386, i386("socket"), []test{{0, all64, 38}}, eperm}}, []uint32{archAMD64, archI386}, allow)},
			[]string{"other-abi amd64 socket"}, nil},
		{"another ABI, the same", bpf.Stack{compile([]rule{deny(41, test{0, all64, 38}), deny(41|1<<30, test{0, all64, 38}),
			{archI386, i386("socket"), []test{{0, 1<<32 - 1, 38}}, eperm}}, []uint32{archAMD64, archI386}, allow)},
			nil, []string{"other-abi amd64 socket"}},
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

// TestLintOn has what depends on the kernel.
func TestLintOn(t *testing.T) {
	number := func(name string) uint32 {
		nr, ok := syscalls.AMD64.Number(name)
		if !ok {
			t.Fatal(name)
		}
		return nr
	}
	// From open on, nothing but mseal is told apart from numbers without a call.
	f := func(other uint32) bpf.Stack {
		return bpf.Stack{tree([]uint32{0, 1, 2, number("mseal"), number("mseal") + 1}, []uint32{allow, eperm, other, allow ^ other ^ eperm, other})}
	}
	// It tells nothing apart that is newer than seccomp.
	old := mustOf(t, bpf.Stack{tree([]uint32{0, 1, 2}, []uint32{allow, kill, eperm})})
	denied, open := mustOf(t, f(eperm)), mustOf(t, f(allow))
	for _, c := range []struct {
		kernel syscalls.Release
		p      *Policy
		check  Check
		call   string
		want   string // Detail; "" for none
	}{
		{syscalls.Release{}, denied, Exempt, "uretprobe", "denied by filters, but Linux from 6.14 on does not ask them"},
		{syscalls.Release{Major: 6, Minor: 14}, denied, Exempt, "uretprobe", "denied by filters, but this kernel, Linux 6.14, does not ask them"},
		{syscalls.Release{Major: 6, Minor: 12}, denied, Exempt, "uretprobe", "denied by filters, but this kernel, Linux 6.12, may have the change of 6.14 not to ask them"},
		{syscalls.Release{Major: 6, Minor: 10}, denied, Exempt, "uretprobe", ""}, // has no such call
		{syscalls.Release{Major: 6, Minor: 18}, denied, Exempt, "uprobe", "denied by filters, but this kernel, Linux 6.18, does not ask them"},
		{syscalls.Release{Major: 6, Minor: 17}, denied, Exempt, "uprobe", ""},
		{syscalls.Release{Major: 6, Minor: 18}, open, Exempt, "uprobe", ""},
		{syscalls.Release{Major: 6, Minor: 17}, denied, Newer, "",
			"calls that come after mseal of Linux 6.10, the last that filters tell apart, get ERRNO(EPERM): on this kernel, Linux 6.17, setxattrat, getxattrat, listxattrat, removexattrat, open_tree_attr, file_getattr, file_setattr"},
		{syscalls.Release{Major: 6, Minor: 15}, denied, Newer, "",
			"calls that come after mseal of Linux 6.10, the last that filters tell apart, get ERRNO(EPERM): on this kernel, Linux 6.15, setxattrat, getxattrat, listxattrat, removexattrat, open_tree_attr"},
		{syscalls.Release{Major: 6, Minor: 10}, denied, Newer, "", ""},
		{syscalls.Release{Major: 6, Minor: 10}, denied, OpenEnd, "", ""},
		{syscalls.Release{}, denied, Newer, "",
			"calls that come after mseal of Linux 6.10, the last that filters tell apart, get ERRNO(EPERM): setxattrat, getxattrat, listxattrat, removexattrat, open_tree_attr, file_getattr and 3 more"},
		{syscalls.Release{Major: 6, Minor: 15}, open, OpenEnd, "",
			"calls that come after mseal of Linux 6.10, the last that filters tell apart, are executed: on this kernel, Linux 6.15, setxattrat, getxattrat, listxattrat, removexattrat, open_tree_attr"},
		{syscalls.Release{Major: 6, Minor: 10}, open, OpenEnd, "",
			"calls that come after mseal of Linux 6.10, the last that filters tell apart, are executed"},
		{syscalls.Release{Major: 6, Minor: 10}, open, Newer, "", ""},
		{syscalls.Release{Major: 6, Minor: 18}, old, Newer, "", ""},
	} {
		findings, err := c.p.LintOn([]syscalls.ABI{syscalls.AMD64}, c.kernel)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range findings {
			if f.Check == c.check && f.Call == c.call {
				got = f.Detail
			}
		}
		if got != c.want {
			t.Errorf("%s %s on %v: %q, want %q", c.check, c.call, c.kernel, got, c.want)
		}
	}
}

// TestLintPartly has the condition under which a call is a door, held against the
// rules.
func TestLintPartly(t *testing.T) {
	i386, _ := syscalls.I386.Number("socket")
	rules := []rule{deny(41, test{0, all64, 38}), deny(41, test{0, all64, 40}), deny(41|1<<30, test{0, all64, 38}),
		{archI386, i386, []test{{0, all64, 38}}, eperm}}
	findings, err := mustOf(t, bpf.Stack{compile(rules, []uint32{archAMD64, archI386}, allow)}).Lint(syscalls.OfMachine("amd64"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings {
		if f.Check == OtherABI {
			got = append(got, f.Call+" "+f.Detail)
		}
	}
	// 41 of x32 is the same call, and is only restricted to 38 there.
	want := []string{
		"socket restricted, but such calls of ABI x32 are executed when family == AF_VSOCK",
		"socket restricted, but such calls of ABI 386 are executed when family == AF_VSOCK",
	}
	if !slices.Equal(got, want) {
		t.Errorf("findings are %q, want %q", got, want)
	}
}
