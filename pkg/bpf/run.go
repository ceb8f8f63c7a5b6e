package bpf

import "encoding/binary"

// Run is the outcome of one filter for one call.
type Run struct {
	Ret   Return
	Reads Words // what it loaded on the way
	PC    int   // the instruction that ended it: a return, or a division by zero
}

// Run executes f on a machine of the given byte order, as bpf_prog_run does.
// A filter that [Filter.Check] accepts always ends by itself. One that it does
// not ends at the first instruction that is none, or reaches outside the
// program, the data or the memory, with KILL_PROCESS.
//
// A shift by X is by X modulo 32, as on x86 and arm64; the kernel leaves it to
// each architecture what a shift by 32 or more does.
func (f Filter) Run(d *Data, order binary.ByteOrder) Run {
	bigEndian := isBigEndian(order)
	words := d.words(bigEndian)
	return f.run(&words, bigEndian)
}

func (f Filter) run(words *[DataSize / 4]uint32, bigEndian bool) Run {
	var (
		a, x  uint32
		m     [MemWords]uint32
		reads Words // by position
	)
	ret, pc := uint32(KillProcess), 0
loop:
	for ; pc < len(f); pc++ {
		in := &f[pc]
		k := in.K
		var holds bool
		switch in.Op {
		case RetK:
			ret = k
			break loop
		case RetA:
			ret = a
			break loop

		case LdAbsW:
			if !readable(k) {
				break loop
			}
			a = words[k/4]
			reads |= 1 << (k / 4)
			continue
		case LdImm:
			a = k
			continue
		case LdLen:
			a = DataSize
			continue
		case LdxImm:
			x = k
			continue
		case LdxLen:
			x = DataSize
			continue
		case LdMem, LdxMem, St, Stx:
			if k >= MemWords {
				break loop
			}
			switch in.Op {
			case LdMem:
				a = m[k]
			case LdxMem:
				x = m[k]
			case St:
				m[k] = a
			case Stx:
				m[k] = x
			}
			continue
		case Tax:
			x = a
			continue
		case Txa:
			a = x
			continue

		case Ja:
			if uint64(k) >= uint64(len(f)-pc-1) {
				break loop
			}
			pc += int(k)
			continue
		case JeqK:
			holds = a == k
		case JeqX:
			holds = a == x
		case JgtK:
			holds = a > k
		case JgtX:
			holds = a > x
		case JgeK:
			holds = a >= k
		case JgeX:
			holds = a >= x
		case JsetK:
			holds = a&k != 0
		case JsetX:
			holds = a&x != 0

		case AddK, AddX, SubK, SubX, MulK, MulX, DivK, DivX, OrK, OrX, AndK, AndX,
			LshK, LshX, RshK, RshX, XorK, XorX, Neg:
			operand := k
			if in.Op.usesX() {
				operand = x
			}
			if in.Op&^0x08 == DivK && operand == 0 {
				ret = uint32(KillThread)
				break loop
			}
			a = alu(in.Op, a, operand)
			continue

		default:
			break loop
		}
		if holds {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
	if bigEndian {
		reads = reads.swapHalves()
	}
	return Run{Ret: Return(ret), Reads: reads, PC: min(pc, len(f)-1)}
}

// alu computes an arithmetic operation; its form, K or X, does not matter. The
// divisor is not 0.
func alu(op Op, a, b uint32) uint32 {
	switch op &^ 0x08 {
	case AddK:
		return a + b
	case SubK:
		return a - b
	case MulK:
		return a * b
	case DivK:
		return a / b
	case OrK:
		return a | b
	case AndK:
		return a & b
	case LshK:
		return a << (b & 31)
	case RshK:
		return a >> (b & 31)
	case XorK:
		return a ^ b
	default: // Neg
		return -a
	}
}

// Stack is the filters of one thread, oldest first: the order of
// PTRACE_SECCOMP_GET_FILTER's index, for which ptrace(2) has it the wrong way
// round.
type Stack []Filter

// StackRun is the outcome of a stack for one call.
type StackRun struct {
	Ret    Return // normalised: what the kernel acts on
	Reads  Words  // what any of the filters loaded
	Filter int    // index of the one that decided; -1 if there are none
	PC     int    // the instruction that ended it; -1 if there are no filters
}

// Run does as seccomp_run_filters (kernel/seccomp.c): it runs every filter, the
// newest first, and keeps the return whose action has the highest precedence,
// of equal ones the first, which is the newest filter's. A stack without filters
// allows every call.
func (s Stack) Run(d *Data, order binary.ByteOrder) StackRun {
	bigEndian := isBigEndian(order)
	words := d.words(bigEndian)
	out := StackRun{Ret: Allow.With(0), Filter: -1, PC: -1}
	for i := len(s) - 1; i >= 0; i-- {
		run := s[i].run(&words, bigEndian)
		out.Reads |= run.Reads
		if out.Filter < 0 || run.Ret.precedes(out.Ret) {
			out.Ret, out.Filter, out.PC = run.Ret, i, run.PC
		}
	}
	out.Ret = out.Ret.Normalize()
	return out
}
