package policy

import (
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// A Range is an inclusive range of values of an argument.
type Range struct{ First, Last uint64 }

// Masked is a test of bits of an argument: arg&Mask == Value.
type Masked struct{ Mask, Value uint64 }

// A Factor is what a condition asks of one argument, in each way that does not take
// too much: to have a value in one of the ranges, which are in ascending order, and
// Bits is 64 or, where only the low word is looked at, 32; to pass one of the tests
// of In; or to pass none of those of Out.
type Factor struct {
	Arg, Bits int
	Ranges    []Range
	In, Out   []Masked
}

// Factors returns a condition, or its opposite, as a conjunction of what it asks of
// each argument by itself. ok is false for others, for what takes too much in every
// way, and where the instruction pointer is looked at.
func (c *Condition) Factors(opposite bool) (factors []Factor, ok bool) {
	c.sequentially(func(x *expresser, f bdd.Ref) {
		if opposite {
			f = x.m.Not(f)
		}
		factors, ok = x.factors(f)
	})
	return factors, ok
}

func (x *expresser) factors(f bdd.Ref) (factors []Factor, ok bool) {
	for !x.m.IsLeaf(f) {
		o := operand64((x.m.Level(f) - levelFree) / 64)
		end := o.level() + 64
		rest := bdd.False // what must hold of the others
		for _, sub := range x.m.Below(f, end) {
			if sub != bdd.False && rest != bdd.False || o == 0 {
				return nil, false
			}
			if sub != bdd.False {
				rest = sub
			}
		}
		values := x.m.Replace(f, end, func(g bdd.Ref) bdd.Ref {
			if g == rest {
				return bdd.True
			}
			return bdd.False
		})
		factor, ok := x.factor(o, values)
		if !ok {
			return nil, false
		}
		factors = append(factors, factor)
		f = rest
	}
	return factors, f == bdd.True
}

// factor returns a diagram that depends on one operand only as a Factor.
func (x *expresser) factor(o operand64, values bdd.Ref) (f Factor, ok bool) {
	f = Factor{Arg: int(o) - 1, Bits: 64, In: x.masked(o, values), Out: x.masked(o, x.m.Not(values))}
	e, _ := x.spans(o, values).(*in)
	if e == nil {
		return f, f.In != nil || f.Out != nil
	}
	if e.part == lower {
		f.Bits = 32
	}
	for _, s := range e.spans {
		if e.part == upper {
			s = span{s.first << 32, s.last<<32 | (1<<32 - 1)}
		}
		f.Ranges = append(f.Ranges, Range{s.first, s.last})
	}
	return f, true
}

// masked returns a diagram that depends on one operand only as tests of which one has
// to pass, nil if that takes too many.
func (x *expresser) masked(o operand64, values bdd.Ref) (list []Masked) {
	c := cover{m: x.m}
	cubes, _ := c.isop(values, values)
	if c.failed {
		return nil
	}
	for _, q := range cubes {
		list = append(list, Masked{q.mask[o], q.value[o]})
	}
	return list
}

// A Cube is a conjunction of tests of bits of the arguments: args[i]&Mask[i] ==
// Value[i] for each.
type Cube struct{ Mask, Value [6]uint64 }

// Cubes returns a condition as a disjunction of cubes. ok is false if that takes
// too many, or looks at the instruction pointer.
func (c *Condition) Cubes() (cubes []Cube, ok bool) {
	c.sequentially(func(x *expresser, f bdd.Ref) {
		cover := cover{m: x.m}
		list, _ := cover.isop(f, f)
		if ok = !cover.failed; !ok {
			return
		}
		for _, q := range list {
			ok = ok && q.mask[0] == 0
			cubes = append(cubes, Cube{[6]uint64(q.mask[1:]), [6]uint64(q.value[1:])})
		}
	})
	if !ok {
		return nil, false
	}
	return cubes, true
}

// sequentially calls do with the condition's diagram in sequential form, if there
// is room for that.
func (c *Condition) sequentially(do func(x *expresser, f bdd.Ref)) {
	m := bdd.New(conditionNodes)
	// Without room, nothing is done.
	_ = m.Try(conditionNodes, func() {
		do(&expresser{m: m, memo: map[bdd.Ref]expr{}}, c.form.in(m, Sequential, c.diagram))
	})
}
