package policy

import (
	"math/bits"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// An expr is a condition on a call's instruction pointer and arguments, which
// can be printed, evaluated, and turned into a diagram.
type expr interface {
	// diagram returns the condition's diagram in a Manager of a form.
	diagram(m *bdd.Manager, form Form) bdd.Ref
	eval(d *bpf.Data) bool
	// cost measures how much there is to read.
	cost() int
	format(n *naming) string
}

// An operand is the instruction pointer, 0, or argument i-1: the 64-bit values
// of a call in the order of their levels.
type operand64 int

func (o operand64) level() int { return levelFree + 64*int(o) }

func (o operand64) of(d *bpf.Data) uint64 {
	if o == 0 {
		return d.IP
	}
	return d.Args[o-1]
}

// bit returns the diagram of one of the operand's bits, 0 being the least
// significant.
func (o operand64) bit(m *bdd.Manager, form Form, i int) bdd.Ref {
	w := wordIPLow + 2*word(o)
	if i >= 32 {
		w--
	}
	return m.Var(form.level(w, i%32))
}

// A part of an operand.
type part uint8

const (
	whole part = iota
	lower      // its low 32 bits
	upper      // its high 32 bits
)

func (p part) bits() int {
	if p == whole {
		return 64
	}
	return 32
}

func (p part) of(v uint64) uint64 {
	switch p {
	case lower:
		return v & (1<<32 - 1)
	case upper:
		return v >> 32
	}
	return v
}

// level returns the level of the part's highest bit.
func (p part) level(o operand64) int {
	if p == lower {
		return o.level() + 32
	}
	return o.level()
}

// span is an inclusive range of values.
type span struct{ first, last uint64 }

// always is the condition that holds, or does not, everywhere.
type always bool

func (e always) diagram(*bdd.Manager, Form) bdd.Ref {
	if e {
		return bdd.True
	}
	return bdd.False
}
func (e always) eval(*bpf.Data) bool { return bool(e) }
func (e always) cost() int           { return 0 }

// in holds where a part of an operand is in one of the spans, or in none.
type in struct {
	operand operand64
	part    part
	spans   []span // ascending, not adjacent
	not     bool
}

func (e *in) eval(d *bpf.Data) bool {
	v := e.part.of(e.operand.of(d))
	for _, s := range e.spans {
		if s.first <= v && v <= s.last {
			return !e.not
		}
	}
	return e.not
}

func (e *in) cost() int {
	n := 0
	for _, s := range e.spans {
		n += 2
		if s.first != s.last {
			n++
		}
	}
	return n
}

func (e *in) diagram(m *bdd.Manager, form Form) bdd.Ref {
	r := bdd.False
	v := term{e.operand, e.part}
	for _, s := range e.spans {
		// From the least significant bit up: whether what is below is at
		// least first, and at most last.
		least, most := bdd.True, bdd.True
		for i := range e.part.bits() {
			bit := v.bit(m, form, i)
			if s.first>>i&1 != 0 {
				least = m.And(bit, least)
			} else {
				least = m.Or(bit, least)
			}
			if s.last>>i&1 != 0 {
				most = m.Or(m.Not(bit), most)
			} else {
				most = m.And(m.Not(bit), most)
			}
		}
		r = m.Or(r, m.And(least, most))
	}
	if e.not {
		r = m.Not(r)
	}
	return r
}

// masked holds where the bits of an operand chosen by mask are one of the
// values, or none.
type masked struct {
	operand operand64
	mask    uint64
	values  []uint64
	not     bool
}

func (e *masked) eval(d *bpf.Data) bool {
	v := e.operand.of(d) & e.mask
	for _, w := range e.values {
		if v == w {
			return !e.not
		}
	}
	return e.not
}

func (e *masked) cost() int {
	n := len(e.values)
	if inverted(e.part(), e.part().of(e.mask)) {
		return 2 + 3*n // a list of values reads better, if it is not much longer
	}
	return 1 + 2*n
}

func (e *masked) diagram(m *bdd.Manager, form Form) bdd.Ref {
	r := bdd.False
	for _, v := range e.values {
		c := bdd.True
		for i := range 64 {
			if e.mask>>i&1 == 0 {
				continue
			}
			bit := e.operand.bit(m, form, i)
			if v>>i&1 == 0 {
				bit = m.Not(bit)
			}
			c = m.And(bit, c)
		}
		r = m.Or(r, c)
	}
	if e.not {
		r = m.Not(r)
	}
	return r
}

// part returns the part of its operand that e looks at.
func (e *masked) part() part {
	switch {
	case bits.Len64(e.mask) <= 32:
		return lower
	case uint32(e.mask) == 0:
		return upper
	}
	return whole
}

// allOf holds where each of its conditions does, anyOf where one of them does.
type (
	allOf []expr
	anyOf []expr
)

func (e allOf) diagram(m *bdd.Manager, form Form) bdd.Ref {
	r := bdd.True
	for i := len(e) - 1; i >= 0; i-- {
		r = m.And(e[i].diagram(m, form), r)
	}
	return r
}

func (e anyOf) diagram(m *bdd.Manager, form Form) bdd.Ref {
	r := bdd.False
	for i := len(e) - 1; i >= 0; i-- {
		r = m.Or(e[i].diagram(m, form), r)
	}
	return r
}

func (e allOf) eval(d *bpf.Data) bool {
	for _, x := range e {
		if !x.eval(d) {
			return false
		}
	}
	return true
}

func (e anyOf) eval(d *bpf.Data) bool {
	for _, x := range e {
		if x.eval(d) {
			return true
		}
	}
	return false
}

func (e allOf) cost() int { return costs(e) }
func (e anyOf) cost() int { return costs(e) }

func costs(list []expr) int {
	n := 0
	for _, e := range list {
		n += e.cost()
	}
	return n
}

// negation holds where its condition does not.
type negation struct{ of expr }

func (e negation) diagram(m *bdd.Manager, form Form) bdd.Ref { return m.Not(e.of.diagram(m, form)) }
func (e negation) eval(d *bpf.Data) bool                     { return !e.of.eval(d) }
func (e negation) cost() int                                 { return e.of.cost() + 1 }

// not returns the negation of e, in the simplest form.
func not(e expr) expr {
	switch e := e.(type) {
	case always:
		return !e
	case negation:
		return e.of
	case *in:
		n := *e
		n.not = !n.not
		return &n
	case *masked:
		n := *e
		n.not = !n.not
		return &n
	case *relation:
		n := *e
		n.not = !n.not
		return &n
	case allOf:
		if len(e) <= 2 {
			return anyOf(each(e, not))
		}
	case anyOf:
		if len(e) <= 2 {
			return allOf(each(e, not))
		}
	}
	return negation{e}
}

func each(list []expr, f func(expr) expr) []expr {
	r := make([]expr, len(list))
	for i, e := range list {
		r[i] = f(e)
	}
	return r
}

// and and or join conditions and drop what is superfluous.

func and(list ...expr) expr {
	var r allOf
	for _, e := range list {
		switch e := e.(type) {
		case always:
			if !e {
				return e
			}
		case allOf:
			r = append(r, e...)
		default:
			r = append(r, e)
		}
	}
	switch len(r) {
	case 0:
		return always(true)
	case 1:
		return r[0]
	}
	return r
}

func or(list ...expr) expr {
	var r anyOf
	for _, e := range list {
		switch e := e.(type) {
		case always:
			if e {
				return e
			}
		case anyOf:
			r = append(r, e...)
		default:
			r = append(r, e)
		}
	}
	switch len(r) {
	case 0:
		return always(false)
	case 1:
		return r[0]
	}
	return r
}
