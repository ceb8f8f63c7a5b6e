package policy

import (
	"encoding/binary"
	"errors"
	"math/rand"
	"runtime"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
)

// TestOutcomeIsWhatFiltersReturn asks policies and filters about 200,000 calls
// each: of the fixtures and of the rawStacks.
func TestOutcomeIsWhatFiltersReturn(t *testing.T) {
	stacks := fixtures()
	names, raw := rawStacks(t)
	for i, name := range names {
		stacks[name] = raw[i]
	}
	for name, s := range stacks {
		t.Run(name, func(t *testing.T) {
			p := mustOf(t, s)
			if !p.Decided() {
				t.Fatal("undecided")
			}
			calls := newCalls(1, s)
			n := 200000
			if testing.Short() {
				n = 10000
			}
			for range n {
				d := calls.next()
				if got, want := p.Outcome(d), s.Run(d, le).Ret; got != (Outcome{Return: want}) {
					t.Fatalf("%+v: policy says %v, filters return %v", *d, got, want)
				}
			}
		})
	}
}

func TestOutcomeIsWhatRulesSay(t *testing.T) {
	rules := containerRules()
	s := bpf.Stack{compile(rules, []uint32{archAMD64, archI386}, eperm)}
	p := mustOf(t, s)
	calls := newCalls(2, s)
	for range 20000 {
		d := calls.next()
		if got, want := p.Outcome(d), outcomeOf(rules, eperm, d); got != (Outcome{Return: want}) {
			t.Fatalf("%+v: policy says %v, rules say %v", *d, got, want)
		}
	}
}

// randomProgram returns a program that Check accepts, of all operations.
func randomProgram(r *rand.Rand, length int) bpf.Filter {
	ops := []bpf.Op{
		bpf.LdImm, bpf.LdAbsW, bpf.LdAbsW, bpf.LdAbsW, bpf.LdMem, bpf.LdLen, bpf.LdxImm, bpf.LdxMem, bpf.LdxLen, bpf.St, bpf.Stx,
		bpf.AddK, bpf.AddX, bpf.SubK, bpf.SubX, bpf.MulK, bpf.MulX, bpf.DivK, bpf.DivX, bpf.OrK, bpf.OrX, bpf.AndK, bpf.AndX,
		bpf.LshK, bpf.LshX, bpf.RshK, bpf.RshX, bpf.Neg, bpf.XorK, bpf.XorX, bpf.Tax, bpf.Txa, bpf.Ja,
		bpf.JeqK, bpf.JeqX, bpf.JgtK, bpf.JgtX, bpf.JgeK, bpf.JgeX, bpf.JsetK, bpf.JsetX, bpf.RetK, bpf.RetA,
	}
	returns := []uint32{allow, eperm, 0, kill, 0x30001, 0x7fc00000, 0x7ff00007, 0x7ffc0000, 0x00060005, 0x5ffff}
	k := func() uint32 {
		if r.Intn(3) == 0 {
			return r.Uint32()
		}
		return uint32(r.Intn(300))
	}
	f := bpf.Filter{stmt(bpf.LdImm, k()), stmt(bpf.St, 0), stmt(bpf.St, 1)}
	for len(f) < length-1 {
		left := length - 2 - len(f) // instructions after the next one, but the last
		i := stmt(ops[r.Intn(len(ops))], k())
		switch i.Op {
		case bpf.LdAbsW:
			i.K = uint32(r.Intn(16)) * 4
		case bpf.LdMem, bpf.LdxMem, bpf.St, bpf.Stx:
			i.K = uint32(r.Intn(2))
		case bpf.LshK, bpf.RshK:
			i.K %= 32
		case bpf.DivK:
			i.K |= 1
		case bpf.Ja:
			i.K = uint32(r.Intn(min(left, 5) + 1))
		case bpf.RetK:
			i.K = returns[r.Intn(len(returns))]
		}
		if isComparison(i.Op) {
			i.Jt, i.Jf = uint8(r.Intn(min(left, 200)+1)), uint8(r.Intn(min(left, 200)+1))
		}
		if isReturn(i.Op) && r.Intn(3) > 0 {
			continue
		}
		f = append(f, i)
	}
	if r.Intn(4) == 0 {
		return append(f, stmt(bpf.RetA, 0))
	}
	return append(f, stmt(bpf.RetK, returns[r.Intn(len(returns))]))
}

// smallLimits keep random programs cheap, so that there can be many, and make
// a good part of them undecided somewhere.
var smallLimits = limits{
	nodes: 1 << 13, canonical: 1 << 12, gate: 1 << 10, gates: 1 << 14,
	failures: 4, work: 1 << 12, states: 1 << 10, vectors: 1 << 10, numbers: 2,
}

// TestRandomPrograms compares 50,000 random stacks with their filters. What is
// undecided may be anything, but not much may be.
func TestRandomPrograms(t *testing.T) {
	programs := 25000
	if testing.Short() {
		programs = 1000
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		t.Run(order.String(), func(t *testing.T) {
			t.Parallel()
			seed := int64(3)
			if order == binary.BigEndian {
				seed++
			}
			r := rand.New(rand.NewSource(seed))
			asked, decided := 0, 0
			for n := range programs {
				var s bpf.Stack
				for range 1 + r.Intn(2) {
					f := randomProgram(r, 8+r.Intn(20))
					if err := f.Check(); err != nil {
						t.Fatalf("program %d: %v", n, err)
					}
					s = append(s, f)
				}
				p := of(s, order, smallLimits)
				calls := newCalls(int64(n), s)
				for range 20 {
					d := calls.next()
					asked++
					switch got, want := p.Outcome(d), s.Run(d, order).Ret; {
					case got.Undecided:
					case got.Return != want:
						t.Fatalf("program %d: %+v: policy says %v, filters %v return %v", n, *d, got, s, want)
					default:
						decided++
					}
				}
			}
			if decided*10 < asked*8 {
				t.Errorf("only %d of %d outcomes are decided", decided, asked)
			}
			t.Logf("%d of %d outcomes are decided", decided, asked)
		})
	}
}

// TestFold checks all pairs of actions, known and not, against the order that
// seccomp(2) gives.
func TestFold(t *testing.T) {
	rets := []uint32{kill, kill | 5, 0, 7, 0x30001, 0x50001, 0x50002, 0x7fc00000, 0x7ff00001, 0x7ff00002, 0x7ffc0000, allow, allow | 9, 0x60001, 0x90000000, 0x7ffe0000}
	for _, older := range rets {
		for _, newer := range rets {
			s := bpf.Stack{{stmt(bpf.RetK, older)}, {stmt(bpf.RetK, newer)}}
			d := &bpf.Data{}
			if got, want := mustOf(t, s).Outcome(d), s.Run(d, le).Ret; got != (Outcome{Return: want}) {
				t.Errorf("%#x after %#x: policy says %v, filters return %v", newer, older, got, want)
			}
		}
	}
}

func TestOfRefusesWhatTheKernelDoes(t *testing.T) {
	_, err := Of(bpf.Stack{{stmt(bpf.RetK, allow)}, {stmt(bpf.LdAbsW, 3), stmt(bpf.RetK, allow)}}, le)
	if !errors.Is(err, bpf.ErrOffset) {
		t.Errorf("error is %v, want one of ErrOffset", err)
	}
}

func TestFingerprint(t *testing.T) {
	print := func(s bpf.Stack) string {
		f, err := mustOf(t, s).Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	// Fingerprints are kept and compared between machines and versions: these
	// may only change together with the format's version.
	for _, c := range []struct {
		name  string
		stack bpf.Stack
		want  string
	}{
		{"everything allowed", nil, "s:a5e74934989478baa2332ec5bbb885504ca4d721dbe87a57dd2caa165573d93f"},
		{"one call denied", bpf.Stack{compile([]rule{{archAMD64, 2, nil, eperm}}, []uint32{archAMD64}, allow)}, "s:25fce301853b77728b15abfb9b2395e6e0d5e9a1afc3a8f129dcdc7f7c173b0e"},
		{"a relation of arguments", bpf.Stack{equalFilter()}, "i:25fb02f23c409e6aa04f4d2e4c4f82ceea9d49c718612996b6c42b439c93b901"},
	} {
		if got := print(c.stack); got != c.want {
			t.Errorf("%s: fingerprint is %s, want %s", c.name, got, c.want)
		}
	}

	same := [][2]bpf.Stack{
		{nil, {{stmt(bpf.RetK, allow)}}},
		{nil, {{stmt(bpf.RetK, allow|77)}}},
		{{tree([]uint32{0, 5, 6}, []uint32{allow, eperm, allow})},
			{{stmt(bpf.LdAbsW, offNR), jump(bpf.JeqK, 5, 0, 1), stmt(bpf.RetK, eperm), stmt(bpf.RetK, allow)}}},
		// One after the other is the same as both in one.
		{{compile([]rule{{archAMD64, 2, nil, eperm}}, []uint32{archAMD64}, allow), compile([]rule{{archAMD64, 3, nil, eperm}}, []uint32{archAMD64}, allow)},
			{compile([]rule{{archAMD64, 3, nil, eperm}, {archAMD64, 2, nil, eperm}}, []uint32{archAMD64}, allow)}},
	}
	for i, s := range same {
		if x, y := print(s[0]), print(s[1]); x != y {
			t.Errorf("pair %d: fingerprints %s and %s of the same policy", i, x, y)
		}
	}
	seen := map[string]string{}
	for name, s := range fixtures() {
		f := print(s)
		if other, ok := seen[f]; ok {
			t.Errorf("%s and %s have one fingerprint", name, other)
		}
		seen[f] = name
	}
	if _, err := mustOf(t, bpf.Stack{hashFilter()}).Fingerprint(); !errors.Is(err, ErrUndecided) {
		t.Errorf("the fingerprint of an undecided policy has error %v", err)
	}
}

// TestByteOrder checks that the same program, with the offsets of the other
// order, is the same policy.
func TestByteOrder(t *testing.T) {
	little := containerFilter()
	big := make(bpf.Filter, len(little))
	for i, ins := range little {
		if ins.Op == bpf.LdAbsW && ins.K >= offIP {
			ins.K ^= 4
		}
		big[i] = ins
	}
	p := mustOf(t, bpf.Stack{little})
	q, err := Of(bpf.Stack{big}, binary.BigEndian)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Compare(p, q, Options{})
	if err != nil || c.Relation != Identical {
		t.Errorf("relation is %v, error %v", c.Relation, err)
	}
}

// hostile is a stack that is made to be too much.
type hostile struct {
	name  string
	stack bpf.Stack
	least float64 // part of the outcomes asked for that has to be decided
}

func hostileStacks() []hostile {
	r := rand.New(rand.NewSource(5))
	alu := bpf.Filter{stmt(bpf.LdAbsW, lo(0)), stmt(bpf.Tax, 0)}
	ops := []bpf.Op{bpf.AddK, bpf.AddX, bpf.SubX, bpf.MulK, bpf.XorX, bpf.OrX, bpf.LshX, bpf.RshX, bpf.Tax, bpf.Neg, bpf.LdAbsW}
	for len(alu) < bpf.MaxInstructions-3 {
		i := stmt(ops[r.Intn(len(ops))], r.Uint32()|1)
		if i.Op == bpf.LdAbsW {
			i.K = uint32(r.Intn(16)) * 4
		}
		alu = append(alu, i)
	}
	alu = append(alu, jump(bpf.JsetK, 12, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm))

	// Each comparison has a different constant in M[0] whichever way it goes.
	diamonds := bpf.Filter{stmt(bpf.LdImm, 0), stmt(bpf.St, 0)}
	for i := 0; len(diamonds) < bpf.MaxInstructions-10; i++ {
		diamonds = append(diamonds, stmt(bpf.LdAbsW, uint32(i%16)*4), jump(bpf.JsetK, 1<<(i/16%32), 0, 4),
			stmt(bpf.LdMem, 0), stmt(bpf.MulK, 3), stmt(bpf.AddK, uint32(i)), stmt(bpf.St, 0))
	}
	diamonds = append(diamonds, stmt(bpf.LdMem, 0), jump(bpf.JeqK, 12345, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm))

	var numbers, products bpf.Stack
	for i := range uint32(3000) {
		numbers = append(numbers, bpf.Filter{stmt(bpf.LdAbsW, offNR), jump(bpf.JeqK, i, 0, 3),
			stmt(bpf.LdAbsW, lo(int(i%6))), jump(bpf.JeqK, i, 0, 1), stmt(bpf.RetK, eperm), stmt(bpf.RetK, allow)})
		products = append(products, bpf.Filter{stmt(bpf.LdAbsW, lo(int(i%6))), jump(bpf.JeqK, i*77777, 0, 1),
			stmt(bpf.RetK, 0x50000|i), stmt(bpf.RetK, allow)})
	}
	// The same trouble for many numbers, which are all tried apart.
	hashes := bpf.Filter{stmt(bpf.LdAbsW, offArch), jump(bpf.JeqK, archAMD64, 1, 0), stmt(bpf.RetK, allow), stmt(bpf.LdAbsW, offNR)}
	for nr := range uint32(30) {
		hashes = append(hashes, jump(bpf.JeqK, 2*nr, 0, 1), stmt(bpf.Ja, 30-nr+29-nr))
	}
	hashes = append(hashes, stmt(bpf.RetK, eperm))
	hashes = append(hashes, hashFilter()[3:]...)

	return []hostile{
		{"hash", bpf.Stack{hashFilter()}, 0.8},
		{"hash for many numbers", bpf.Stack{hashes}, 0.5},
		{"4096 instructions of arithmetic", bpf.Stack{alu}, 0},
		{"diamonds", bpf.Stack{diamonds}, 0},
		{"3000 filters of one number each", numbers, 1},
		{"3000 filters whose product is too large", products, 0},
		{"the return is an argument", bpf.Stack{{stmt(bpf.LdAbsW, lo(0)), stmt(bpf.RetA, 0)}}, 0},
		{"every other number", bpf.Stack{{stmt(bpf.LdAbsW, offNR), jump(bpf.JsetK, 1, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm)}}, 1},
	}
}

// TestHostile builds, lists and compares what is made to be too much. It has to
// end, within memory, and what it does decide has to be right.
func TestHostile(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	for _, c := range hostileStacks() {
		t.Run(c.name, func(t *testing.T) {
			p := mustOf(t, c.stack)
			// HeapSys is the largest size that the heap has had.
			var m runtime.MemStats
			if runtime.ReadMemStats(&m); m.HeapSys > 256<<20 {
				t.Errorf("%d MiB of heap", m.HeapSys>>20)
			}
			t.Logf("%d MiB of heap", m.HeapSys>>20)
			asked, decided := 0, 0
			calls := newCalls(7, c.stack)
			for range 1000 {
				d := calls.next()
				if r.Intn(2) == 0 {
					d.NR = uint32(r.Intn(8))
				}
				asked++
				if got := p.Outcome(d); !got.Undecided {
					decided++
					if want := c.stack.Run(d, le).Ret; got.Return != want {
						t.Fatalf("%+v: policy says %v, filters return %v", *d, got, want)
					}
				}
			}
			if float64(decided) < c.least*float64(asked) {
				t.Errorf("%d of %d outcomes are decided", decided, asked)
			}
			comparison, err := Compare(p, p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			want := Identical
			if !p.Decided() {
				want = Undecided
			}
			if comparison.Relation != want {
				t.Errorf("relation to itself is %v, want %v", comparison.Relation, want)
			}
			if _, err := p.Partition(Options{}); err != nil {
				t.Error(err)
			}
			p.KernelView()
		})
	}
}
