package policy

import (
	"fmt"
	"math/bits"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// A term is a part of an operand, as one side of a relation.
type term struct {
	operand operand64
	part    part
}

func (t term) of(d *bpf.Data) uint64 { return t.part.of(t.operand.of(d)) }

// bit returns the diagram of one of the term's bits, 0 being the least significant.
func (t term) bit(m *bdd.Manager, form Form, i int) bdd.Ref {
	if t.part == upper {
		i += 32
	}
	return t.operand.bit(m, form, i)
}

// operator is how two terms are related.
type operator uint8

const (
	equalTo operator = iota // x == y, of the bits in k
	lessThan
	atMost
	sumIs        // x + y == k, modulo 2^32
	differenceIs // x - y == k, modulo 2^32
	disjoint     // x & y == 0
)

// A relation holds, or does not, of parts of two operands: what a comparison with X
// tests, or one of what was computed of both. The parts are equally wide.
type relation struct {
	x, y term
	op   operator
	k    uint64
	not  bool
}

func (e *relation) cost() int {
	if e.op == equalTo && !e.plain() {
		return 5
	}
	return 4
}

// plain tells whether all bits are compared.
func (e *relation) plain() bool { return e.k == e.x.part.of(^uint64(0)) }

func (e *relation) eval(d *bpf.Data) bool {
	x, y := e.x.of(d), e.y.of(d)
	holds := false
	switch e.op {
	case equalTo:
		holds = (x^y)&e.k == 0
	case lessThan:
		holds = x < y
	case atMost:
		holds = x <= y
	case sumIs:
		holds = uint32(x+y) == uint32(e.k)
	case differenceIs:
		holds = uint32(x-y) == uint32(e.k)
	case disjoint:
		holds = x&y == 0
	}
	return holds != e.not
}

func (e *relation) diagram(m *bdd.Manager, form Form) bdd.Ref {
	r := bdd.True
	if e.op == lessThan {
		r = bdd.False
	}
	carry := bdd.False
	for i := range e.x.part.bits() { // from the least significant bit up
		x, y := e.x.bit(m, form, i), e.y.bit(m, form, i)
		switch e.op {
		case equalTo:
			if e.k>>i&1 != 0 {
				r = m.And(r, m.Not(m.Xor(x, y)))
			}
		case lessThan, atMost:
			r = m.ITE(m.Xor(x, y), y, r)
		case disjoint:
			r = m.And(r, m.Not(m.And(x, y)))
		case sumIs:
			sum := m.Xor(m.Xor(x, y), carry)
			r = m.And(r, m.Not(m.Xor(sum, bdd.Ref(e.k>>i&1))))
			carry = m.Or(m.And(x, y), m.And(carry, m.Xor(x, y)))
		case differenceIs: // y + k is x
			k := bdd.Ref(e.k >> i & 1)
			sum := m.Xor(m.Xor(y, k), carry)
			r = m.And(r, m.Not(m.Xor(sum, x)))
			carry = m.Or(m.And(y, k), m.And(carry, m.Xor(y, k)))
		}
	}
	if e.not {
		r = m.Not(r)
	}
	return r
}

func (e *relation) format(n *naming) string {
	x, y := n.name(e.x.operand, e.x.part), n.name(e.y.operand, e.y.part)
	switch e.op {
	case equalTo:
		if !e.plain() {
			mask := number(e.k)
			x, y = x+" & "+mask, y+" & "+mask
		}
		return x + [2]string{" == ", " != "}[index(e.not)] + y
	case lessThan:
		return x + [2]string{" < ", " >= "}[index(e.not)] + y
	case atMost:
		return x + [2]string{" <= ", " > "}[index(e.not)] + y
	case disjoint:
		return fmt.Sprintf("%s & %s %s 0", n.word(e.x), n.word(e.y), [2]string{"==", "!="}[index(e.not)])
	}
	// What is added has 32 bits, and so has the sum.
	x, y = n.word(e.x), n.word(e.y)
	sign := [2]string{"+", "-"}[index(e.op == differenceIs)]
	return fmt.Sprintf("%s %s %s %s %s", x, sign, y, [2]string{"==", "!="}[index(e.not)], number(e.k))
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// word is the name of a term of 32 bits, as a value of that width.
func (n *naming) word(t term) string {
	name := n.name(t.operand, t.part)
	if t.part == upper {
		return "(u32)(" + name + ")"
	}
	return name
}

// relater looks for relations between arguments. Its Manager has the interleaved
// form: in the other one relations have no diagram of reasonable size.
type relater struct {
	m *bdd.Manager
	// simple puts into words what relates no arguments, nil if there are too many.
	simple func(f bdd.Ref) expr
	tried  int
}

const (
	// relatedNodes is what looking for relations in one condition may take.
	relatedNodes = 1 << 14
	// relatedWords is how many words of a call a condition may look at in which
	// relations are looked for.
	relatedWords = 6
	// relatedDepth is of how many relations one condition can be made.
	relatedDepth = 2
	// relatedMisses is in how many conditions of one list they are looked for in vain.
	relatedMisses = 16
	// relatedTries is for how many diagrams words are looked for.
	relatedTries = 16
)

// express returns the first expr found that is made of a relation and what holds
// where it does and where it does not; nil if there is none.
func (r *relater) express(f bdd.Ref, depth int) expr {
	if r.tried++; r.tried > relatedTries {
		return nil
	}
	if e := r.simple(f); e != nil || depth == 0 {
		return e
	}
	list, g := r.candidates(f), r.m.Not(f)
	diagrams := make([]bdd.Ref, len(list))
	for i, e := range list {
		switch diagrams[i] = e.diagram(r.m, Interleaved); diagrams[i] {
		case f:
			return e
		case g:
			return not(e)
		}
	}
	size := r.m.Count(f)
	for i, e := range list {
		// Where the relation is one of those that f is made of, it disappears.
		where, elsewhere := r.m.Restrict(f, diagrams[i]), r.m.Restrict(f, r.m.Not(diagrams[i]))
		if 2*(r.m.Count(where)+r.m.Count(elsewhere)) > size {
			continue
		}
		x := r.express(where, depth-1)
		if x == nil {
			continue
		}
		if y := r.express(elsewhere, depth-1); y != nil {
			if e := choose(e, x, y); e.cost() <= maxCost {
				return e
			}
		}
	}
	return nil
}

// choose is x where e holds, and else y.
func choose(e, x, y expr) expr {
	switch {
	case x == always(true):
		return or(e, y)
	case y == always(true):
		return or(not(e), x)
	}
	return or(and(e, x), and(not(e), y))
}

// candidates are relations between the words that f depends on. The constants are
// those of a call for which f holds, and of one for which it does not: if a sum is
// all that f looks at, it is one of theirs.
func (r *relater) candidates(f bdd.Ref) (list []*relation) {
	var looked [words]uint32
	n := 0
	r.m.Visit(f, func(_ bdd.Ref, level int) {
		if level == bdd.LeafLevel {
			return
		}
		w, bit := Interleaved.bitOf(level)
		if looked[w] == 0 {
			n++
		}
		looked[w] |= 1 << bit
	})
	if n > relatedWords {
		return nil
	}
	yes, no := lowest(r.m, Interleaved, f), lowest(r.m, Interleaved, r.m.Not(f))
	half := func(w word) term { return term{operandOf(w), [2]part{upper, lower}[w%2]} }
	for x := wordIPHigh; x < words; x++ {
		for y := x + 1; y < words; y++ {
			if looked[x] == 0 || looked[y] == 0 || operandOf(x) == operandOf(y) {
				continue
			}
			if x%2 == 0 && y%2 == 0 && looked[x+1] != 0 && looked[y+1] != 0 {
				a, b := term{operandOf(x), whole}, term{operandOf(y), whole}
				both := func(w word) uint64 { return uint64(looked[w])<<32 | uint64(looked[w+1]) }
				list = append(list, compared(a, b, both(x)&both(y))...)
			}
			a, b := half(x), half(y)
			list = append(list, compared(a, b, uint64(looked[x]&looked[y]))...)
			list = append(list, &relation{x: a, y: b, op: disjoint})
			for _, d := range []*bpf.Data{&yes, &no} {
				u, v := uint32(a.of(d)), uint32(b.of(d))
				list = append(list, &relation{x: a, y: b, op: sumIs, k: uint64(u + v)})
				if u != v {
					list = append(list, &relation{x: a, y: b, op: differenceIs, k: uint64(u - v)})
				}
			}
		}
	}
	return list
}

// compared are the comparisons of two terms, equality of those bits only that are in
// a mask.
func compared(a, b term, mask uint64) (list []*relation) {
	if mask != 0 {
		list = append(list, &relation{x: a, y: b, op: equalTo, k: mask})
	}
	if bits.OnesCount64(mask) > 1 {
		list = append(list, &relation{x: a, y: b, op: lessThan}, &relation{x: a, y: b, op: atMost})
	}
	return list
}

// operandOf is the operand of which a word is a half.
func operandOf(w word) operand64 { return operand64(w-wordIPHigh) / 2 }
