package bdd

// The cache remembers results of the binary and ternary operations. It is
// direct-mapped, so that a colliding entry simply replaces an older one.
type cache struct{ entries []entry }

type entry struct {
	op      uint32
	f, g, h Ref
	result  Ref
}

const (
	minCache = 1 << 13
	maxCache = 1 << 18
)

// Operations of the cache. Those of NewOp follow.
const (
	opNone = iota // an empty entry
	opITE
	opAnd
	opOr
	opXor
	opRestrict
	opIs
	opFirst
)

func (c *cache) reset(size int) {
	if len(c.entries) == size {
		clear(c.entries)
		return
	}
	c.entries = make([]entry, size)
}

func (c *cache) slot(op uint32, f, g, h Ref) *entry {
	x := hash3(op^uint32(h)*0x85ebca6b, uint32(f), uint32(g))
	return &c.entries[x&uint32(len(c.entries)-1)]
}

func (c *cache) get(op uint32, f, g, h Ref) (Ref, bool) {
	if e := c.slot(op, f, g, h); e.op == op && e.f == f && e.g == g && e.h == h {
		return e.result, true
	}
	return 0, false
}

func (c *cache) put(op uint32, f, g, h, result Ref) {
	*c.slot(op, f, g, h) = entry{op, f, g, h, result}
}

// ITE returns the function that is g where the Boolean f is true, and else h.
func (m *Manager) ITE(f, g, h Ref) Ref {
	switch {
	case f == True, g == h:
		return g
	case f == False:
		return h
	case g == True && h == False:
		return f
	}
	if r, ok := m.cache.get(opITE, f, g, h); ok {
		return r
	}
	m.step()
	level := min(m.Level(f), m.Level(g), m.Level(h))
	f0, f1 := m.Cofactors(f, level)
	g0, g1 := m.Cofactors(g, level)
	h0, h1 := m.Cofactors(h, level)
	lo := m.ITE(f0, g0, h0)
	r := m.Node(level, lo, m.ITE(f1, g1, h1))
	m.cache.put(opITE, f, g, h, r)
	return r
}

// Not, And, Or and Xor take and return Boolean functions.
func (m *Manager) Not(f Ref) Ref    { return m.Xor(f, True) }
func (m *Manager) And(f, g Ref) Ref { return m.boolean(opAnd, f, g) }
func (m *Manager) Or(f, g Ref) Ref  { return m.boolean(opOr, f, g) }
func (m *Manager) Xor(f, g Ref) Ref { return m.boolean(opXor, f, g) }

func (m *Manager) boolean(op uint32, f, g Ref) Ref {
	if f > g {
		f, g = g, f
	}
	// The constants have the lowest Refs: g is one only if f is.
	switch op {
	case opAnd:
		switch {
		case f == False:
			return False
		case f == True, f == g:
			return g
		}
	case opOr:
		switch {
		case f == True:
			return True
		case f == False, f == g:
			return g
		}
	case opXor:
		switch {
		case f == g:
			return False
		case f == False:
			return g
		}
	}
	if r, ok := m.cache.get(op, f, g, 0); ok {
		return r
	}
	m.step()
	level := min(m.Level(f), m.Level(g))
	f0, f1 := m.Cofactors(f, level)
	g0, g1 := m.Cofactors(g, level)
	lo := m.boolean(op, f0, g0)
	r := m.Node(level, lo, m.boolean(op, f1, g1))
	m.cache.put(op, f, g, 0, r)
	return r
}

// Restrict returns a function that is f wherever the Boolean care is true, and as
// simple as that allows: of what f depends on only because of what care excludes,
// it does not (Coudert, Madre 1990). Where care is false it is anything.
func (m *Manager) Restrict(f, care Ref) Ref {
	if care == True || care == False || m.IsLeaf(f) {
		return f
	}
	if r, ok := m.cache.get(opRestrict, f, care, 0); ok {
		return r
	}
	m.step()
	level := m.Level(f)
	var r Ref
	if c := m.nodes[care]; int(c.level) < level {
		r = m.Restrict(f, m.Or(c.lo, c.hi))
	} else {
		f0, f1 := m.Cofactors(f, level)
		c0, c1 := m.Cofactors(care, level)
		switch {
		case c0 == False:
			r = m.Restrict(f1, c1)
		case c1 == False:
			r = m.Restrict(f0, c0)
		default:
			lo := m.Restrict(f0, c0)
			r = m.Node(level, lo, m.Restrict(f1, c1))
		}
	}
	m.cache.put(opRestrict, f, care, 0, r)
	return r
}

// An Op is a binary operation on leaf values, extended to functions by Apply.
type Op struct {
	id   uint32
	leaf func(a, b uint64) uint64
	same bool // op(x, x) == x
}

// NewOp returns an operation for use with m. If idempotent, leaf(x, x) must be
// x for every x.
func (m *Manager) NewOp(idempotent bool, leaf func(a, b uint64) uint64) *Op {
	m.ops++
	return &Op{id: uint32(opFirst + m.ops - 1), leaf: leaf, same: idempotent}
}

// Apply returns the function that maps every input to op of what f and g are
// there.
func (m *Manager) Apply(op *Op, f, g Ref) Ref {
	if f == g && op.same {
		return f
	}
	level := min(m.Level(f), m.Level(g))
	if level == LeafLevel {
		return m.Leaf(op.leaf(m.Value(f), m.Value(g)))
	}
	if r, ok := m.cache.get(op.id, f, g, 0); ok {
		return r
	}
	m.step()
	f0, f1 := m.Cofactors(f, level)
	g0, g1 := m.Cofactors(g, level)
	lo := m.Apply(op, f0, g0)
	r := m.Node(level, lo, m.Apply(op, f1, g1))
	m.cache.put(op.id, f, g, 0, r)
	return r
}

// Map returns f with every leaf replaced.
func (m *Manager) Map(f Ref, leaf func(uint64) uint64) Ref {
	done := map[Ref]Ref{}
	var walk func(Ref) Ref
	walk = func(f Ref) Ref {
		if m.IsLeaf(f) {
			return m.Leaf(leaf(m.Value(f)))
		}
		if r, ok := done[f]; ok {
			return r
		}
		m.step()
		n := m.nodes[f]
		lo := walk(n.lo)
		r := m.Node(int(n.level), lo, walk(n.hi))
		done[f] = r
		return r
	}
	return walk(f)
}

// Is returns the Boolean function that is true where f has the value v.
func (m *Manager) Is(f Ref, v uint64) Ref { return m.is(f, m.Leaf(v)) }

func (m *Manager) is(f, leaf Ref) Ref {
	if m.IsLeaf(f) {
		if f == leaf {
			return True
		}
		return False
	}
	if r, ok := m.cache.get(opIs, f, leaf, 0); ok {
		return r
	}
	m.step()
	n := m.nodes[f]
	lo := m.is(n.lo, leaf)
	r := m.Node(int(n.level), lo, m.is(n.hi, leaf))
	m.cache.put(opIs, f, leaf, 0, r)
	return r
}

// Quantify removes the variables whose level is chosen from f by combining,
// with op, what f is for 0 and for 1. The operation must be idempotent and
// associative.
func (m *Manager) Quantify(f Ref, chosen func(level int) bool, op *Op) Ref {
	done := map[Ref]Ref{}
	var walk func(Ref) Ref
	walk = func(f Ref) Ref {
		if m.IsLeaf(f) {
			return f
		}
		if r, ok := done[f]; ok {
			return r
		}
		m.step()
		n := m.nodes[f]
		lo, hi := walk(n.lo), walk(n.hi)
		var r Ref
		if chosen(int(n.level)) {
			r = m.Apply(op, lo, hi)
		} else {
			r = m.Node(int(n.level), lo, hi)
		}
		done[f] = r
		return r
	}
	return walk(f)
}

// Runs calls yield for the maximal runs of values, in ascending order, of the
// number whose bits are the variables of the levels from level on, the highest
// first, over each of which f is one and the same sub-diagram. It stops when
// yield returns false. f must not depend on variables above level. There can be
// as many runs as there are values: yield has to set a limit.
func (m *Manager) Runs(f Ref, level, bits int, yield func(first, last uint64, sub Ref) bool) {
	var first, last uint64
	var sub Ref
	open := false
	emit := func(lo, hi uint64, f Ref) bool {
		if open && f == sub {
			last = hi
			return true
		}
		if open && !yield(first, last, sub) {
			open = false
			return false
		}
		first, last, sub, open = lo, hi, f, true
		return true
	}
	var walk func(f Ref, depth int, prefix uint64) bool
	walk = func(f Ref, depth int, prefix uint64) bool {
		rest := bits - depth
		if m.Level(f) >= level+bits {
			return emit(prefix, prefix|(1<<rest-1), f)
		}
		lo, hi := m.Cofactors(f, level+depth)
		return walk(lo, depth+1, prefix) && walk(hi, depth+1, prefix|1<<(rest-1))
	}
	if walk(f, 0, 0) {
		yield(first, last, sub)
	}
}

// Reorder returns f with the variable of every level renamed to that of another
// one, which need not keep the order.
func (m *Manager) Reorder(f *Diagram, level func(int) int) Ref {
	refs := make([]Ref, len(f.nodes))
	for i, n := range f.nodes {
		if n.level == LeafLevel {
			refs[i] = m.Leaf(n.value())
			continue
		}
		refs[i] = m.ITE(m.Var(level(int(n.level))), refs[n.hi], refs[n.lo])
	}
	return refs[len(refs)-1]
}

// Replace returns f with the sub-diagrams below a cut, those whose level is at
// least cut, replaced. The replacements must not depend on variables above the
// cut.
func (m *Manager) Replace(f Ref, cut int, by func(Ref) Ref) Ref {
	done := map[Ref]Ref{}
	var walk func(Ref) Ref
	walk = func(f Ref) Ref {
		if r, ok := done[f]; ok {
			return r
		}
		m.step()
		n := m.nodes[f]
		var r Ref
		if int(n.level) >= cut {
			r = by(f)
		} else {
			lo := walk(n.lo)
			r = m.Node(int(n.level), lo, walk(n.hi))
		}
		done[f] = r
		return r
	}
	return walk(f)
}

// Below returns the distinct sub-diagrams of f below a cut, in the order in
// which a walk that takes 0 before 1 meets them.
func (m *Manager) Below(f Ref, cut int) []Ref {
	seen := map[Ref]bool{}
	var below []Ref
	var walk func(Ref)
	walk = func(f Ref) {
		if seen[f] {
			return
		}
		seen[f] = true
		n := m.nodes[f]
		if int(n.level) >= cut {
			below = append(below, f)
			return
		}
		walk(n.lo)
		walk(n.hi)
	}
	walk(f)
	return below
}

// Leaves returns the distinct values of f, in the same order.
func (m *Manager) Leaves(f Ref) []uint64 {
	var values []uint64
	for _, leaf := range m.Below(f, LeafLevel) {
		values = append(values, m.Value(leaf))
	}
	return values
}

// Count returns the number of nodes of f, leaves included.
func (m *Manager) Count(f Ref) int {
	n := 0
	m.Visit(f, func(Ref, int) { n++ })
	return n
}

// Visit calls visit for every node of f once, with its level.
func (m *Manager) Visit(f Ref, visit func(f Ref, level int)) {
	seen := map[Ref]bool{}
	var walk func(Ref)
	walk = func(f Ref) {
		if seen[f] {
			return
		}
		seen[f] = true
		n := m.nodes[f]
		visit(f, int(n.level))
		if n.level != LeafLevel {
			walk(n.lo)
			walk(n.hi)
		}
	}
	walk(f)
}
