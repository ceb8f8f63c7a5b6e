package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// nativeArch is what the kernel says the architecture of our own calls is.
var nativeArch = syscalls.OfMachine(runtime.GOARCH)[0].AuditArch()

// A bundle is a filter that holds many programs, one for each of the numbers from
// firstNR on, which are no system calls. A program's result is handed out in
// three parts of 12 bits, since an errno has no more: part p of program i is the
// errno of number firstNR + 4i + p.
const firstNR = 10_000

// newBundle makes a bundle of bodies, which are valid when a return stands
// behind them and whose result is A at that return.
func newBundle(bodies []Filter) Filter {
	// The result is kept in X while the part is found out.
	epilogue := Filter{
		stmt(Tax, 0),
		stmt(LdAbsW, 0),
		stmt(AndK, 3),
		jump(JeqK, 1, 3, 0),
		jump(JeqK, 2, 5, 0),
		stmt(Txa, 0), // part 0
		stmt(Ja, 5),
		stmt(Txa, 0), // part 1
		stmt(RshK, 12),
		stmt(Ja, 2),
		stmt(Txa, 0), // part 2
		stmt(RshK, 24),
		stmt(AndK, 0xfff),
		stmt(OrK, uint32(Errno)),
		stmt(RetA, 0),
	}
	f := Filter{stmt(LdAbsW, 0), jump(JgeK, firstNR, 1, 0), stmt(RetK, uint32(Allow)), stmt(SubK, firstNR), stmt(RshK, 2)}
	size := 0
	for _, b := range bodies {
		size += len(b) + 2
	}
	body := len(f) + 2*len(bodies) + 1 // where the next one starts
	end := body + size                 // and where the epilogue does
	for i, b := range bodies {
		f = append(f, jump(JeqK, uint32(i), 0, 1))
		f = append(f, stmt(Ja, uint32(body-len(f)-1)))
		body += len(b) + 2
	}
	f = append(f, stmt(RetK, uint32(Allow)))
	for _, b := range bodies {
		f = append(f, stmt(LdImm, 0)) // A is 0 when a program starts
		f = append(f, b...)
		f = append(f, stmt(Ja, uint32(end-len(f)-1)))
	}
	return append(f, epilogue...)
}

// part makes the call that asks for a part of program i's result.
func part(i, p int, args [6]uint64) call {
	return call{NR: firstNR + 4*uint32(i) + uint32(p), Args: args}
}

func (c call) data(ip uint64) *Data {
	return &Data{NR: c.NR, Arch: nativeArch, IP: ip, Args: c.Args}
}

// demonstrate makes a program in which op is certain to be executed, with the
// low halves of the first two arguments in A and X and in M[3] and M[4], and by
// whose result it shows what op does.
func demonstrate(op Op, rng *rand.Rand) Filter {
	low := func(i int) uint32 { return offset(Arg(i)) }
	f := Filter{stmt(LdAbsW, low(1)), stmt(Tax, 0), stmt(LdAbsW, low(0)), stmt(St, 3), stmt(Stx, 4)}
	in := stmt(op, randomWord(rng))
	switch op {
	case LdAbsW:
		in.K = 4 * rng.Uint32N(DataSize/4)
	case LdMem, LdxMem:
		in.K = pick[uint32](rng, 3, 4)
	case St, Stx:
		in.K = rng.Uint32N(MemWords)
	case DivK:
		in.K |= 1
	case LshK, RshK:
		in.K %= 32
	case Ja:
		return append(f, stmt(Ja, 1), stmt(AddK, 7), stmt(XorK, 0x5a))
	case JeqK, JeqX, JgtK, JgtX, JgeK, JgeX, JsetK, JsetX:
		in.Jt = 1
		return append(f, in, stmt(AddK, 7), stmt(XorK, 0x5a))
	case RetK:
		return append(f, stmt(RetK, uint32(Errno.With(uint16(in.K&0xfff)))))
	case RetA:
		return append(f, stmt(AndK, 0xfff), stmt(OrK, uint32(Errno)), in)
	}
	f = append(f, in)
	switch {
	case op == Tax || op.class() == classLDX:
		f = append(f, stmt(Txa, 0))
	case op == St || op == Stx:
		f = append(f, stmt(LdMem, in.K))
	}
	return f
}

// offset is the inverse of WordAt on this machine.
func offset(w Word) uint32 {
	for k := uint32(0); ; k += 4 {
		if at, _ := WordAt(k, binary.NativeEndian); at == w {
			return k
		}
	}
}

// TestKernelRun has the kernel run programs of every operation, and compares
// what each call returns with what Run says of it.
func TestKernelRun(t *testing.T) {
	o := newOracle(t)
	rng := rand.New(rand.NewPCG(6, 18))
	programs, calls, divided := 0, 0, 0
	for n := range kerneltest.Share(24) {
		// The first two tell the instruction pointer that our calls have.
		bodies := []Filter{{stmt(LdAbsW, offset(IPLow))}, {stmt(LdAbsW, offset(IPHigh))}}
		if n < kerneltest.Share(4) {
			for range 5 {
				for _, op := range legalOps {
					bodies = append(bodies, demonstrate(op, rng))
				}
			}
		} else {
			for range 75 {
				bodies = append(bodies, randomBody(rng, 24))
			}
		}
		bundle := newBundle(bodies)
		stack := Stack{bundle}
		if err := bundle.Check(); err != nil {
			t.Fatalf("bundle of %d instructions: %v", len(bundle), err)
		}
		programs += len(bodies)

		// It is the same in every child: the test binary lies where it was
		// linked to lie.
		j := job{Stack: stack}
		for i := range 2 {
			for p := range 3 {
				j.Calls = append(j.Calls, part(i, p, [6]uint64{}))
			}
		}
		pointer := o.ask(j, false)
		if pointer == nil {
			t.Fatal("the child was killed")
		}
		var ip uint64
		for k, r := range pointer.Results {
			ip |= uint64(r.Errno) << (k/3*32 + k%3*12)
		}
		j.Calls = nil
		var lethal []call
		for i := range bodies {
			for range 10 {
				d := randomData(rng, 0, 0)
				if rng.IntN(4) == 0 {
					d.Args[1] = d.Args[0]
				}
				for p := range 3 {
					c := part(i, p, d.Args)
					if stack.Run(c.data(ip), binary.NativeEndian).Ret.Action() == Errno {
						j.Calls = append(j.Calls, c)
					} else {
						lethal = append(lethal, c)
					}
				}
			}
		}
		a := o.ask(j, false)
		if a == nil {
			t.Fatal("the child was killed by a call that Run says returns an errno")
		}
		for i, c := range j.Calls {
			run := stack.Run(c.data(ip), binary.NativeEndian)
			if got, want := a.Results[i].Errno, syscall.Errno(run.Ret.Data()); got != want {
				t.Errorf("call %+v of program\n%v\nfailed with errno %d, want %d", c, bodies[(c.NR-firstNR)/4], got, want)
			}
		}
		calls += len(j.Calls)
		// Division by zero, or a jump that reached a return with something else
		// in A.
		for _, c := range lethal[:min(3, len(lethal))] {
			run := stack.Run(c.data(ip), binary.NativeEndian)
			o.lethal(stack, c, run.Ret.Action())
			if bundle[run.PC].Op == DivX {
				divided++
			}
		}
	}
	t.Logf("%d programs, %d calls, and %d that divided by zero", programs, calls, divided)
	if divided == 0 {
		t.Error("no program divided by zero")
	}
}

// lethal checks that a call ends its thread or its process.
func (o *oracle) lethal(stack Stack, c call, want Action) {
	o.t.Helper()
	got := Action(1)
	switch a := o.ask(job{Stack: stack, Last: &c}, false); {
	case a == nil:
		got = KillProcess
	case a.Last == "thread":
		got = KillThread
	}
	if got != want {
		o.t.Errorf("call %+v: got %v, want %v", c, got, want)
	}
}

// table is a filter that answers getppid(2) by the last of its arguments, which
// that call does not have, with one of the values.
func table(values []Return) Filter {
	f := Filter{
		stmt(LdAbsW, 0),
		jump(JeqK, unix.SYS_GETPPID, 1, 0),
		stmt(RetK, uint32(Allow)),
		stmt(LdAbsW, offset(Arg(5))),
	}
	for i, v := range values {
		f = append(f, jump(JeqK, uint32(i), 0, 1), stmt(RetK, uint32(v)))
	}
	return append(f, stmt(RetK, uint32(Allow)))
}

// checkTables installs a table for each row of values, oldest first, and
// compares what becomes of each column's call with what Stack.Run says. Of the
// calls that kill, each of which needs a child of its own, at most maxLethal are
// made, from all over the table.
func (o *oracle) checkTables(rows [][]Return, maxLethal int) {
	o.t.Helper()
	var stack Stack
	for _, values := range rows {
		stack = append(stack, table(values))
	}
	var calls, lethal []call
	var want []Return
	for i := range rows[0] {
		c := call{NR: unix.SYS_GETPPID, Args: [6]uint64{5: uint64(i)}}
		ret := stack.Run(c.data(0), binary.NativeEndian).Ret
		switch ret.Action() {
		case KillProcess, KillThread:
			lethal = append(lethal, c)
		default:
			calls = append(calls, c)
			want = append(want, ret)
		}
	}
	for i := range min(maxLethal, len(lethal)) {
		c := lethal[i*len(lethal)/min(maxLethal, len(lethal))]
		o.lethal(stack, c, stack.Run(c.data(0), binary.NativeEndian).Ret.Action())
	}
	a := o.ask(job{Stack: stack, Calls: calls}, true)
	if a == nil {
		o.t.Fatal("the child was killed")
	}
	executed := result{R: uint64(syscall.Getpid())}
	var events []event
	for i, ret := range want {
		var wantResult result
		switch ret.Action() {
		case Errno:
			wantResult.Errno = syscall.Errno(ret.Data())
		case UserNotif: // nobody listens
			wantResult.Errno = unix.ENOSYS
		case Trap: // the tracer takes the signal away, and the call does not run
			events = append(events, event{Trap, ret.Data()})
			wantResult = a.Results[i]
		case Trace: // the tracer lets it run
			events = append(events, event{Trace, ret.Data()})
			wantResult = executed
		default:
			wantResult = executed
		}
		got := a.Results[i]
		if got.Errno != 0 {
			got.R = 0
		}
		if ret.Action() != Trap && got != wantResult {
			o.t.Errorf("stack %v: call %d returned %v, want %v as for %v", column(rows, calls[i]), i, got, wantResult, ret)
		}
	}
	if !slices.Equal(o.events, events) {
		o.t.Errorf("the tracer saw\n%v, want\n%v", o.events, events)
	}
}

// column is what the filters return for a call, oldest first.
func column(rows [][]Return, c call) (rets []string) {
	for _, values := range rows {
		rets = append(rets, fmt.Sprintf("%#08x", uint32(values[c.Args[5]])))
	}
	return rets
}

// actions are all that the kernel knows and, of those that it does not, some
// before, between and behind.
var actions = []Action{
	KillProcess, KillThread, Trap, Errno, UserNotif, Trace, Log, Allow,
	0x80010000, 0xffff0000, 0x00010000, 0x00060000, 0x7fc10000, 0x7ffd0000,
}

// TestKernelCombine has the kernel combine every two actions, in both orders.
func TestKernelCombine(t *testing.T) {
	o := newOracle(t)
	var older, newer []Return
	for _, a := range actions {
		for _, b := range actions {
			// The data tells which filter it came from.
			older = append(older, a.With(uint16(0x100+len(older))))
			newer = append(newer, b.With(uint16(0x300+len(newer))))
		}
	}
	o.checkTables([][]Return{older, newer}, kerneltest.Share(len(older)))
}

// TestKernelData covers the data of errnos: 0, and above the highest.
func TestKernelData(t *testing.T) {
	o := newOracle(t)
	var values []Return
	for _, data := range []uint16{0, 1, 38, 4094, 4095, 4096, 0x7fff, 0xffff} {
		values = append(values, Errno.With(data), Trap.With(data), Trace.With(data), Allow.With(data))
	}
	o.checkTables([][]Return{values}, 0)
}

// TestKernelStack has the kernel combine random stacks.
func TestKernelStack(t *testing.T) {
	o := newOracle(t)
	rng := rand.New(rand.NewPCG(7, 18))
	for range kerneltest.Share(12) {
		rows := make([][]Return, 2+rng.IntN(8))
		for i := range rows {
			rows[i] = make([]Return, 200)
			for k := range rows[i] {
				a := pick(rng, Errno, UserNotif, Trace, Log, Allow, Allow)
				switch rng.IntN(20) {
				case 0:
					a = pick(rng, actions...)
				case 1:
					a = Trap
				}
				rows[i][k] = a.With(uint16(rng.Uint32()))
			}
		}
		o.checkTables(rows, 2)
	}
}

// TestKernelCheck has the kernel judge programs, and compares with what Check
// says of them.
func TestKernelCheck(t *testing.T) {
	o := newOracle(t)
	rng := rand.New(rand.NewPCG(8, 18))
	ret := stmt(RetK, 0)
	var progs []Filter
	for op := range Op(0x100) {
		progs = append(progs, Filter{stmt(St, 1), {Op: op, K: 1}, ret, ret})
	}
	for _, op := range legalOps {
		for bit := range 8 {
			progs = append(progs, Filter{{Op: op | 0x100<<bit}, ret, ret})
		}
		for _, k := range []uint32{0, 1, 2, 3, 4, 15, 16, 31, 32, 60, 61, 62, 63, 64, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff} {
			progs = append(progs, Filter{stmt(St, 15), {Op: op, K: k, Jt: uint8(k), Jf: uint8(k >> 1)}, ret, ret, ret})
		}
	}
	for _, n := range []int{0, 1, MaxInstructions, MaxInstructions + 1} {
		progs = append(progs, slices.Repeat(Filter{ret}, n))
	}
	for range kerneltest.Share(9000) {
		progs = append(progs, randomShort(rng))
	}
	for range kerneltest.Share(900) {
		// A valid program, and the same with one thing changed.
		f := append(randomBody(rng, 20), stmt(RetA, 0))
		progs = append(progs, f)
		f = slices.Clone(f)
		switch in := &f[rng.IntN(len(f))]; rng.IntN(5) {
		case 0:
			in.Op = pick(rng, legalOps...)
		case 1:
			in.K = randomWord(rng)
		case 2:
			in.Jt = uint8(rng.IntN(40))
		case 3:
			in.Op ^= 1 << rng.UintN(8)
		case 4:
			f = f[:1+rng.IntN(len(f))]
		}
		progs = append(progs, f)
	}
	reasons := map[error]int{}
	for rest := progs; len(rest) > 0; {
		a := o.ask(job{Judge: rest[:min(len(rest), judgedInstalled+judgedRefused)]}, false)
		if a == nil || len(a.Judged) == 0 {
			t.Fatal("the child did not judge")
		}
		for i, got := range a.Judged {
			err := rest[i].Check()
			want := ""
			if err != nil {
				want = syscall.EINVAL.Error()
			}
			if got != want {
				t.Errorf("the kernel says %q, Check says %v, to\n%v", got, err, rest[i])
			}
			reasons[errors.Unwrap(err)]++
		}
		rest = rest[len(a.Judged):]
	}
	for _, err := range []error{nil, ErrEmpty, ErrTooLong, ErrOpcode, ErrDivideByZero, ErrShift, ErrMemory, ErrJump,
		ErrNoReturn, ErrUninitialized, ErrOffset} {
		t.Logf("%5d programs: %v", reasons[err], err)
		if reasons[err] == 0 {
			t.Errorf("no program was refused for: %v", err)
		}
	}
}
