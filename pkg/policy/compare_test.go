package policy

import (
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

func deny(nr uint32, tests ...test) rule { return rule{archAMD64, nr, tests, eperm} }

func amd64(rules ...rule) bpf.Stack {
	return bpf.Stack{compile(rules, []uint32{archAMD64}, allow)}
}

// text is a difference in a line, as the tests expect it.
func (d Difference) text() string {
	name := d.Name()
	if name == "" {
		name = fmt.Sprintf("%d-%d", d.NR.First, d.NR.Last)
	}
	abi := "other"
	if d.ABI != 0 {
		abi = d.ABI.String()
	}
	return fmt.Sprintf("%s %s: %s: %s to %s, %s", abi, name, d.Condition, d.A.Format(d.ABI), d.B.Format(d.ABI), d.Direction)
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b bpf.Stack
		want Relation
		list []string
	}{
		{"same rules in another order", amd64(deny(1), deny(2)), amd64(deny(2), deny(1)), Identical, nil},
		{"a second filter", amd64(deny(1), deny(2)), append(amd64(deny(1)), amd64(deny(2))...), Identical, nil},
		{"the errno", amd64(deny(2)), amd64(rule{archAMD64, 2, nil, 0x50026}), SameAccess,
			[]string{"amd64 open: always: ERRNO(EPERM) to ERRNO(ENOSYS), changed"}},
		{"tighter", amd64(), amd64(deny(2)), Tighter,
			[]string{"amd64 open: always: ALLOW to ERRNO(EPERM), tighter"}},
		{"looser under a condition", amd64(deny(41)), amd64(deny(41, test{0, all64, 38})), Looser,
			[]string{"amd64 socket: family != AF_ALG: ERRNO(EPERM) to ALLOW, looser"}},
		{"both", amd64(deny(2)), amd64(deny(3)), Incomparable, []string{
			"amd64 open: always: ERRNO(EPERM) to ALLOW, looser",
			"amd64 close: always: ALLOW to ERRNO(EPERM), tighter"}},
		{"mediated is between", amd64(rule{archAMD64, 2, nil, 0x7fc00000}), amd64(rule{archAMD64, 2, nil, 0x7ff00001}), SameAccess,
			[]string{"amd64 open: always: USER_NOTIF to TRACE(1), changed"}},
		{"denied rather than mediated", amd64(rule{archAMD64, 2, nil, 0x7fc00000}), amd64(deny(2)), Tighter,
			[]string{"amd64 open: always: USER_NOTIF to ERRNO(EPERM), tighter"}},
		{"logged", amd64(), amd64(rule{archAMD64, 2, nil, 0x7ffc0000}), SameAccess,
			[]string{"amd64 open: always: ALLOW to LOG, changed"}},
		{"numbers without a name, and x32", bpf.Stack{tree([]uint32{0, 1000}, []uint32{allow, eperm})}, nil, Looser, []string{
			"amd64 1000-1073741823: always: ERRNO(EPERM) to ALLOW, looser",
			"amd64 2147483648-4294967295: always: ERRNO(EPERM) to ALLOW, looser",
			"x32 1073741824-2147483647: always: ERRNO(EPERM) to ALLOW, looser",
			"other 1000-4294967295: always: ERRNO(1) to ALLOW, looser"}},
		{"what only one decides", nil, bpf.Stack{hashFilter()}, Undecided, []string{
			"amd64 write: always: ALLOW to undecided, undecided",
			"other 1-1: always: ALLOW to undecided, undecided"}},
		{"decided all the same", append(amd64(deny(3)), hashFilter()), amd64(deny(2)), Incomparable, []string{
			"amd64 write: always: undecided to ALLOW, undecided",
			"amd64 open: always: ALLOW to ERRNO(EPERM), tighter",
			"amd64 close: always: ERRNO(EPERM) to ALLOW, looser",
			"other 1-1: always: undecided to ALLOW, undecided"}},
		{"one form and the other", bpf.Stack{equalFilter()}, bpf.Stack{containerFilter(), equalFilter()}, Tighter, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := mustOf(t, c.a), mustOf(t, c.b)
			got, err := Compare(a, b, Options{ABIs: []syscalls.ABI{syscalls.AMD64, syscalls.X32}})
			if err != nil {
				t.Fatal(err)
			}
			if got.Relation != c.want {
				t.Errorf("relation is %v, want %v", got.Relation, c.want)
			}
			var list []string
			for _, d := range got.Differences {
				list = append(list, d.text())
			}
			if c.list != nil || c.want == Identical {
				if !slices.Equal(list, c.list) {
					t.Errorf("differences are\n%q, want\n%q", list, c.list)
				}
			}
			checkMirror(t, a, b, got)
			checkDifferences(t, a, b, got)
		})
	}
}

// checkMirror compares the other way round.
func checkMirror(t *testing.T, a, b *Policy, ab *Comparison) {
	t.Helper()
	ba, err := Compare(b, a, Options{ABIs: []syscalls.ABI{syscalls.AMD64, syscalls.X32}})
	if err != nil {
		t.Fatal(err)
	}
	mirror := map[Relation]Relation{Tighter: Looser, Looser: Tighter}
	want, ok := mirror[ab.Relation]
	if !ok {
		want = ab.Relation
	}
	if ba.Relation != want {
		t.Errorf("relation is %v, and %v the other way round", ab.Relation, ba.Relation)
	}
	keys := func(c *Comparison, swap bool) []string {
		var list []string
		for _, d := range c.Differences {
			if swap {
				d.A, d.B = d.B, d.A
			}
			list = append(list, fmt.Sprint(d.Scope, d.Condition, d.A, d.B))
		}
		slices.Sort(list)
		return list
	}
	if x, y := keys(ab, false), keys(ba, true); !reflect.DeepEqual(x, y) {
		t.Errorf("differences are %q, and the other way round %q", x, y)
	}
}

// checkDifferences asks both stacks about random calls: they differ exactly for
// those that a difference is about, and as it says.
func checkDifferences(t *testing.T, a, b *Policy, c *Comparison) {
	t.Helper()
	if c.Truncated {
		t.Log("truncated")
		return
	}
	calls := newCalls(1, append(slices.Clone(a.stack), b.stack...))
	for range 3000 {
		d := calls.next()
		var found []Difference
		for _, x := range c.Differences {
			if x.Has(d.Arch, d.NR) && x.Condition.Holds(d) {
				found = append(found, x)
			}
		}
		x, y := a.stack.Run(d, a.order).Ret, b.stack.Run(d, b.order).Ret
		switch {
		case len(found) > 1:
			t.Fatalf("%+v is in two differences: %q and %q", *d, found[0].text(), found[1].text())
		case len(found) == 0 && x != y:
			t.Fatalf("%+v: filters return %v and %v, which no difference says", *d, x, y)
		case len(found) == 1:
			f := found[0]
			if !f.A.Undecided && f.A.Return != x || !f.B.Undecided && f.B.Return != y {
				t.Fatalf("%+v: filters return %v and %v, a difference says %q", *d, x, y, f.text())
			}
		}
	}
	for _, d := range c.Differences {
		if d.Witness == nil {
			if d.Direction != DirectionUndecided {
				t.Errorf("%q has no witness", d.text())
			}
			continue
		}
		w := d.Witness
		if w.CallA != w.CallB {
			t.Errorf("the witness of %q is two calls", d.text())
		}
		if x, y := a.stack.Run(&w.CallA, a.order).Ret, b.stack.Run(&w.CallB, b.order).Ret; x != d.A.Return || y != d.B.Return || !d.Condition.Holds(&w.CallA) {
			t.Errorf("the witness %+v of %q gets %v and %v", w.CallA, d.text(), x, y)
		}
	}
}

func TestCompareFixtures(t *testing.T) {
	all := map[string]*Policy{}
	for name, s := range fixtures() {
		all[name] = mustOf(t, s)
	}
	names := slices.Sorted(maps.Keys(all))
	for _, x := range names {
		for _, y := range names {
			a, b := all[x], all[y]
			c, err := Compare(a, b, Options{ABIs: []syscalls.ABI{syscalls.AMD64, syscalls.X32}})
			if err != nil {
				t.Fatalf("%s, %s: %v", x, y, err)
			}
			if (c.Relation == Identical) != (x == y) {
				t.Errorf("%s, %s: relation is %v", x, y, c.Relation)
			}
			if x < y {
				checkMirror(t, a, b, c)
				checkDifferences(t, a, b, c)
			}
		}
	}
}

// TestCompareRandom compares random sets of rules whose relation is worked out
// from the rules, one number and argument value after the other.
func TestCompareRandom(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	rets := []uint32{allow, eperm, 0x50002, 0x7fc00000}
	random := func() []rule {
		var rules []rule
		for range r.Intn(6) {
			x := rule{arch: archAMD64, nr: uint32(r.Intn(3)), ret: rets[r.Intn(len(rets))]}
			for range r.Intn(3) {
				m := uint64(r.Intn(8))
				x.tests = append(x.tests, test{r.Intn(2), m, m & uint64(r.Intn(8))})
			}
			rules = append(rules, x)
		}
		return rules
	}
	seen := map[Relation]int{}
	for range 1000 {
		x := random()
		y := slices.Clone(x)
		if r.Intn(2) == 0 {
			y = random()
		} else if len(y) > 0 {
			y[r.Intn(len(y))].ret = rets[r.Intn(len(rets))]
		}
		tighter, looser, differ := false, false, false
		for nr := range uint32(4) {
			for v := range uint64(64) {
				d := &bpf.Data{Arch: archAMD64, NR: nr, Args: [6]uint64{v % 8, v / 8}}
				p, q := outcomeOf(x, allow, d), outcomeOf(y, allow, d)
				differ = differ || p != q
				tighter = tighter || AccessOf(q.Action()) < AccessOf(p.Action())
				looser = looser || AccessOf(q.Action()) > AccessOf(p.Action())
			}
		}
		want := Identical
		switch {
		case tighter && looser:
			want = Incomparable
		case tighter:
			want = Tighter
		case looser:
			want = Looser
		case differ:
			want = SameAccess
		}
		a, b := mustOf(t, amd64(x...)), mustOf(t, amd64(y...))
		c, err := Compare(a, b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Relation != want {
			t.Fatalf("relation of %+v to %+v is %v, want %v", y, x, c.Relation, want)
		}
		ok, w, err := b.AtMost(a)
		if err != nil || ok == looser || ok == (w != nil) {
			t.Fatalf("%+v at most %+v: %v, witness %v, error %v", y, x, ok, w, err)
		}
		if w != nil && AccessOf(outcomeOf(y, allow, &w.CallB).Action()) <= AccessOf(outcomeOf(x, allow, &w.CallA).Action()) {
			t.Fatalf("%+v does not show that %+v is looser than %+v", w, y, x)
		}
		seen[want]++
	}
	for _, r := range []Relation{Identical, SameAccess, Tighter, Looser, Incomparable} {
		if seen[r] < 20 {
			t.Errorf("only %d cases are %v", seen[r], r)
		}
	}
}

func TestAtMostUndecided(t *testing.T) {
	hash := mustOf(t, bpf.Stack{hashFilter()})
	everything, nothing := mustOf(t, nil), mustOf(t, bpf.Stack{{stmt(bpf.RetK, kill)}})
	for _, c := range []struct {
		name string
		b, a *Policy
		want bool
		err  error
	}{
		{"undecided at most everything", hash, everything, true, nil},
		{"nothing at most undecided", nothing, hash, true, nil},
		{"undecided at most itself", hash, hash, false, ErrUndecided},
		{"undecided at most nothing", hash, nothing, false, nil}, // for what is decided
		{"everything at most undecided", everything, hash, false, ErrUndecided},
	} {
		got, w, err := c.b.AtMost(c.a)
		if got != c.want || !errors.Is(err, c.err) || (w != nil) != (!c.want && c.err == nil) {
			t.Errorf("%s: %v, witness %v, error %v", c.name, got, w, err)
		}
	}
}
