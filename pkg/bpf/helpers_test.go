package bpf

import "math/rand/v2"

// stmt and jump make instructions as the kernel's macros BPF_STMT and BPF_JUMP.
func stmt(op Op, k uint32) Instruction { return Instruction{Op: op, K: k} }

func jump(op Op, k uint32, jt, jf uint8) Instruction {
	return Instruction{Op: op, K: k, Jt: jt, Jf: jf}
}

// legalOps lists the 41 operations, by number.
var legalOps = func() (ops []Op) {
	for op := range Op(len(mnemonics)) {
		if op.Legal() {
			ops = append(ops, op)
		}
	}
	return ops
}()

// pick returns one of the choices.
func pick[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }

// randomWord returns a constant of the kind that finds mistakes: small, at the
// ends, a single bit, or anything.
func randomWord(rng *rand.Rand) uint32 {
	switch rng.IntN(5) {
	case 0:
		return rng.Uint32N(70)
	case 1:
		return -rng.Uint32N(4)
	case 2:
		return 1<<rng.Uint32N(32) - rng.Uint32N(2)
	case 3:
		return 1 << rng.Uint32N(32)
	}
	return rng.Uint32()
}

func randomData(rng *rand.Rand, nr, arch uint32) *Data {
	long := func() uint64 { return uint64(randomWord(rng))<<32 | uint64(randomWord(rng)) }
	d := &Data{NR: nr, Arch: arch, IP: long()}
	for i := range d.Args {
		d.Args[i] = long()
	}
	return d
}

// randomBody returns n or a few more instructions that are a valid filter when
// a return is put behind them. Instructions jump at most to that return. What
// they return themselves is an errno.
func randomBody(rng *rand.Rand, n int) Filter {
	var f Filter
	stored := 1 + rng.Uint32N(MemWords) // M[0] to M[stored-1] can be loaded anywhere
	for i := range stored {
		f = append(f, stmt(LdAbsW, 4*rng.Uint32N(DataSize/4)), stmt(St, i))
	}
	if rng.IntN(2) == 0 {
		f = append(f, stmt(LdxMem, rng.Uint32N(stored)))
	}
	n += len(f)
	for len(f) < n {
		left := n - len(f) - 1
		in := Instruction{Op: pick(rng, legalOps...), K: randomWord(rng)}
		// What an operation does not use may be anything.
		in.Jt, in.Jf = uint8(rng.Uint32()), uint8(rng.Uint32())
		switch in.Op {
		case LdAbsW:
			in.K = 4 * rng.Uint32N(DataSize/4)
		case LdMem, LdxMem:
			in.K = rng.Uint32N(stored)
		case St, Stx:
			in.K = rng.Uint32N(MemWords)
		case DivK:
			in.K |= 1
		case LshK, RshK:
			in.K %= 32
		case Ja:
			in.K = uint32(rng.IntN(min(left, 6) + 1))
		case JeqK, JeqX, JgtK, JgtX, JgeK, JgeX, JsetK, JsetX:
			in.Jt = uint8(rng.IntN(min(left, 200) + 1))
			in.Jf = uint8(rng.IntN(min(left, 6) + 1))
		case RetK, RetA:
			if left < 3 || rng.IntN(3) > 0 {
				continue // not too many, or the rest is never reached
			}
			if in.Op == RetA {
				f = append(f, stmt(AndK, 0xfff), stmt(OrK, uint32(Errno)), in)
				continue
			}
			in.K = uint32(Errno.With(uint16(rng.IntN(MaxErrno + 1))))
		}
		f = append(f, in)
	}
	return f
}
