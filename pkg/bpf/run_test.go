package bpf

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestLayout compares what a load from each offset returns with struct
// seccomp_data as encoding/binary lays it out.
func TestLayout(t *testing.T) {
	d := &Data{NR: 0x01020304, Arch: 0x11121314, IP: 0x2122232425262728}
	for i := range d.Args {
		d.Args[i] = 0x3132333435363738 + uint64(i)<<56 + uint64(i)
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian, binary.NativeEndian} {
		var mem bytes.Buffer
		if err := binary.Write(&mem, order, d); err != nil || mem.Len() != DataSize {
			t.Fatalf("seccomp_data has %d bytes: %v", mem.Len(), err)
		}
		for k := uint32(0); k < DataSize; k += 4 {
			run := Filter{stmt(LdAbsW, k), stmt(RetA, 0)}.Run(d, order)
			if want := order.Uint32(mem.Bytes()[k:]); uint32(run.Ret) != want {
				t.Errorf("%v: word at %d is %#x, want %#x", order, k, uint32(run.Ret), want)
			}
			word, ok := WordAt(k, order)
			if !ok || run.Reads != MakeWords(word) {
				t.Errorf("%v: load from %d reads {%v}, want {%v}", order, k, run.Reads, word)
			}
		}
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		offset uint32
		order  binary.ByteOrder
		want   Word
		name   string
	}{
		{0, binary.BigEndian, NR, "nr"},
		{4, binary.BigEndian, Arch, "arch"},
		{8, binary.LittleEndian, IPLow, "instruction_pointer low"},
		{8, binary.BigEndian, IPHigh, "instruction_pointer high"},
		{16, binary.LittleEndian, Arg(0), "args[0] low"},
		{16, binary.BigEndian, ArgHigh(0), "args[0] high"},
		{20, binary.BigEndian, Arg(0), "args[0] low"},
		{60, binary.LittleEndian, ArgHigh(5), "args[5] high"},
		{60, binary.BigEndian, Arg(5), "args[5] low"},
	} {
		if got, ok := WordAt(tt.offset, tt.order); !ok || got != tt.want || got.String() != tt.name {
			t.Errorf("%v: offset %d is %v (%v), want %v", tt.order, tt.offset, got, ok, tt.name)
		}
	}
	for _, offset := range []uint32{2, 61, 64, 0xfffff000} {
		if w, ok := WordAt(offset, binary.LittleEndian); ok {
			t.Errorf("offset %d is %v, want none", offset, w)
		}
	}
	s := MakeWords(Arg(0), Arch, ArgHigh(5))
	if got, want := s.String(), "arch, args[0] low, args[5] high"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if s.Within(NRArch) || !MakeWords(NR).Within(NRArch) || !s.Has(Arch) || s.Has(NR) {
		t.Errorf("{%v} is mistaken for another set", s)
	}
}

// TestRun has the cases that random programs seldom meet; the rest is left to
// the kernel to decide, in TestKernelRun.
func TestRun(t *testing.T) {
	const all = 0xffffffff
	for _, tt := range []struct {
		name string
		prog Filter
		want uint32
		pc   int
	}{
		{"registers are 0 at first", Filter{stmt(AddX, 0), stmt(RetA, 0)}, 0, 1},
		{"length", Filter{stmt(LdxLen, 0), stmt(LdLen, 7), stmt(SubX, 0), stmt(AddX, 0), stmt(RetA, 0)}, 64, 4},
		{"division by X = 0", Filter{stmt(LdImm, 5), stmt(DivX, 0), stmt(RetK, all)}, 0, 1},
		{"shift by X = 33", Filter{stmt(LdImm, 1), stmt(LdxImm, 33), stmt(LshX, 0), stmt(RetA, 0)}, 2, 3},
		{"carry is lost", Filter{stmt(LdImm, all), stmt(AddK, 3), stmt(RetA, 0)}, 2, 2},
		{"product is cut", Filter{stmt(LdImm, 0x10001), stmt(MulK, 0x10001), stmt(RetA, 0)}, 0x20001, 2},
		{"division is unsigned", Filter{stmt(LdImm, all), stmt(DivK, 2), stmt(RetA, 0)}, 0x7fffffff, 2},
		{"negation", Filter{stmt(LdImm, 1), stmt(Neg, 0), stmt(RetA, 0)}, all, 2},
		{"comparison is unsigned", Filter{stmt(LdImm, all), jump(JgtK, 1, 0, 1), stmt(RetK, 1), stmt(RetK, 2)}, 1, 2},
		// Programs that Check refuses.
		{"no end", Filter{stmt(LdImm, 1)}, uint32(KillProcess), 0},
		{"empty", nil, uint32(KillProcess), -1},
		{"no operation", Filter{stmt(0xff, 1), stmt(RetK, 1)}, uint32(KillProcess), 0},
		{"jump out", Filter{stmt(Ja, all), stmt(RetK, 1)}, uint32(KillProcess), 0},
		{"branch out", Filter{jump(JeqK, 0, 9, 0), stmt(RetK, 1)}, uint32(KillProcess), 1},
		{"load from outside", Filter{stmt(LdAbsW, 64), stmt(RetK, 1)}, uint32(KillProcess), 0},
		{"memory outside", Filter{stmt(St, 16), stmt(RetK, 1)}, uint32(KillProcess), 0},
		{"division by K = 0", Filter{stmt(DivK, 0), stmt(RetK, 1)}, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := tt.prog.Run(&Data{}, binary.LittleEndian)
			if uint32(run.Ret) != tt.want || run.PC != tt.pc {
				t.Errorf("returned %#x at %d, want %#x at %d", uint32(run.Ret), run.PC, tt.want, tt.pc)
			}
		})
	}
}

func TestStackRun(t *testing.T) {
	read := func(k uint32, a Action, data uint16) Filter {
		return Filter{stmt(LdAbsW, k), stmt(RetK, uint32(a.With(data)))}
	}
	for _, tt := range []struct {
		name  string
		stack Stack // oldest first
		want  StackRun
	}{
		{"empty", nil, StackRun{Ret: Allow.With(0), Filter: -1, PC: -1}},
		{"all allow", Stack{read(16, Allow, 1), read(0, Allow, 2)},
			StackRun{Ret: Allow.With(0), Reads: MakeWords(NR, Arg(0)), Filter: 1, PC: 1}},
		{"of equals the newest", Stack{read(0, Errno, 1), read(4, Errno, 2), read(0, Allow, 0)},
			StackRun{Ret: Errno.With(2), Reads: NRArch, Filter: 1, PC: 1}},
		{"the stricter, wherever it is", Stack{read(0, Trap, 1), read(4, Errno, 2)},
			StackRun{Ret: Trap.With(1), Reads: NRArch, Filter: 0, PC: 1}},
		{"an unknown action counts by its number", Stack{read(0, 0x00060000, 1), read(0, Errno, 9)},
			StackRun{Ret: Errno.With(9), Reads: MakeWords(NR), Filter: 1, PC: 1}},
		{"and kills if it stands", Stack{read(0, 0x00060000, 1), read(0, Allow, 0)},
			StackRun{Ret: KillProcess.With(0), Reads: MakeWords(NR), Filter: 0, PC: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.stack.Run(&Data{}, binary.LittleEndian); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestRunAllocates holds Run to its promise for a survey of many numbers.
func TestRunAllocates(t *testing.T) {
	stack := Stack{chain(100)}
	var d Data
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian, binary.NativeEndian} {
		if n := testing.AllocsPerRun(100, func() { stack.Run(&d, order) }); n != 0 {
			t.Errorf("%v: %v allocations per run", order, n)
		}
	}
}

func TestReturn(t *testing.T) {
	for _, tt := range []struct {
		ret        Return
		normalized Return
		amd64      string
		mips       string
	}{
		{KillProcess.With(7), KillProcess.With(0), "KILL_PROCESS", "KILL_PROCESS"},
		{KillThread.With(0), KillThread.With(0), "KILL_THREAD", "KILL_THREAD"},
		{Trap.With(0xffff), Trap.With(0xffff), "TRAP(65535)", "TRAP(65535)"},
		{Errno.With(0), Errno.With(0), "ERRNO(0)", "ERRNO(0)"},
		{Errno.With(1), Errno.With(1), "ERRNO(EPERM)", "ERRNO(EPERM)"},
		{Errno.With(38), Errno.With(38), "ERRNO(ENOSYS)", "ERRNO(EL2NSYNC)"},
		{Errno.With(89), Errno.With(89), "ERRNO(EDESTADDRREQ)", "ERRNO(ENOSYS)"},
		{Errno.With(4095), Errno.With(4095), "ERRNO(4095)", "ERRNO(4095)"},
		{Errno.With(0xffff), Errno.With(4095), "ERRNO(4095)", "ERRNO(4095)"},
		{UserNotif.With(1), UserNotif.With(0), "USER_NOTIF", "USER_NOTIF"},
		{Trace.With(7), Trace.With(7), "TRACE(7)", "TRACE(7)"},
		{Log.With(1), Log.With(0), "LOG", "LOG"},
		{Allow.With(1), Allow.With(0), "ALLOW", "ALLOW"},
		{0x00060001, KillProcess.With(0), "KILL_PROCESS(0x00060001)", "KILL_PROCESS(0x00060001)"},
		{0xffff0000, KillProcess.With(0), "KILL_PROCESS(0xffff0000)", "KILL_PROCESS(0xffff0000)"},
	} {
		if got := tt.ret.Normalize(); got != tt.normalized {
			t.Errorf("%#x normalises to %#x, want %#x", uint32(tt.ret), uint32(got), uint32(tt.normalized))
		}
		if got := tt.ret.Format(syscalls.AMD64); got != tt.amd64 {
			t.Errorf("%#x on amd64 is %q, want %q", uint32(tt.ret), got, tt.amd64)
		}
		if got := tt.ret.Format(syscalls.MIPS64LE); got != tt.mips {
			t.Errorf("%#x on mips64le is %q, want %q", uint32(tt.ret), got, tt.mips)
		}
	}
}

// chain is a filter as container runtimes have it: after the architecture it
// compares the number with n others, one by one.
func chain(n int) Filter {
	f := Filter{
		stmt(LdAbsW, 4),
		jump(JeqK, syscalls.AMD64.AuditArch(), 1, 0),
		stmt(RetK, uint32(KillThread)),
		stmt(LdAbsW, 0),
	}
	for i := range n {
		f = append(f, jump(JeqK, uint32(i), 0, 1), stmt(RetK, uint32(Allow)))
	}
	return append(f, stmt(RetK, uint32(Errno.With(1))))
}

func BenchmarkRun(b *testing.B) {
	for _, bb := range []struct {
		name string
		nr   uint32
	}{{"first", 0}, {"last", 349}, {"none", 1000}} {
		b.Run(bb.name, func(b *testing.B) {
			stack := Stack{chain(350)}
			d := Data{NR: bb.nr, Arch: syscalls.AMD64.AuditArch()}
			b.ReportAllocs()
			for b.Loop() {
				stack.Run(&d, binary.LittleEndian)
			}
		})
	}
}

func BenchmarkRunArithmetic(b *testing.B) {
	prog := append(randomBody(rand.New(rand.NewPCG(1, 1)), 500), stmt(RetA, 0))
	d := Data{Arch: 1}
	b.ReportAllocs()
	for b.Loop() {
		prog.Run(&d, binary.LittleEndian)
	}
}

func BenchmarkCheck(b *testing.B) {
	prog := chain(500)
	b.ReportAllocs()
	for b.Loop() {
		if err := prog.Check(); err != nil {
			b.Fatal(err)
		}
	}
}
