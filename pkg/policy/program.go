package policy

import (
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// A program is a filter on its way to a diagram.
//
// The diagram of the program from an instruction on, in a state of the machine,
// is that of a return if it is one, and for a comparison
//
//	F(pc, state) = ITE(condition, F(pc+1+jt, state), F(pc+1+jf, state))
//
// where the state's values are functions of the call. No path condition is
// needed, as F says what the program would return for every call, also for
// those that do not get there. So F depends on nothing but the instruction and
// the values that can still be read, and each such state is computed once: for
// a program without arithmetic there are about as many as instructions, however
// many paths lead to them.
type program struct {
	*builder
	filter bpf.Filter
	live   []registers // what can be read from each instruction on
	done   map[point]bdd.Ref
}

// A state is what the registers hold; those that are dead, constant 0.
type state struct {
	a, x value
	m    [bpf.MemWords]value
}

type point struct {
	pc int
	state
}

// registers is a set of them: bit i for M[i], and these.
type registers uint32

const (
	regA registers = 1 << (bpf.MemWords + iota)
	regX
)

// program returns the diagram of f, with raw return values. It must be one that
// the kernel would accept.
func (b *builder) program(f bpf.Filter) bdd.Ref {
	p := &program{builder: b, filter: f, live: liveness(f), done: map[point]bdd.Ref{}}
	zero := constant(0)
	s := state{a: zero, x: zero}
	for i := range s.m {
		s.m[i] = zero
	}
	return p.from(0, s)
}

// liveness returns for each instruction the registers whose values can be read
// there or later.
func liveness(f bpf.Filter) []registers {
	live := make([]registers, len(f))
	for pc := len(f) - 1; pc >= 0; pc-- {
		i := f[pc]
		var after registers
		switch {
		case isReturn(i.Op):
		case i.Op == bpf.Ja:
			after = live[pc+1+int(i.K)]
		case isComparison(i.Op):
			after = live[pc+1+int(i.Jt)] | live[pc+1+int(i.Jf)]
		default:
			after = live[pc+1]
		}
		reads, writes := effect(i)
		live[pc] = after&^writes | reads
	}
	return live
}

func isReturn(o bpf.Op) bool { return o == bpf.RetK || o == bpf.RetA }

func isComparison(o bpf.Op) bool {
	switch o {
	case bpf.JeqK, bpf.JeqX, bpf.JgtK, bpf.JgtX, bpf.JgeK, bpf.JgeX, bpf.JsetK, bpf.JsetX:
		return true
	}
	return false
}

// effect returns what an instruction reads and writes.
func effect(i bpf.Instruction) (reads, writes registers) {
	switch i.Op {
	case bpf.LdImm, bpf.LdAbsW, bpf.LdLen:
		return 0, regA
	case bpf.LdxImm, bpf.LdxLen:
		return 0, regX
	case bpf.LdMem:
		return 1 << i.K, regA
	case bpf.LdxMem:
		return 1 << i.K, regX
	case bpf.St:
		return regA, 1 << i.K
	case bpf.Stx:
		return regX, 1 << i.K
	case bpf.Tax:
		return regA, regX
	case bpf.Txa:
		return regX, regA
	case bpf.RetK, bpf.Ja:
		return 0, 0
	case bpf.RetA, bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK:
		return regA, 0
	case bpf.JeqX, bpf.JgtX, bpf.JgeX, bpf.JsetX:
		return regA | regX, 0
	case bpf.AddX, bpf.SubX, bpf.MulX, bpf.DivX, bpf.OrX, bpf.AndX, bpf.LshX, bpf.RshX, bpf.XorX:
		return regA | regX, regA
	}
	return regA, regA // the others of arithmetic
}

// blank returns s without the values that cannot be read any more.
func (s state) blank(live registers) state {
	zero := constant(0)
	if live&regA == 0 {
		s.a = zero
	}
	if live&regX == 0 {
		s.x = zero
	}
	for i := range s.m {
		if live&(1<<i) == 0 {
			s.m[i] = zero
		}
	}
	return s
}

// from returns the diagram of the program from pc on.
func (p *program) from(pc int, s state) bdd.Ref {
	start := point{pc, s.blank(p.live[pc])}
	if r, ok := p.done[start]; ok {
		return r
	}
	if p.stated++; p.stated > p.limits.states {
		return p.undecided()
	}
	r := p.run(pc, start.state)
	p.done[start] = r
	return r
}

// run follows the program up to where it returns or branches.
func (p *program) run(pc int, s state) bdd.Ref {
	for ; ; pc++ {
		if p.worked++; p.worked > p.limits.work {
			return p.undecided()
		}
		switch i := p.filter[pc]; i.Op {
		case bpf.RetK:
			return p.returns(constant(i.K))
		case bpf.RetA:
			return p.returns(s.a)
		case bpf.Ja:
			pc += int(i.K)
		case bpf.LdImm:
			s.a = constant(i.K)
		case bpf.LdLen:
			s.a = constant(bpf.DataSize)
		case bpf.LdAbsW:
			s.a = p.load(i.K)
		case bpf.LdMem:
			s.a = s.m[i.K]
		case bpf.LdxImm:
			s.x = constant(i.K)
		case bpf.LdxLen:
			s.x = constant(bpf.DataSize)
		case bpf.LdxMem:
			s.x = s.m[i.K]
		case bpf.St:
			s.m[i.K] = s.a
		case bpf.Stx:
			s.m[i.K] = s.x
		case bpf.Tax:
			s.x = s.a
		case bpf.Txa:
			s.a = s.x
		case bpf.DivX:
			if s.x == constant(0) {
				return p.returns(constant(0))
			}
			zero := p.compare(bpf.JeqK, s.x, constant(0))
			s.a = p.arithmetic(i.Op, s.a, s.x)
			if zero == (bounds{}) {
				continue
			}
			return p.branch(zero,
				func() bdd.Ref { return p.returns(constant(0)) },
				func() bdd.Ref { return p.from(pc+1, s) })
		case bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK,
			bpf.JeqX, bpf.JgtX, bpf.JgeX, bpf.JsetX:
			return p.branch(p.compare(i.Op, s.a, operand(i, s)),
				func() bdd.Ref { return p.from(pc+1+int(i.Jt), s) },
				func() bdd.Ref { return p.from(pc+1+int(i.Jf), s) })
		default:
			s.a = p.arithmetic(i.Op, s.a, operand(i, s))
		}
	}
}

// operand returns the second operand of arithmetic or of a comparison.
func operand(i bpf.Instruction, s state) value {
	const sourceX = 0x08 // BPF_X
	if i.Op&sourceX != 0 {
		return s.x
	}
	return constant(i.K)
}

// load returns the word at a byte offset of seccomp_data.
func (b *builder) load(offset uint32) value {
	w := wordAt(offset, b.order)
	if b.fixed != nil && w < wordIPHigh {
		return constant(b.fixed[w])
	}
	x := vector{}
	for i := range x {
		x[i] = b.bit(func() bdd.Ref { return b.m.Var(b.form.level(w, i)) })
	}
	return b.intern(&x)
}

// returns is the diagram of a return of v.
func (b *builder) returns(v value) bdd.Ref {
	if k, ok := v.constant(); ok {
		return b.attemptTree(func() bdd.Ref { return b.m.Leaf(uint64(k)) })
	}
	x := b.vector(v)
	return b.attemptTree(func() bdd.Ref {
		r := b.m.Leaf(0)
		for i, bit := range x {
			if bit == bdd.False {
				continue
			}
			set := b.m.Map(r, func(v uint64) uint64 {
				if v == undecided {
					return v
				}
				return v | 1<<i
			})
			switch bit {
			case unknown:
				r = b.m.Apply(b.join, set, r)
			default:
				r = b.m.ITE(bit, set, r)
			}
		}
		return r
	})
}

// branch joins what happens where a condition holds and where it does not.
func (b *builder) branch(c bounds, yes, no func() bdd.Ref) bdd.Ref {
	if c.must == bdd.True {
		return yes()
	}
	if c.may == bdd.False {
		return no()
	}
	y, n := yes(), no()
	return b.attemptTree(func() bdd.Ref {
		if c.may == c.must {
			return b.m.ITE(c.must, y, n)
		}
		either := b.m.Apply(b.join, y, n)
		return b.m.ITE(c.must, y, b.m.ITE(c.may, either, n))
	})
}

// compare returns where a comparison holds.
func (b *builder) compare(op bpf.Op, x, y value) bounds {
	u, v := b.vector(x), b.vector(y)
	r := anything
	if !b.attempt(func() {
		switch op {
		case bpf.JeqK, bpf.JeqX:
			r = b.equal(u, v)
		case bpf.JgtK, bpf.JgtX:
			r = b.greater(u, v)
		case bpf.JgeK, bpf.JgeX:
			r = b.greaterOrEqual(u, v)
		case bpf.JsetK, bpf.JsetX:
			r = b.intersects(u, v)
		}
	}) {
		return anything
	}
	return r
}

// arithmetic returns x op y.
func (b *builder) arithmetic(op bpf.Op, x, y value) value {
	key := operation{op, x, y}
	if r, ok := b.results[key]; ok {
		return r
	}
	u, v := b.vector(x), b.vector(y)
	var r *vector
	switch op {
	case bpf.AddK, bpf.AddX:
		r = b.add(u, v, bdd.False)
	case bpf.SubK, bpf.SubX:
		r = b.sub(u, v)
	case bpf.Neg:
		r = b.sub(&vector{}, u)
	case bpf.MulK, bpf.MulX:
		if _, ok := x.constant(); ok {
			u, v = v, u
		}
		r = b.mul(u, v)
	case bpf.DivK, bpf.DivX:
		r = b.div(u, v)
	case bpf.OrK, bpf.OrX:
		r = b.bitwise(u, v, b.or)
	case bpf.AndK, bpf.AndX:
		r = b.bitwise(u, v, b.and)
	case bpf.XorK, bpf.XorX:
		r = b.bitwise(u, v, b.xor)
	case bpf.LshK:
		r = shift(u, int(y&31))
	case bpf.RshK:
		r = shift(u, -int(y&31))
	case bpf.LshX:
		r = b.shiftBy(u, v, 1)
	case bpf.RshX:
		r = b.shiftBy(u, v, -1)
	}
	result := b.intern(r)
	b.results[key] = result
	return result
}
