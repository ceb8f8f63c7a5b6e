package policy

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A call by name is a rule for whatever ABI.
type named struct {
	name  string
	tests []test
	ret   uint32
}

// forABI compiles rules for the native ABI of a little-endian machine; all else is
// allowed.
func forABI(t testing.TB, abi syscalls.ABI, list ...named) *Policy {
	t.Helper()
	var rules []rule
	for _, n := range list {
		nr, ok := abi.Number(n.name)
		if !ok {
			t.Fatalf("%v has no %s", abi, n.name)
		}
		rules = append(rules, rule{abi.AuditArch(), nr, n.tests, n.ret})
	}
	return mustOf(t, bpf.Stack{compile(rules, []uint32{abi.AuditArch()}, allow)})
}

func (d NamedDifference) text() string {
	of := ""
	if d.OfB {
		of = "of B: "
	}
	return fmt.Sprintf("%s of %v, %d of %v: %s%s: %s to %s, %s", d.Name(), d.ABI, d.ScopeB.NR.First, d.ScopeB.ABI,
		of, d.Condition, d.A.Format(d.ABI), d.B.Format(d.ScopeB.ABI), d.Direction)
}

func (l Limit) text() string {
	return fmt.Sprintf("%s(%s): compared %v: %s", l.Name, l.Param, l.Compared, l.Reason)
}

func TestCompareByName(t *testing.T) {
	amd, arm64, ppc, mips, arm, i386 := syscalls.AMD64, syscalls.ARM64, syscalls.PPC64LE, syscalls.MIPS64LE, syscalls.ARM, syscalls.I386
	type side struct {
		abi  syscalls.ABI
		list []named
	}
	only := func(abi syscalls.ABI, list ...named) side { return side{abi, list} }
	const (
		oDirectAMD      = 0o40000 // O_DIRECTORY on arm64
		oCloexec        = 0o2000000
		enosysMIPS      = 0x50000 | 89
		errno35         = 0x50000 | 35 // EDEADLK, and EIDRM on MIPS
		cloneNewUser    = 0x10000000
		map32Bit        = 0x40
		personalityCall = "personality"
	)
	for _, c := range []struct {
		name   string
		a, b   side
		want   Relation
		list   []string
		limits []string
	}{
		{"another number", only(amd, named{"socket", nil, eperm}), only(arm64, named{"socket", nil, eperm}), Identical, nil, nil},
		{"tighter", only(amd), only(arm64, named{"socket", nil, eperm}), Tighter,
			[]string{"socket of amd64, 198 of arm64: always: ALLOW to ERRNO(EPERM), tighter"}, nil},
		{"looser under a condition", only(amd, named{"socket", nil, eperm}), only(arm64, named{"socket", []test{{0, all64, 38}}, eperm}), Looser,
			[]string{"socket of amd64, 198 of arm64: family != AF_ALG: ERRNO(EPERM) to ALLOW, looser"}, nil},
		{"what only one has", only(amd, named{"open", nil, eperm}), only(arm64), Identical, nil, nil},
		{"the order of clone's arguments",
			only(amd, named{"clone", []test{{0, cloneNewUser, cloneNewUser}, {4, all64, 0}}, eperm}),
			only(arm64, named{"clone", []test{{0, cloneNewUser, cloneNewUser}, {3, all64, 0}}, eperm}), Identical, nil, nil},
		{"the same positions for clone",
			only(amd, named{"clone", []test{{4, all64, 0}}, eperm}),
			only(arm64, named{"clone", []test{{4, all64, 0}}, eperm}), Incomparable, []string{
				"clone of amd64, 220 of arm64: child_tidptr == 0 && tls != 0: ALLOW to ERRNO(EPERM), tighter",
				"clone of amd64, 220 of arm64: child_tidptr != 0 && tls == 0: ERRNO(EPERM) to ALLOW, looser",
			}, nil},
		{"flags that are elsewhere",
			only(amd, named{"openat", []test{{2, oDirectAMD, oDirectAMD}}, eperm}),
			only(arm64, named{"openat", []test{{2, oDirectAMD, oDirectAMD}}, eperm}), Undecided, nil,
			[]string{"openat(flags): compared false: values of flags are not the same under both"}},
		{"flags that are elsewhere, of a call that takes those of another",
			only(amd, named{"fanotify_init", []test{{1, oDirectAMD, oDirectAMD}}, eperm}),
			only(arm64, named{"fanotify_init", []test{{1, oDirectAMD, oDirectAMD}}, eperm}), Undecided, nil,
			[]string{"fanotify_init(event_f_flags): compared false: values of event_f_flags are not the same under both"}},
		{"flags of the same parameter that are not",
			only(amd, named{"openat", []test{{2, oCloexec, oCloexec}}, eperm}),
			only(arm64, named{"openat", []test{{2, oCloexec, oCloexec}}, eperm}), Identical, nil, nil},
		{"flags that only A looks at",
			only(amd, named{"openat", []test{{2, oDirectAMD, oDirectAMD}}, eperm}), only(arm64), Looser,
			[]string{"openat of amd64, 56 of arm64: flags & O_DIRECT != 0: ERRNO(EPERM) to ALLOW, looser"}, nil},
		{"flags that only B looks at",
			only(amd), only(arm64, named{"openat", []test{{2, oDirectAMD, oDirectAMD}}, eperm}), Tighter,
			[]string{"openat of amd64, 56 of arm64: of B: flags & O_DIRECTORY != 0: ALLOW to ERRNO(EPERM), tighter"}, nil},
		{"arguments that only B has", only(mips), only(amd, named{"pipe", []test{{0, all64, 0}}, eperm}), Tighter,
			[]string{"pipe of mips64le, 22 of amd64: of B: fildes == 0: ALLOW to ERRNO(EPERM), tighter"}, nil},
		{"decided all the same",
			only(amd, named{"mmap", []test{{3, map32Bit, map32Bit}}, eperm}, named{"socket", nil, eperm}),
			only(arm64, named{"mmap", []test{{3, map32Bit, map32Bit}}, eperm}, named{"accept", nil, eperm}), Incomparable, []string{
				"socket of amd64, 198 of arm64: always: ERRNO(EPERM) to ALLOW, looser",
				"accept of amd64, 202 of arm64: always: ALLOW to ERRNO(EPERM), tighter",
			}, []string{"mmap(flags): compared false: values of flags are not the same under both"}},
		{"names of clone's flags, and other signals",
			only(amd, named{"clone", []test{{0, cloneNewUser, cloneNewUser}}, eperm}),
			only(mips, named{"clone", []test{{0, cloneNewUser, cloneNewUser}}, eperm}), Identical, nil, nil},
		{"a signal", only(amd, named{"kill", []test{{1, all64, 10}}, eperm}), only(mips, named{"kill", []test{{1, all64, 10}}, eperm}), Undecided, nil,
			[]string{"kill(sig): compared false: values of sig are not the same under both"}},
		{"other arguments", only(amd, named{"pipe", []test{{0, all64, 0}}, eperm}), only(mips, named{"pipe", []test{{0, all64, 0}}, eperm}), Undecided, nil,
			[]string{"pipe(fildes): compared false: it takes other arguments under mips64le than under amd64"}},
		{"the name of an error", only(amd, named{"socket", nil, 0x50026}), only(mips, named{"socket", nil, enosysMIPS}), Identical, nil, nil},
		{"the number of an error", only(amd, named{"socket", nil, errno35}), only(mips, named{"socket", nil, errno35}), SameAccess,
			[]string{"socket of amd64, 5040 of mips64le: always: ERRNO(EDEADLK) to ERRNO(ENOMSG), changed"}, nil},
		{"an error without name", only(amd, named{"socket", nil, 0x50fff}), only(mips, named{"socket", nil, 0x50fff}), Identical, nil, nil},
		{"a parameter that is wider",
			only(amd, named{personalityCall, []test{{0, all64, 8}}, eperm}),
			only(ppc, named{personalityCall, []test{{0, 1<<32 - 1, 8}}, eperm}), Identical, nil,
			[]string{"personality(personality): compared true: not all of its values can be passed under both"}},
		{"32 bits and 64",
			only(amd, named{"socket", []test{{0, all64, 38}}, eperm}),
			only(arm, named{"socket", []test{{0, 1<<32 - 1, 38}}, eperm}), Identical, nil,
			[]string{"socket(family): compared true: not all of its values can be passed under both"}},
		{"arguments that are not known",
			only(amd, named{"pread64", []test{{3, all64, 0}}, eperm}), only(arm, named{"pread64", []test{{3, all64, 0}}, eperm}), Undecided, nil,
			[]string{"pread64(pos): compared true: not all of its values can be passed under both",
				"pread64(pos): compared false: what its arguments are under arm is not known"}},
		{"an ABI of both machines", only(amd), only(i386, named{"socket", nil, eperm}, named{"select", nil, eperm}), Tighter, []string{
			"select of amd64, 82 of 386: always: ALLOW to ERRNO(EPERM), tighter",
			"socket of amd64, 359 of 386: always: ALLOW to ERRNO(EPERM), tighter",
			"select of 386, 82 of 386: always: ALLOW to ERRNO(EPERM), tighter",
			"socket of 386, 359 of 386: always: ALLOW to ERRNO(EPERM), tighter",
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := forABI(t, c.a.abi, c.a.list...), forABI(t, c.b.abi, c.b.list...)
			x, y := syscalls.OfMachine(c.a.abi.String()), syscalls.OfMachine(c.b.abi.String())
			got, err := CompareByName(a, b, x, y)
			if err != nil {
				t.Fatal(err)
			}
			if got.Relation != c.want {
				t.Errorf("relation is %v, want %v", got.Relation, c.want)
			}
			var list, limits []string
			for _, d := range got.Differences {
				list = append(list, d.text())
			}
			for _, l := range got.Limits {
				limits = append(limits, l.text())
			}
			if !slices.Equal(list, c.list) {
				t.Errorf("differences are\n%q, want\n%q", list, c.list)
			}
			if !slices.Equal(limits, c.limits) {
				t.Errorf("limits are\n%q, want\n%q", limits, c.limits)
			}
			checkNamedWitnesses(t, a, b, got)

			mirrored, err := CompareByName(b, a, y, x)
			if err != nil {
				t.Fatal(err)
			}
			if want := mirror(c.want); mirrored.Relation != want || len(mirrored.Differences) != len(got.Differences) || len(mirrored.Limits) != len(got.Limits) {
				t.Errorf("the other way round it is %v with %d differences and %d limits", mirrored.Relation, len(mirrored.Differences), len(mirrored.Limits))
			}
		})
	}
}

func mirror(r Relation) Relation {
	if m := map[Relation]Relation{Tighter: Looser, Looser: Tighter}[r]; m != 0 {
		return m
	}
	return r
}

// checkNamedWitnesses runs the witnesses through both stacks.
func checkNamedWitnesses(t *testing.T, a, b *Policy, c *ByName) {
	t.Helper()
	for _, d := range c.Differences {
		w := d.Witness
		if w == nil {
			if d.Direction != DirectionUndecided {
				t.Errorf("%q has no witness", d.text())
			}
			continue
		}
		if !d.Has(w.CallA.Arch, w.CallA.NR) || !d.ScopeB.Has(w.CallB.Arch, w.CallB.NR) {
			t.Errorf("the witness of %q is %+v and %+v", d.text(), w.CallA, w.CallB)
		}
		of := &w.CallA
		if d.OfB {
			of = &w.CallB
		}
		if !d.Condition.Holds(of) {
			t.Errorf("the condition of %q does not hold for its witness %+v", d.text(), *of)
		}
		if x, y := a.stack.Run(&w.CallA, a.order).Ret, b.stack.Run(&w.CallB, b.order).Ret; x != d.A.Return || y != d.B.Return {
			t.Errorf("the witness of %q gets %v and %v", d.text(), x, y)
		}
	}
}

// TestCompareByNameForms has policies in either form, and undecided ones.
func TestCompareByNameForms(t *testing.T) {
	x, y := syscalls.OfMachine("amd64"), syscalls.OfMachine("arm64")
	forCall := func(abi syscalls.ABI, call string, f bpf.Filter) *Policy {
		nr, _ := abi.Number(call)
		return mustOf(t, bpf.Stack{append(bpf.Filter{stmt(bpf.LdAbsW, offNR), jump(bpf.JeqK, nr, 1, 0), stmt(bpf.RetK, allow)}, f...)})
	}
	deny := bpf.Filter{stmt(bpf.RetK, eperm)}
	var forms []Form
	for _, c := range []struct {
		name string
		a, b *Policy
		want Relation
	}{
		{"both interleaved", forCall(syscalls.AMD64, "write", equalFilter()), forCall(syscalls.ARM64, "write", equalFilter()), Identical},
		{"interleaved and moved", forCall(syscalls.AMD64, "clone", moved(equalFilter(), 3, 4)), forCall(syscalls.ARM64, "clone", moved(equalFilter(), 4, 3)), Identical},
		{"interleaved and sequential", forCall(syscalls.AMD64, "write", sumFilter(1000)), forCall(syscalls.ARM64, "write", deny), Tighter},
		{"sequential and interleaved", forCall(syscalls.AMD64, "write", deny), forCall(syscalls.ARM64, "write", sumFilter(1000)), Looser},
		{"undecided", forCall(syscalls.AMD64, "write", hashFilter()[3:]), forCall(syscalls.ARM64, "write", bpf.Filter{stmt(bpf.RetK, allow)}), Undecided},
		{"undecided for what the other does not have", forCall(syscalls.AMD64, "open", hashFilter()[3:]), forCall(syscalls.ARM64, "write", bpf.Filter{stmt(bpf.RetK, allow)}), Identical},
	} {
		got, err := CompareByName(c.a, c.b, x, y)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got.Relation != c.want || len(got.Limits) > 0 {
			t.Errorf("%s: relation is %v, want %v; limits %v", c.name, got.Relation, c.want, got.Limits)
		}
		checkNamedWitnesses(t, c.a, c.b, got)
		forms = append(forms, c.a.form, c.b.form)
	}
	if !slices.Contains(forms, Interleaved) || !slices.Contains(forms, Sequential) {
		t.Errorf("the policies are %v", forms)
	}
}

// moved has a filter look at two other arguments than the first two.
func moved(f bpf.Filter, first, second int) bpf.Filter {
	f = slices.Clone(f)
	for i := range f {
		switch {
		case f[i].Op == bpf.LdAbsW && f[i].K == lo(0):
			f[i].K = lo(first)
		case f[i].Op == bpf.LdAbsW && f[i].K == lo(1):
			f[i].K = lo(second)
		}
	}
	return f
}

// TestCompareByNameRandom compares random rules by name, each laid out for two
// architectures, whose relation is worked out from the rules. Their arguments are of
// calls that take them in another order.
func TestCompareByNameRandom(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	rets := []uint32{allow, eperm, 0x50002, 0x7fc00000}
	// Positions on the two architectures of the arguments that are looked at.
	calls := []struct {
		name string
		x, y [2]int
	}{
		{"clone", [2]int{3, 4}, [2]int{4, 3}}, // child_tidptr and tls
		{"dup3", [2]int{0, 1}, [2]int{0, 1}},
		{"write", [2]int{2, 0}, [2]int{2, 0}},
	}
	type line struct {
		call        int
		mask, value [2]uint64
		ret         uint32
	}
	random := func() (list []line) {
		for range r.Intn(6) {
			l := line{call: r.Intn(len(calls)), ret: rets[r.Intn(len(rets))]}
			for i := range r.Intn(3) {
				l.mask[i] = uint64(r.Intn(8))
				l.value[i] = l.mask[i] & uint64(r.Intn(8))
			}
			list = append(list, l)
		}
		return list
	}
	for _, abi := range []syscalls.ABI{syscalls.ARM64, syscalls.RISCV64, syscalls.PPC64LE} {
		build := func(abi syscalls.ABI, list []line, y bool) *Policy {
			var rules []named
			for _, l := range list {
				at := calls[l.call].x
				if y {
					at = calls[l.call].y
				}
				rules = append(rules, named{calls[l.call].name, []test{{at[0], l.mask[0], l.value[0]}, {at[1], l.mask[1], l.value[1]}}, l.ret})
			}
			return forABI(t, abi, rules...)
		}
		outcome := func(list []line, call int, u, v uint64) bpf.Return {
			for _, l := range list {
				if l.call == call && u&l.mask[0] == l.value[0] && v&l.mask[1] == l.value[1] {
					return bpf.Return(l.ret)
				}
			}
			return bpf.Return(allow)
		}
		seen := map[Relation]int{}
		for range 400 {
			list := random()
			changed := slices.Clone(list)
			if r.Intn(2) == 0 {
				changed = random()
			} else if len(changed) > 0 {
				changed[r.Intn(len(changed))].ret = rets[r.Intn(len(rets))]
			}
			var found directions
			for call := range calls {
				for v := range uint64(64) {
					p, q := outcome(list, call, v%8, v/8), outcome(changed, call, v%8, v/8)
					if p != q {
						found[direction(Outcome{Return: p}, Outcome{Return: q})] = true
					}
				}
			}
			a, b := build(syscalls.AMD64, list, false), build(abi, changed, true)
			got, err := CompareByName(a, b, syscalls.OfMachine("amd64"), syscalls.OfMachine(abi.String()))
			if err != nil {
				t.Fatal(err)
			}
			if want := found.relation(); got.Relation != want || len(got.Limits) > 0 {
				t.Fatalf("%v: relation of %+v to %+v is %v, want %v; limits %+v", abi, changed, list, got.Relation, want, got.Limits)
			}
			checkNamedWitnesses(t, a, b, got)
			seen[got.Relation]++
		}
		for _, r := range []Relation{Identical, SameAccess, Tighter, Looser, Incomparable} {
			if seen[r] < 10 {
				t.Errorf("%v: only %d cases are %v", abi, seen[r], r)
			}
		}
	}
}

// TestCompareByNameView compares what the kernel sees.
func TestCompareByNameView(t *testing.T) {
	// family is an int: without its upper half both deny the same.
	a := forABI(t, syscalls.AMD64, named{"socket", []test{{0, 1<<32 - 1, 38}}, eperm})
	b := forABI(t, syscalls.ARM64, named{"socket", []test{{0, all64, 38}}, eperm})
	x, y := syscalls.OfMachine("amd64"), syscalls.OfMachine("arm64")
	for _, c := range []struct {
		a, b *Policy
		want Relation
	}{{a, b, Looser}, {a.KernelView(), b.KernelView(), Looser}, {b, a, Tighter}} {
		m, n := x, y
		if c.a == b {
			m, n = y, x
		}
		got, err := CompareByName(c.a, c.b, m, n)
		if err != nil {
			t.Fatal(err)
		}
		if got.Relation != c.want {
			t.Errorf("relation is %v, want %v", got.Relation, c.want)
		}
		checkNamedWitnesses(t, c.a, c.b, got)
	}
}

// TestCounterparts checks what is written down about parameters: that there are such
// ones, and that every pair of ABIs has a one-to-one correspondence of arguments.
func TestCounterparts(t *testing.T) {
	has := func(call, param string) bool {
		return slices.ContainsFunc(syscalls.AMD64.Params(call), func(p syscalls.Param) bool { return p.Name == param })
	}
	for from, to := range likeFlags {
		if !has(from[0], from[1]) || syscalls.AMD64.Flags(to[0], to[1]) == nil {
			t.Errorf("there is no %v or %v", from, to)
		}
		if syscalls.AMD64.Flags(from[0], from[1]) != nil {
			t.Errorf("there is a table for %v", from)
		}
	}
	for _, r := range reviewedValues {
		for _, call := range r.calls {
			if !has(call, r.param) {
				t.Errorf("%s has no parameter %s", call, r.param)
			}
		}
	}
	for _, x := range syscalls.ABIs() {
		for _, y := range syscalls.ABIs() {
			pairs, onlyX, onlyY := counterparts(x, y)
			back, onlyY2, onlyX2 := counterparts(y, x)
			if len(pairs)+len(onlyX) != len(x.Table()) || len(pairs)+len(onlyY) != len(y.Table()) ||
				len(back) != len(pairs) || !reflect.DeepEqual(onlyX, onlyX2) || !reflect.DeepEqual(onlyY, onlyY2) {
				t.Errorf("%v and %v: %d pairs, %d and %d without; the other way round %d, %d and %d", x, y, len(pairs), len(onlyX), len(onlyY), len(back), len(onlyX2), len(onlyY2))
			}
			for _, c := range pairs {
				position := c.position
				slices.Sort(position[:])
				if position != [6]int{0, 1, 2, 3, 4, 5} {
					t.Errorf("%v and %v: %s: positions %v", x, y, c.name, c.position)
				}
				if x == y && x.Params(c.name) != nil && (c.foreign != [6]uint64{} || c.position != [6]int{0, 1, 2, 3, 4, 5}) {
					t.Errorf("%v: %s is not its own counterpart: %+v", x, c.name, c)
				}
			}
		}
	}
	for abi, want := range map[syscalls.ABI]string{syscalls.ARM64: "[0 1 2 4 3 5]", syscalls.S390X: "[1 0 2 3 4 5]", syscalls.LOONG64: "[0 1 2 3 4 5]"} {
		nr, _ := abi.Number("clone")
		if c := newCounterpart("clone", 56, nr, syscalls.AMD64, abi); fmt.Sprint(c.position) != want || strings.Join(c.about[:], "") != "" {
			t.Errorf("clone on %v: %+v, want positions %s", abi, c, want)
		}
	}
}
