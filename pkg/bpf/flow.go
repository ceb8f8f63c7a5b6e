package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// flow is what holds each time an instruction is about to be executed, on
// whatever path: an overestimate of the paths, so what it states is certain.
type flow struct {
	abis abiSet // of the calls that can come here; empty if none can
	a, x value
	m    [MemWords]value
}

// analyze follows every call of the given ABIs through f. All jumps go forward,
// so that one pass in program order has seen all paths to an instruction before
// it comes to it.
func (f Filter) analyze(abis abiSet, order binary.ByteOrder) []flow {
	flows := make([]flow, len(f))
	if len(f) > 0 {
		zero := constant(0)
		flows[0] = flow{abis: abis, a: zero, x: zero}
	}
	for pc, in := range f {
		s := flows[pc]
		if s.abis == 0 {
			continue
		}
		join := func(skip uint32, s flow) {
			if target := uint64(pc) + 1 + uint64(skip); target < uint64(len(f)) && s.abis != 0 {
				flows[target].join(s)
			}
		}
		switch {
		case !in.Op.Legal() || in.Op.class() == classRET:
		case in.Op == Ja:
			join(in.K, s)
		case in.Op.conditional():
			holds, not := s, s
			holds.abis, not.abis = s.split(in)
			join(uint32(in.Jt), holds)
			join(uint32(in.Jf), not)
		default:
			s.step(in, order)
			join(0, s)
		}
	}
	return flows
}

// join weakens s to what holds after t as well.
func (s *flow) join(t flow) {
	if s.abis == 0 {
		*s = t
		return
	}
	s.abis |= t.abis
	s.a.join(t.a)
	s.x.join(t.x)
	for i := range s.m {
		s.m[i].join(t.m[i])
	}
}

// step applies an instruction that goes on to the next.
func (s *flow) step(in Instruction, order binary.ByteOrder) {
	switch in.Op {
	case LdImm:
		s.a = constant(in.K)
	case LdLen:
		s.a = constant(DataSize)
	case LdxImm:
		s.x = constant(in.K)
	case LdxLen:
		s.x = constant(DataSize)
	case LdAbsW:
		s.a = value{}
		if w, ok := WordAt(in.K, order); ok {
			s.a = value{kind: masked, word: w, bits: ^uint32(0)}
		}
	case LdMem:
		s.a = s.m[in.K%MemWords]
	case LdxMem:
		s.x = s.m[in.K%MemWords]
	case St:
		s.m[in.K%MemWords] = s.a
	case Stx:
		s.m[in.K%MemWords] = s.x
	case Tax:
		s.x = s.a
	case Txa:
		s.a = s.x
	default:
		s.a = compute(in.Op, s.a, s.operand(in))
	}
}

// operand is the right-hand side of an ALU or JMP instruction.
func (s *flow) operand(in Instruction) value {
	if in.Op.usesX() {
		return s.x
	}
	return constant(in.K)
}

// split tells of which ABIs a call can be when the comparison in holds, and
// when it does not.
func (s *flow) split(in Instruction) (holds, not abiSet) {
	k := s.operand(in)
	if s.a.kind != masked || k.kind != known {
		return s.abis, s.abis
	}
	for abi := range s.abis.all {
		arch, fixed, number := domain(abi)
		mayHold, mayNot := true, true
		switch s.a.word {
		case Arch:
			mayHold, mayNot = possible(in.Op, arch, ^uint32(0), s.a.bits, k.bits)
		case NR:
			mayHold, mayNot = possible(in.Op, number, fixed, s.a.bits, k.bits)
		}
		if mayHold {
			holds |= setOf(abi)
		}
		if mayNot {
			not |= setOf(abi)
		}
	}
	return holds, not
}

// noABI stands in an abiSet for the numbers with bit 31 on x86-64, which are
// system calls of neither ABI. [syscalls.Of] has them as AMD64's; apart they
// leave X32 alone to what a filter does for bit 30.
const noABI syscalls.ABI = 0

// x32Bit is __X32_SYSCALL_BIT: what tells the two ABIs of AUDIT_ARCH_X86_64
// apart.
const x32Bit = 0x40000000

// domain tells what the calls of an ABI have in common: the architecture, and
// the value of those bits of the number that are fixed.
func domain(abi syscalls.ABI) (arch, fixed, number uint32) {
	const top = 1 << 31
	switch abi {
	case noABI:
		return syscalls.AMD64.AuditArch(), top, top
	case syscalls.AMD64:
		return abi.AuditArch(), top | x32Bit, 0
	case syscalls.X32:
		return abi.AuditArch(), top | x32Bit, x32Bit
	}
	return abi.AuditArch(), 0, 0
}

// possible tells whether the comparison of n & mask with k can hold, and whether
// it can fail to, if of n only the fixed bits are known.
func possible(op Op, n, fixed, mask, k uint32) (mayHold, mayNot bool) {
	least := n & fixed & mask
	most := (n | ^fixed) & mask
	switch op &^ 0x08 {
	case JeqK:
		return (k^n)&fixed&mask == 0 && k&^mask == 0, least != most || least != k
	case JgtK:
		return most > k, least <= k
	case JgeK:
		return most >= k, least < k
	default: // JsetK
		return most&k != 0, least&k == 0
	}
}

// value is what is known about the content of a register.
type value struct {
	kind valueKind
	word Word
	bits uint32 // the constant, or the mask
}

type valueKind uint8

const (
	unknown valueKind = iota
	known             // a constant
	masked            // a word of seccomp_data, with a mask applied
)

func constant(k uint32) value { return value{kind: known, bits: k} }

func (v *value) join(w value) {
	if *v != w {
		*v = value{}
	}
}

// compute is the outcome of an arithmetic operation. What is no constant or
// masked word any more is unknown; so is a division by zero, which has none.
func compute(op Op, a, b value) value {
	switch {
	case op == Neg && a.kind == known:
		return constant(-a.bits)
	case a.kind == known && b.kind == known && (op&^0x08 != DivK || b.bits != 0):
		return constant(alu(op, a.bits, b.bits))
	case op&^0x08 == AndK && a.kind == masked && b.kind == known:
		a.bits &= b.bits
		return a
	case op&^0x08 == AndK && a.kind == known && b.kind == masked:
		b.bits &= a.bits
		return b
	}
	return value{}
}

// String returns the value as an expression, "" if it is unknown.
func (v value) String() string {
	switch {
	case v.kind == unknown:
		return ""
	case v.kind == known:
		return fmt.Sprintf("%#x", v.bits)
	case v.bits == ^uint32(0):
		return v.word.String()
	}
	return fmt.Sprintf("(%v & %#x)", v.word, v.bits)
}

// abiSet is a set of ABIs, a bit for each by its number; bit 0 is noABI.
type abiSet uint64

// machineSet is the set of what calls can be on a machine with the given ABIs.
func machineSet(abis []syscalls.ABI) abiSet {
	s := setOf(abis...)
	if s&setOf(syscalls.AMD64) != 0 {
		s |= setOf(noABI)
	}
	return s
}

func setOf(abis ...syscalls.ABI) (s abiSet) {
	for _, abi := range abis {
		s |= 1 << abi
	}
	return s
}

// all is an iterator over the set, in the order of the ABIs' numbers.
func (s abiSet) all(yield func(syscalls.ABI) bool) {
	for abi := syscalls.ABI(0); s>>abi != 0; abi++ {
		if s>>abi&1 != 0 && !yield(abi) {
			return
		}
	}
}
