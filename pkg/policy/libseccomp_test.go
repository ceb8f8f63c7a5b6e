//go:build linux && amd64

package policy

// These tests compile rules with libseccomp, whose header and library, and a C
// compiler, must be installed (Debian: libseccomp-dev, gcc).

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// libseccomp compiles rules as the C library does.
type libseccomp struct{ program string }

func newLibseccomp(t testing.TB) libseccomp {
	t.Helper()
	program, err := cprogram.Build(t.TempDir(), "testdata/compile.c", "-lseccomp")
	if err != nil {
		t.Fatal(err)
	}
	return libseccomp{program}
}

func (l libseccomp) compile(t testing.TB, rules string, otherwise uint32, optimize int, arches ...string) *Policy {
	t.Helper()
	return l.compileFor(t, le, rules, otherwise, optimize, arches...)
}

func (l libseccomp) compileFor(t testing.TB, order binary.ByteOrder, rules string, otherwise uint32, optimize int, arches ...string) *Policy {
	t.Helper()
	cmd := exec.Command(l.program, append([]string{strconv.Itoa(int(otherwise)), strconv.Itoa(optimize)}, arches...)...)
	cmd.Stdin = strings.NewReader(rules)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("libseccomp: %v: %s", err, stderr.Bytes())
	}
	f, err := bpf.Decode(raw, order)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Of(bpf.Stack{f}, order)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const (
	cmpEQ       = 4
	cmpMaskedEQ = 7
)

// line is r for testdata/compile.c.
func (r rule) line() string {
	s := fmt.Sprintf("%d %d", r.ret, r.nr)
	for _, t := range r.tests {
		if t.mask == all64 {
			s += fmt.Sprintf(" %d %d %d 0", t.arg, cmpEQ, t.value)
		} else {
			s += fmt.Sprintf(" %d %d %d %d", t.arg, cmpMaskedEQ, t.mask, t.value)
		}
	}
	return s + "\n"
}

func lines(rules []rule) string {
	var text strings.Builder
	for _, r := range rules {
		text.WriteString(r.line())
	}
	return text.String()
}

// libseccompRules are containerRules for amd64 in terms that are libseccomp's:
// it does not take a rule that does what is done otherwise.
func libseccompRules() []rule {
	var rules []rule
	for _, r := range containerRules() {
		if r.arch == archAMD64 && r.ret == allow {
			rules = append(rules, r)
		}
	}
	return append(rules,
		rule{archAMD64, 41, []test{{0, all64, 1}}, allow},
		rule{archAMD64, 41, []test{{0, all64, 16}, {2, all64, 0}}, allow})
}

// TestLibseccompAgrees takes the same rules through libseccomp's two layouts
// and through the tests' own compiler: three programs, one policy.
func TestLibseccompAgrees(t *testing.T) {
	l := newLibseccomp(t)
	rules := libseccompRules()
	chain := l.compile(t, lines(rules), eperm, 1)
	tree := l.compile(t, lines(rules), eperm, 2)
	if bytes.Equal(chain.stack[0].Encode(le), tree.stack[0].Encode(le)) {
		t.Error("libseccomp laid out chain and tree alike")
	}
	x, err := chain.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	if y, err := tree.Fingerprint(); err != nil || x != y {
		t.Errorf("chain is %s, tree %s, %v", x, y, err)
	}
	// libseccomp kills for other architectures and for x32, save -1.
	calls := newCalls(1, chain.stack)
	for range 50000 {
		d := calls.next()
		want := outcomeOf(rules, eperm, d)
		if d.Arch != archAMD64 || d.NR >= 1<<30 && d.NR != 1<<32-1 {
			want = 0
		}
		if got := chain.Outcome(d); got != outcome(uint64(want)) {
			t.Fatalf("%+v: policy says %v, rules say %v", *d, got, want)
		}
	}
}

// TestLibseccompRandomRules compares random rules of equality and masked
// equality, of one action, for which libseccomp is known to do what they say.
func TestLibseccompRandomRules(t *testing.T) {
	l := newLibseccomp(t)
	r := rand.New(rand.NewSource(1))
	for n := range 150 {
		var rules []rule
		for range 1 + r.Intn(8) {
			x := rule{arch: archAMD64, nr: uint32(r.Intn(3)), ret: allow}
			for _, arg := range r.Perm(6)[:r.Intn(3)] {
				mask := all64
				if r.Intn(2) == 0 {
					mask = uint64(r.Uint32())
				}
				x.tests = append(x.tests, test{arg, mask, uint64(r.Intn(4)) << (r.Intn(2) * 8) & mask})
			}
			rules = append(rules, x)
		}
		got := l.compile(t, lines(rules), eperm, 1+n%2)
		want := mustOf(t, bpf.Stack{compile(rules, []uint32{archAMD64}, eperm), x32Killed()})
		c, err := Compare(want, got, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Relation != Identical {
			t.Fatalf("rules\n%sare %v as libseccomp compiles them: %s", lines(rules), c.Relation, c.Differences[0].text())
		}
	}
}

// x32Killed is what libseccomp adds for amd64 alone.
func x32Killed() bpf.Filter {
	return bpf.Filter{
		stmt(bpf.LdAbsW, offArch), jump(bpf.JeqK, archAMD64, 0, 4),
		stmt(bpf.LdAbsW, offNR), jump(bpf.JgeK, 1<<30, 0, 1), jump(bpf.JeqK, 1<<32-1, 0, 1),
		stmt(bpf.RetK, allow), stmt(bpf.RetK, 0),
	}
}

// families are rules for socket(2) that allow the address families to a last
// one, but for AF_ALG and AF_VSOCK.
func families(last uint64) (rules []rule) {
	for i := range last + 1 {
		if i != 38 && i != 40 {
			rules = append(rules, rule{archAMD64, 41, []test{{0, all64, i}}, allow})
		}
	}
	return rules
}

// TestLibseccompOneFamilyMore is what a change of a runtime's profile looks
// like: one comparison more, in every ABI.
func TestLibseccompOneFamilyMore(t *testing.T) {
	l := newLibseccomp(t)
	arches := []string{"x32", "x86"}
	a := l.compile(t, lines(families(45)), eperm, 1, arches...)
	b := l.compile(t, lines(families(46)), eperm, 1, arches...)
	c, err := Compare(a, b, Options{ABIs: syscalls.OfMachine("amd64")})
	if err != nil {
		t.Fatal(err)
	}
	if c.Relation != Looser {
		t.Errorf("relation is %v, want Looser", c.Relation)
	}
	var got []string
	for _, d := range c.Differences {
		got = append(got, d.text())
	}
	want := []string{
		"amd64 socket: family == 0x2e: ERRNO(EPERM) to ALLOW, looser",
		"x32 socket: (u32)family == 0x2e: ERRNO(EPERM) to ALLOW, looser",
		"386 socket: family == 0x2e: ERRNO(EPERM) to ALLOW, looser",
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(got, "\n"), w) {
			t.Errorf("differences are\n%s\nwithout %s", strings.Join(got, "\n"), w)
		}
	}
	checkDifferences(t, a, b, c)
}

// TestLibseccompByName has libseccomp compile the same rules for other machines, a
// big-endian one among them, and compares them by name with those for this one: of
// what a call of a name gets, rules say it, and both filters.
func TestLibseccompByName(t *testing.T) {
	l := newLibseccomp(t)
	nr := func(name string) uint32 {
		n, _ := syscalls.AMD64.Number(name)
		return n
	}
	socket := families(45)
	openat := rule{archAMD64, nr("openat"), nil, allow}
	personality := rule{archAMD64, nr("personality"), []test{{0, all64, 8}}, allow}
	clone := func(arg int) rule { return rule{archAMD64, nr("clone"), []test{{arg, 0x7e020000, 0}}, allow} }
	for _, c := range []struct {
		abi   syscalls.ABI
		scmp  string
		flags int // which of clone's arguments they are
	}{
		{syscalls.ARM64, "aarch64", 0}, {syscalls.S390X, "s390x", 1}, {syscalls.PPC64LE, "ppc64le", 0},
		{syscalls.RISCV64, "riscv64", 0}, {syscalls.MIPS64LE, "mipsel64", 0}, {syscalls.ARM, "arm", 0},
	} {
		t.Run(c.scmp, func(t *testing.T) {
			order := c.abi.ByteOrder()
			machine := syscalls.OfMachine(c.abi.String())
			a := l.compile(t, lines(append(slices.Clone(socket), clone(0), openat, personality)), eperm, 1)
			b := l.compileFor(t, order, lines(append(slices.Clone(socket), clone(c.flags), openat, personality)), eperm, 2, "="+c.scmp)
			got, err := CompareByName(a, b, syscalls.OfMachine("amd64"), machine)
			if err != nil {
				t.Fatal(err)
			}
			if got.Relation != Identical || len(got.Differences) > 0 {
				t.Errorf("relation is %v, differences are %v", got.Relation, got.Differences)
			}
			for _, limit := range got.Limits {
				if !limit.Compared || limit.Name != "personality" && c.abi.Bits() == 64 {
					t.Errorf("limit: %s", limit.text())
				}
			}

			// One family more, clone's flags where they are not, no openat.
			b = l.compileFor(t, order, lines(append(families(46), clone(1-c.flags), personality)), eperm, 1, "="+c.scmp)
			if got, err = CompareByName(a, b, syscalls.OfMachine("amd64"), machine); err != nil {
				t.Fatal(err)
			}
			if got.Relation != Incomparable || len(got.Differences) != 4 {
				t.Errorf("relation is %v with %d differences, want Incomparable with 4", got.Relation, len(got.Differences))
			}
			checkNamedWitnesses(t, a, b, got)
			checkNamedCalls(t, a, b, got, c.abi)
		})
	}
}

// checkNamedCalls makes random calls by name on both machines, with their arguments
// where each has them: they get different outcomes exactly where a difference says
// so. The order of clone's arguments is taken from clone(2).
func checkNamedCalls(t *testing.T, a, b *Policy, c *ByName, y syscalls.ABI) {
	t.Helper()
	order := [6]int{0, 1, 2, 3, 4, 5} // of clone's
	switch y {
	case syscalls.S390X:
		order = [6]int{1, 0, 2, 3, 4, 5}
	case syscalls.ARM64, syscalls.ARM, syscalls.RISCV64, syscalls.PPC64LE, syscalls.MIPS64LE:
		order = [6]int{0, 1, 2, 4, 3, 5}
	}
	calls := newCalls(1, append(slices.Clone(a.stack), b.stack...))
	names := []string{"clone", "socket", "openat", "read", "personality", "close_range"}
	differ := 0
	for range 30000 {
		d := calls.next()
		name := names[calls.Intn(len(names))]
		d.Arch = archAMD64
		d.NR, _ = syscalls.AMD64.Number(name)
		if name == "personality" || y.Bits() == 32 {
			for i := range d.Args { // what both can pass
				d.Args[i] &= 1<<32 - 1
			}
		}
		e := *d
		e.Arch = y.AuditArch()
		e.NR, _ = y.Number(name)
		if name == "clone" {
			for i, j := range order {
				e.Args[j] = d.Args[i]
			}
		}
		p, q := a.stack.Run(d, a.order).Ret, b.stack.Run(&e, b.order).Ret
		if a.Outcome(d).Return != p || b.Outcome(&e).Return != q {
			t.Fatalf("%s: policies say %v and %v, filters %v and %v", name, a.Outcome(d), b.Outcome(&e), p, q)
		}
		var found *NamedDifference
		for i := range c.Differences {
			if x := &c.Differences[i]; x.Name() == name && x.Condition.Holds(d) {
				found = x
			}
		}
		if p != q {
			differ++
		}
		if (found != nil) != (p != q) || found != nil && (found.A.Return != p || found.B.Return != q) {
			t.Fatalf("%s, %+v: filters return %v and %v, the difference is %+v", name, *d, p, q, found)
		}
	}
	if differ < 100 {
		t.Errorf("only %d calls get different outcomes", differ)
	}
}
