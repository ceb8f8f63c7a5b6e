package bdd

import (
	"errors"
	"fmt"
	"math/rand"
	"testing"
)

// The tests compare diagrams with truth tables: of vars variables, that of
// level 0 being the highest bit of the index.
const vars = 6

type table [1 << vars]uint64

func (m *Manager) fromTable(t []uint64, level int) Ref {
	if len(t) == 1 {
		return m.Leaf(t[0])
	}
	half := len(t) / 2
	lo := m.fromTable(t[:half], level+1)
	return m.Node(level, lo, m.fromTable(t[half:], level+1))
}

func input(i int) func(int) bool {
	return func(level int) bool { return i>>(vars-1-level)&1 != 0 }
}

func toTable(eval func(func(int) bool) uint64) (t table) {
	for i := range t {
		t[i] = eval(input(i))
	}
	return t
}

func random(r *rand.Rand, values int) (t table) {
	for i := range t {
		t[i] = uint64(r.Intn(values))
	}
	// Make some variables irrelevant, so that levels are skipped.
	for level := range vars {
		if r.Intn(3) == 0 {
			for i := range t {
				t[i] = t[i&^(1<<(vars-1-level))]
			}
		}
	}
	return t
}

func TestOperations(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	m := New(1 << 20)
	sub := m.NewOp(false, func(a, b uint64) uint64 { return a - b })
	least := m.NewOp(true, func(a, b uint64) uint64 { return min(a, b) })
	for range 2000 {
		f, g, a, b := random(r, 2), random(r, 2), random(r, 5), random(r, 1000)
		F, G, A, B := m.fromTable(f[:], 0), m.fromTable(g[:], 0), m.fromTable(a[:], 0), m.fromTable(b[:], 0)
		chosen := r.Intn(1 << vars)
		isChosen := func(level int) bool { return chosen>>level&1 != 0 }
		perm := r.Perm(vars)
		for _, c := range []struct {
			name string
			got  Ref
			want func(i int) uint64
		}{
			{"not", m.Not(F), func(i int) uint64 { return 1 - f[i] }},
			{"and", m.And(F, G), func(i int) uint64 { return f[i] & g[i] }},
			{"or", m.Or(F, G), func(i int) uint64 { return f[i] | g[i] }},
			{"xor", m.Xor(F, G), func(i int) uint64 { return f[i] ^ g[i] }},
			{"ite", m.ITE(F, A, B), func(i int) uint64 {
				if f[i] == 1 {
					return a[i]
				}
				return b[i]
			}},
			{"apply", m.Apply(sub, A, B), func(i int) uint64 { return a[i] - b[i] }},
			{"map", m.Map(A, func(v uint64) uint64 { return v / 2 }), func(i int) uint64 { return a[i] / 2 }},
			{"is", m.Is(A, 3), func(i int) uint64 {
				if a[i] == 3 {
					return 1
				}
				return 0
			}},
			{"quantify", m.Quantify(B, isChosen, least), func(i int) uint64 {
				v := b[i]
				for j := range b {
					same := true
					for level := range vars {
						if !isChosen(level) && input(i)(level) != input(j)(level) {
							same = false
						}
					}
					if same {
						v = min(v, b[j])
					}
				}
				return v
			}},
			{"reorder", m.Reorder(m.Export(B), func(level int) int { return perm[level] }), func(i int) uint64 {
				j := 0
				for level := range vars {
					if input(i)(perm[level]) {
						j |= 1 << (vars - 1 - level)
					}
				}
				return b[j]
			}},
			{"restrict", m.ITE(G, m.Restrict(F, G), F), func(i int) uint64 { return f[i] }},
			{"import", m.Import(m.Export(B)), func(i int) uint64 { return b[i] }},
		} {
			var want table
			for i := range want {
				want[i] = c.want(i)
			}
			if got := toTable(func(bit func(int) bool) uint64 { return m.Eval(c.got, bit) }); got != want {
				t.Fatalf("%s: got %v, want %v", c.name, got, want)
			}
			if c.got != m.fromTable(want[:], 0) {
				t.Fatalf("%s: result is not canonical", c.name)
			}
		}
	}
}

func TestExportIsCanonical(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	for range 200 {
		a, b := random(r, 5), random(r, 5)
		m, n := New(1<<16), New(1<<16)
		m.fromTable(b[:], 0) // other nodes first
		d, e := m.Export(m.fromTable(a[:], 0)), n.Export(n.fromTable(a[:], 0))
		if !d.Equal(e) {
			t.Fatalf("the same function gives different diagrams: %v", a)
		}
		if other := n.Export(n.fromTable(b[:], 0)); d.Equal(other) != (a == b) {
			t.Fatalf("Equal is %v for %v and %v", d.Equal(other), a, b)
		}
		if got := toTable(d.Eval); got != a {
			t.Fatalf("got %v, want %v", got, a)
		}
		for v := range uint64(6) {
			set, ok := d.Find(v, func(int) (bool, bool) { return false, true })
			has := false
			for _, x := range a {
				has = has || x == v
			}
			if ok != has || d.Has(v) != has {
				t.Fatalf("Find says %v and Has %v of %d in %v", ok, d.Has(v), v, a)
			}
			i := 0
			for _, level := range set {
				i |= 1 << (vars - 1 - level)
			}
			if ok && a[i] != v {
				t.Fatalf("Find gives input %d for %d in %v", i, v, a)
			}
		}
	}
}

func TestRuns(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	m := New(1 << 20)
	for range 500 {
		a := random(r, 3)
		f := m.fromTable(a[:], 0)
		var got table
		next, last := uint64(0), Ref(1<<32-1)
		m.Runs(f, 0, vars, func(first, end uint64, sub Ref) bool {
			if first != next || sub == last {
				t.Fatalf("run %d to %d of %d after %d of %d: a gap, or not maximal", first, end, sub, next, last)
			}
			for i := first; i <= end; i++ {
				got[i] = m.Value(sub)
			}
			next, last = end+1, sub
			return true
		})
		if got != a || next != 1<<vars {
			t.Fatalf("got %v, want %v", got, a)
		}
		calls := 0
		m.Runs(f, 0, vars, func(uint64, uint64, Ref) bool { calls++; return false })
		if calls != 1 {
			t.Fatalf("yield is called %d times after it said to stop", calls)
		}
	}
}

// TestTry checks that what is abandoned leaves nothing behind: the same Refs
// come out of later operations as if it had never been tried.
func TestTry(t *testing.T) {
	r := rand.New(rand.NewSource(4))
	m, n := New(1<<20), New(1<<20)
	for i := range 3000 {
		a, b := random(r, 50), random(r, 50)
		if i%3 == 0 {
			err := m.Try(r.Intn(20), func() { m.fromTable(a[:], 0) })
			if err != nil && !errors.Is(err, ErrBudget) {
				t.Fatal(err)
			}
			if err == nil {
				n.fromTable(a[:], 0)
			}
		}
		if f, g := m.fromTable(b[:], 0), n.fromTable(b[:], 0); f != g || m.Size() != n.Size() {
			t.Fatalf("after an abandoned operation Ref %d of %d nodes, without it %d of %d", f, m.Size(), g, n.Size())
		}
	}
	if m.Size() < 3*minCache {
		t.Fatalf("only %d nodes: the tables did not grow", m.Size())
	}
}

func TestTryPassesOtherPanicsOn(t *testing.T) {
	defer func() {
		if r := recover(); fmt.Sprint(r) != "other" {
			t.Fatalf("recovered %v", r)
		}
	}()
	New(10).Try(5, func() { panic("other") })
}

func TestBudget(t *testing.T) {
	m := New(100)
	err := m.Try(1<<20, func() {
		f := False
		for i := range 1000 {
			f = m.Node(999-i, f, m.Leaf(uint64(i)))
		}
	})
	if err != ErrBudget || m.Size() != 2 {
		t.Fatalf("error %v and %d nodes, want ErrBudget and the two constants", err, m.Size())
	}
}

// TestRestrict has a relation, and what is said besides it, taken apart.
func TestRestrict(t *testing.T) {
	m := New(1 << 16)
	same := True
	for i := range 2 { // the variables 0, 1 and 3, 4
		same = m.And(same, m.Not(m.Xor(m.Var(i), m.Var(i+3))))
	}
	other := m.Xor(m.Var(2), m.Var(5))
	for _, c := range []struct{ f, where, elsewhere Ref }{
		{m.And(same, other), other, False},
		{m.Or(same, other), True, other},
		{m.ITE(same, other, m.Var(5)), other, m.Var(5)},
	} {
		if got := m.Restrict(c.f, same); got != c.where {
			t.Errorf("restricted to where it holds: %d, want %d", got, c.where)
		}
		if got := m.Restrict(c.f, m.Not(same)); got != c.elsewhere {
			t.Errorf("restricted to where it does not hold: %d, want %d", got, c.elsewhere)
		}
	}
}
