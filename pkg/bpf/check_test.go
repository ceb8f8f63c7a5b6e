package bpf

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

func TestCheck(t *testing.T) {
	ret := stmt(RetK, 0)
	for _, tt := range []struct {
		name string
		prog Filter
		pc   int
		want error
	}{
		{"shortest", Filter{ret}, 0, nil},
		{"empty", nil, -1, ErrEmpty},
		{"longest", append(make(Filter, MaxInstructions-1), ret), 0, nil},
		{"too long", append(make(Filter, MaxInstructions), ret), -1, ErrTooLong},
		{"half-word load", Filter{stmt(0x28, 0), ret}, 0, ErrOpcode},
		{"modulo", Filter{stmt(LdImm, 1), stmt(0x94, 3), ret}, 1, ErrOpcode},
		{"high byte of the code", Filter{stmt(0x0106, 0), ret}, 0, ErrOpcode},
		{"return X", Filter{ret, stmt(0x0e, 0)}, 1, ErrOpcode},
		{"divide by constant 0", Filter{stmt(DivK, 0), ret}, 0, ErrDivideByZero},
		{"divide by X", Filter{stmt(DivX, 0), ret}, 0, nil},
		{"shift 31", Filter{stmt(LshK, 31), stmt(RshK, 31), ret}, 0, nil},
		{"shift 32", Filter{stmt(RshK, 32), ret}, 0, ErrShift},
		{"M[15]", Filter{stmt(St, 15), ret}, 0, nil},
		{"M[16]", Filter{stmt(Stx, 16), ret}, 0, ErrMemory},
		{"jump to the last", Filter{stmt(Ja, 0), ret}, 0, nil},
		{"jump behind the last", Filter{stmt(Ja, 1), ret}, 0, ErrJump},
		{"jump around 2^32", Filter{ret, stmt(Ja, 0xfffffffe), ret}, 1, ErrJump},
		{"true branch leaves", Filter{jump(JeqK, 0, 1, 0), ret}, 0, ErrJump},
		{"false branch leaves", Filter{jump(JsetX, 0, 0, 255), ret}, 0, ErrJump},
		{"no return", Filter{ret, stmt(LdImm, 0)}, 1, ErrNoReturn},
		{"ends in a jump", Filter{stmt(Ja, 0)}, 0, ErrJump},
		{"last word", Filter{stmt(LdAbsW, 60), ret}, 0, nil},
		{"behind the data", Filter{stmt(LdAbsW, 64), ret}, 0, ErrOffset},
		{"unaligned", Filter{stmt(LdAbsW, 2), ret}, 0, ErrOffset},
		{"ancillary data of sockets", Filter{stmt(LdAbsW, 0xfffff000), ret}, 0, ErrOffset},
		{"load of unset memory", Filter{stmt(LdMem, 0), ret}, 0, ErrUninitialized},
		{"store on one path only", Filter{jump(JeqK, 0, 0, 1), stmt(St, 3), stmt(LdxMem, 3), ret}, 2, ErrUninitialized},
		{"store on both paths", Filter{jump(JeqK, 0, 0, 2), stmt(St, 3), stmt(Ja, 1), stmt(Stx, 3), stmt(LdMem, 3), ret}, 0, nil},
		{"unreachable load behind a jump", Filter{stmt(Ja, 1), stmt(LdMem, 0), ret}, 0, nil},
		{"unreachable load behind a return", Filter{ret, stmt(LdMem, 0), ret}, 1, ErrUninitialized},
		// The kernel comes to the offsets last.
		{"two faults", Filter{stmt(LdAbsW, 64), stmt(LdMem, 0), ret}, 1, ErrUninitialized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.prog.Check()
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			var at *CheckError
			if errors.As(err, &at) && at.PC != tt.pc {
				t.Errorf("found at %d, want %d: %v", at.PC, tt.pc, err)
			}
		})
	}
}

// paths is a slow second opinion: it walks every path from the first
// instruction, and tells which ones are reached and whether one of them loads
// what the path has not stored.
type paths struct {
	prog    Filter
	seen    map[[2]int]bool // pc and the set of words stored
	reached []bool
	unset   bool
}

func walk(prog Filter) *paths {
	p := &paths{prog: prog, seen: map[[2]int]bool{}, reached: make([]bool, len(prog))}
	p.from(0, 0)
	return p
}

func (p *paths) from(pc, stored int) {
	if p.seen[[2]int{pc, stored}] {
		return
	}
	p.seen[[2]int{pc, stored}] = true
	p.reached[pc] = true
	in := p.prog[pc]
	switch in.Op & 7 {
	case 0, 1:
		if in.Op&0xe0 == 0x60 && stored>>in.K&1 == 0 {
			p.unset = true
		}
	case 2, 3:
		stored |= 1 << in.K
	case 5:
		if in.Op == Ja {
			p.from(pc+1+int(in.K), stored)
			return
		}
		p.from(pc+1+int(in.Jt), stored)
		p.from(pc+1+int(in.Jf), stored)
		return
	case 6:
		return
	}
	p.from(pc+1, stored)
}

// checkAgainstPaths fails if Check and walk disagree about unset memory.
func checkAgainstPaths(t *testing.T, prog Filter) {
	t.Helper()
	err := prog.Check()
	if err != nil && !errors.Is(err, ErrUninitialized) {
		return // not a program that can be walked
	}
	p := walk(prog)
	if p.unset && err == nil {
		t.Errorf("accepted, but a path loads unset memory:\n%v", prog)
	}
	for _, reached := range p.reached {
		if !reached {
			return // of unreachable code the kernel has an opinion of its own
		}
	}
	if !p.unset && err != nil {
		t.Errorf("%v, but no path does:\n%v", err, prog)
	}
}

// randomShort returns a short program that is often not valid: memory
// operations and jumps abound, as do codes and constants just out of range.
func randomShort(rng *rand.Rand) Filter {
	f := make(Filter, 1+rng.IntN(12))
	for i := range f {
		op := pick(rng, legalOps...)
		switch rng.IntN(8) {
		case 0, 1:
			op = pick(rng, LdMem, LdxMem, St, Stx)
		case 2, 3:
			op = pick(rng, Ja, JeqK, JgtX, JgeK, JsetX)
		case 4:
			if rng.IntN(6) == 0 {
				op ^= 1 << rng.UintN(16)
			}
		}
		f[i] = Instruction{
			Op: op,
			Jt: uint8(rng.IntN(4)), Jf: uint8(rng.IntN(4)),
			K: rng.Uint32N(4),
		}
		switch {
		case rng.IntN(12) == 0:
			f[i].K = randomWord(rng)
		case op == LdAbsW:
			f[i].K = 4 * rng.Uint32N(DataSize/4)
		case op == DivK:
			f[i].K++
		}
	}
	if rng.IntN(10) > 0 {
		f[len(f)-1] = stmt(pick(rng, RetK, RetA), rng.Uint32())
	}
	return f
}

func TestCheckAgainstPaths(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range 200_000 {
		prog := randomShort(rng)
		checkAgainstPaths(t, prog)
		if prog.Check() == nil {
			accepted++
		}
	}
	if accepted < 10_000 {
		t.Errorf("only %d programs were valid", accepted)
	}
}

func FuzzCheck(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(randomShort(rng).Encode(binary.LittleEndian))
		f.Add(append(randomBody(rng, 5), stmt(RetA, 0)).Encode(binary.LittleEndian))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		prog, err := Decode(raw, binary.LittleEndian)
		if err != nil {
			return
		}
		if len(prog) <= 64 {
			checkAgainstPaths(t, prog)
		}
		valid := prog.Check() == nil
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			d := randomData(rand.New(rand.NewPCG(uint64(len(raw)), 5)), 1, 2)
			run := prog.Run(d, order)
			if !valid {
				continue // that it came back is all
			}
			switch op := prog[run.PC].Op; {
			case op == RetA || op == DivX && run.Ret == 0:
			case op == RetK && run.Ret == Return(prog[run.PC].K):
			default:
				t.Errorf("%v: ended by %v at %d with %#x", order, op, run.PC, uint32(run.Ret))
			}
		}
	})
}
