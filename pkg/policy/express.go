package policy

import (
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// What an expr may cost before it is given up for a table, and what looking for
// it may.
const (
	maxCost    = 50
	maxSpans   = 24
	maxBranch  = 12 // different sub-diagrams below one operand
	maxCubes   = 24
	maxISOP    = 4000 // recursive steps
	coverNodes = 600  // nodes of a diagram that a cover is looked for
	simple     = 4    // what is as cheap as this is not improved on
)

// express returns the cheapest expr found for a Boolean diagram of sequential
// form, nil if each would be too long to read.
func express(m *bdd.Manager, f bdd.Ref) expr {
	x := expresser{m: m, memo: map[bdd.Ref]expr{}}
	g := m.Not(f)
	best := x.improve(cheapest(x.structured(f), negated(x.structured(g))), f, g)
	if best == nil || best.cost() > maxCost {
		return nil
	}
	return best
}

func negated(e expr) expr {
	if e == nil {
		return nil
	}
	return not(e)
}

// cheapest returns the first of the cheapest, ignoring nil.
func cheapest(list ...expr) expr {
	var best expr
	for _, e := range list {
		if e != nil && (best == nil || e.cost() < best.cost()) {
			best = e
		}
	}
	return best
}

type expresser struct {
	m    *bdd.Manager
	memo map[bdd.Ref]expr
}

// structured follows the order of the operands: a disjunction, over the
// different things that can follow the first operand, of what that operand
// must be and what the others.
func (x *expresser) structured(f bdd.Ref) expr {
	if x.m.IsLeaf(f) {
		return always(f == bdd.True)
	}
	if e, ok := x.memo[f]; ok {
		return e
	}
	x.memo[f] = nil
	first := operand64((x.m.Level(f) - levelFree) / 64)
	end := first.level() + 64
	below := x.m.Below(f, end)
	if len(below) > maxBranch {
		return nil
	}
	var terms []expr
	for _, sub := range below {
		if sub == bdd.False {
			continue
		}
		values := x.single(first, x.m.Replace(f, end, func(g bdd.Ref) bdd.Ref {
			if g == sub {
				return bdd.True
			}
			return bdd.False
		}))
		rest := x.structured(sub)
		if values == nil || rest == nil {
			return nil
		}
		terms = append(terms, and(values, rest))
	}
	// What holds whatever follows comes first.
	slices.SortStableFunc(terms, func(a, b expr) int { return a.cost() - b.cost() })
	e := or(terms...)
	if e.cost() > maxCost {
		e = nil
	}
	x.memo[f] = e
	return e
}

// single returns an expr for a diagram that depends on one operand only.
func (x *expresser) single(o operand64, f bdd.Ref) expr {
	if x.m.IsLeaf(f) {
		return always(f == bdd.True)
	}
	g := x.m.Not(f)
	return x.improve(cheapest(x.spans(o, f), negated(x.spans(o, g))), f, g)
}

// improve returns e, or a cover of f or of its negation g if that is cheaper.
func (x *expresser) improve(e expr, f, g bdd.Ref) expr {
	if e != nil && e.cost() <= simple {
		return e
	}
	return cheapest(e, x.covered(f), negated(x.covered(g)))
}

// spans returns f as the ranges of values for which it holds.
func (x *expresser) spans(o operand64, f bdd.Ref) expr {
	e := &in{operand: o, part: x.partOf(o, f)}
	complete := true
	x.m.Runs(f, e.part.level(o), e.part.bits(), func(first, last uint64, sub bdd.Ref) bool {
		if sub == bdd.True {
			e.spans = append(e.spans, span{first, last})
		}
		complete = len(e.spans) <= maxSpans
		return complete
	})
	if !complete {
		return nil
	}
	return e
}

// partOf returns the part of the operand that f depends on. The high word can
// only stand alone if nothing of the low word follows it.
func (x *expresser) partOf(o operand64, f bdd.Ref) part {
	if x.m.Level(f) >= o.level()+32 {
		return lower
	}
	p := upper
	x.m.Visit(f, func(_ bdd.Ref, level int) {
		if level != bdd.LeafLevel && level >= o.level()+32 {
			p = whole
		}
	})
	return p
}

// A cube is a conjunction of tests of single bits, given by which bits of each
// operand are tested and for what.
type cube struct{ mask, value [7]uint64 }

// covered returns f as a disjunction of cubes, with those that belong together
// taken together.
func (x *expresser) covered(f bdd.Ref) expr {
	if x.m.Count(f) > coverNodes {
		return nil
	}
	c := cover{m: x.m}
	cubes, _ := c.isop(f, f)
	if c.failed || len(cubes) > maxCubes {
		return nil
	}
	return joinCubes(cubes)
}

func joinCubes(cubes []cube) expr {
	var list []expr
	singles := map[operand64]*[2]uint64{} // bits that alone suffice if 0, if 1
	type key struct {
		operand operand64
		mask    uint64
	}
	sets := map[key]*masked{}
	for _, c := range cubes {
		o, one := c.operand()
		if !one {
			list = append(list, c.expr())
			continue
		}
		mask, value := c.mask[o], c.value[o]
		if mask&(mask-1) == 0 {
			if singles[o] == nil {
				singles[o] = new([2]uint64)
				for bit := range 2 {
					list = append(list, &masked{operand: o, values: []uint64{uint64(bit)}})
				}
			}
			if value == 0 {
				singles[o][0] |= mask
			} else {
				singles[o][1] |= mask
			}
			continue
		}
		if s := sets[key{o, mask}]; s != nil {
			s.values = append(s.values, value)
			continue
		}
		s := &masked{operand: o, mask: mask, values: []uint64{value}}
		sets[key{o, mask}] = s
		list = append(list, s)
	}
	// Placeholders of single bits get their masks: one of them is 0 where not
	// all are 1, one is 1 where not all are 0.
	var done []expr
	for _, e := range list {
		s, ok := e.(*masked)
		if ok && s.mask == 0 {
			ones := s.values[0] == 1
			mask := singles[s.operand][s.values[0]]
			if mask == 0 {
				continue
			}
			s = &masked{operand: s.operand, mask: mask, values: []uint64{0}, not: true}
			switch {
			case ones:
			case mask&(mask-1) == 0:
				s.not = false
			default:
				s.values[0] = mask
			}
		}
		if ok {
			slices.Sort(s.values)
			e = s.simplify()
		}
		done = append(done, e)
	}
	return or(done...)
}

// simplify returns e as a test of plain values where the mask leaves nothing
// out.
func (e *masked) simplify() expr {
	p := whole
	switch e.mask {
	case 1<<64 - 1:
	case 1<<32 - 1:
		p = lower
	case (1<<32 - 1) << 32:
		p = upper
	default:
		return e
	}
	r := &in{operand: e.operand, part: p, not: e.not}
	for _, v := range e.values {
		v = p.of(v)
		if n := len(r.spans); n > 0 && r.spans[n-1].last+1 == v {
			r.spans[n-1].last = v
			continue
		}
		r.spans = append(r.spans, span{v, v})
	}
	return r
}

// operand returns the only operand that c tests, if it is one.
func (c *cube) operand() (o operand64, one bool) {
	n := 0
	for i, mask := range c.mask {
		if mask != 0 {
			o = operand64(i)
			n++
		}
	}
	return o, n == 1
}

func (c *cube) expr() expr {
	var e []expr
	for i, mask := range c.mask {
		if mask != 0 {
			e = append(e, (&masked{operand: operand64(i), mask: mask, values: []uint64{c.value[i]}}).simplify())
		}
	}
	return and(e...)
}

// cover computes irredundant sums of products by the algorithm of Minato and
// Morreale (Minato, "Fast generation of irredundant sum-of-products forms from
// binary decision diagrams", SASIMI 1992).
type cover struct {
	m      *bdd.Manager
	steps  int
	failed bool
}

// isop returns cubes whose union holds at least where lower does and at most
// where upper does, and that union.
func (c *cover) isop(lower, upper bdd.Ref) ([]cube, bdd.Ref) {
	if c.steps++; c.steps > maxISOP {
		c.failed = true
	}
	switch {
	case c.failed, lower == bdd.False:
		return nil, bdd.False
	case upper == bdd.True:
		return []cube{{}}, bdd.True
	}
	m := c.m
	level := min(m.Level(lower), m.Level(upper))
	l0, l1 := m.Cofactors(lower, level)
	u0, u1 := m.Cofactors(upper, level)
	cubes0, f0 := c.isop(m.And(l0, m.Not(u1)), u0)
	cubes1, f1 := c.isop(m.And(l1, m.Not(u0)), u1)
	either := m.Or(m.And(l0, m.Not(f0)), m.And(l1, m.Not(f1)))
	cubes, f := c.isop(either, m.And(u0, u1))
	if len(cubes0)+len(cubes1)+len(cubes) > 2*maxCubes {
		c.failed = true
		return nil, bdd.False
	}
	o, bit := (level-levelFree)/64, uint64(1)<<(63-(level-levelFree)%64)
	for _, q := range cubes0 {
		q.mask[o] |= bit
		cubes = append(cubes, q)
	}
	for _, q := range cubes1 {
		q.mask[o] |= bit
		q.value[o] |= bit
		cubes = append(cubes, q)
	}
	return cubes, m.Node(level, m.Or(f0, f), m.Or(f1, f))
}
