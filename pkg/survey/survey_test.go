package survey

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

func stmt(op bpf.Op, k uint32) bpf.Instruction { return bpf.Instruction{Op: op, K: k} }

func jump(op bpf.Op, k uint32, jt, jf uint8) bpf.Instruction {
	return bpf.Instruction{Op: op, K: k, Jt: jt, Jf: jf}
}

// number returns a system call's number, which must be in the table.
func number(t testing.TB, abi syscalls.ABI, name string) uint32 {
	t.Helper()
	nr, ok := abi.Number(name)
	if !ok {
		t.Fatalf("%v has no %s", abi, name)
	}
	return nr
}

// deny returns a filter: read is EACCES, write is EPERM for descriptor 1, numbers
// above the last are ENOSYS, and what is of another arch kills.
func deny(t testing.TB, abi syscalls.ABI) bpf.Filter {
	table := abi.Table()
	return bpf.Filter{
		stmt(bpf.LdAbsW, 4),
		jump(bpf.JeqK, abi.AuditArch(), 1, 0),
		stmt(bpf.RetK, uint32(bpf.KillProcess)),
		stmt(bpf.LdAbsW, 0),
		jump(bpf.JgtK, table[len(table)-1].Number, 5, 0),
		jump(bpf.JeqK, number(t, abi, "read"), 5, 0),
		jump(bpf.JeqK, number(t, abi, "write"), 0, 2),
		stmt(bpf.LdAbsW, 16),
		jump(bpf.JeqK, 1, 3, 0),
		stmt(bpf.RetK, uint32(bpf.Allow)),
		stmt(bpf.RetK, uint32(bpf.Errno.With(38))),
		stmt(bpf.RetK, uint32(bpf.Errno.With(13))),
		stmt(bpf.RetK, uint32(bpf.Errno.With(1))),
	}
}

func TestOf(t *testing.T) {
	const abi = syscalls.AMD64
	last := abi.Table()[len(abi.Table())-1].Number
	f := deny(t, abi)
	if err := f.Check(); err != nil {
		t.Fatal(err)
	}
	allow := Outcome{Return: bpf.Allow.With(0)}
	want := Survey{
		ABI:     abi,
		Default: allow,
		Beyond:  Outcome{Return: bpf.Errno.With(38)},
		Runs: []Run{
			{0, 0, Outcome{Return: bpf.Errno.With(13)}},
			{1, 1, Outcome{Depends: true, Words: bpf.MakeWords(bpf.Arg(0))}},
			{2, last, allow},
		},
	}
	got := Of(bpf.Stack{f}, abi)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got.Equal(want) || got.Equal(Of(nil, abi)) {
		t.Error("Equal")
	}
	if o := got.Outcome(last + 1); o != (Outcome{Undecided: true}) {
		t.Errorf("beyond the survey: %v", o)
	}

	// The same stack for x32, whose numbers are above all of amd64's, and for
	// i386, whose arch is another.
	for abi, want := range map[syscalls.ABI]Outcome{
		syscalls.X32:  {Return: bpf.Errno.With(38)},
		syscalls.I386: {Return: bpf.KillProcess.With(0)},
	} {
		got := Of(bpf.Stack{f}, abi)
		if len(got.Runs) != 1 || got.Runs[0].Outcome != want || got.Default != want || got.Beyond != want {
			t.Errorf("%v: %+v", abi, got)
		}
	}
}

// TestEveryABI surveys every ABI: what the runs say of each number of the table,
// running the stack says too; surveys are well formed and survive JSON.
func TestEveryABI(t *testing.T) {
	for _, abi := range syscalls.ABIs() {
		stack := bpf.Stack{deny(t, abi)}
		s := Of(stack, abi)
		if err := s.Check(); err != nil {
			t.Errorf("%v: %v", abi, err)
		}
		if n := len(s.Runs); n > 16 {
			t.Errorf("%v: %d runs", abi, n)
		}
		for _, call := range abi.Table() {
			run := stack.Run(&bpf.Data{NR: call.Number, Arch: abi.AuditArch()}, abi.ByteOrder())
			want := Outcome{Return: run.Ret}
			if call.Name == "write" {
				want = s.Outcome(call.Number)
				if !want.Depends {
					t.Errorf("%v: write does not depend", abi)
				}
			}
			if got := s.Outcome(call.Number); got != want {
				t.Errorf("%v: %s: %v, want %v", abi, call.Name, got, want)
			}
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Survey
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%v: %v", abi, err)
		}
		if diff := cmp.Diff(s, back); diff != "" {
			t.Errorf("%v: %s", abi, diff)
		}
	}
}

// TestBudget surveys the longest stack that the kernel holds, and one longer
// than any.
func TestBudget(t *testing.T) {
	long := make(bpf.Filter, bpf.MaxInstructions)
	for i := range long {
		long[i] = stmt(bpf.LdImm, 1)
	}
	long[len(long)-1] = stmt(bpf.RetK, uint32(bpf.Allow))
	for _, abi := range syscalls.ABIs() {
		stack := make(bpf.Stack, 8)
		for i := range stack {
			stack[i] = long
		}
		if s := Of(stack, abi); s.Default.Undecided {
			t.Errorf("%v: a stack that the kernel holds is over budget", abi)
		}
	}
	stack := make(bpf.Stack, 4000)
	for i := range stack {
		stack[i] = long
	}
	s := Of(stack, syscalls.AMD64)
	if len(s.Runs) != 1 || !s.Runs[0].Undecided || !s.Default.Undecided || !s.Beyond.Undecided {
		t.Errorf("4000 filters of 4096 instructions: %+v", s)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestDependsIsSound runs random filters with random arguments: what a survey
// says of a number holds for all of them.
func TestDependsIsSound(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const abi = syscalls.AMD64
	for range 200 {
		f := bpf.Filter{}
		for range 10 {
			f = append(f, stmt(bpf.LdAbsW, uint32(random.IntN(16))*4), jump(bpf.JgtK, uint32(random.IntN(400)), 0, 1), stmt(bpf.RetK, random.Uint32()))
		}
		f = append(f, stmt(bpf.RetK, uint32(bpf.Allow)))
		stack := bpf.Stack{f}
		s := Of(stack, abi)
		for range 200 {
			d := bpf.Data{NR: uint32(random.IntN(450)), Arch: abi.AuditArch(), IP: random.Uint64()}
			for i := range d.Args {
				d.Args[i] = random.Uint64() >> random.IntN(64)
			}
			if o := s.Outcome(d.NR); !o.Depends && o.Return != stack.Run(&d, abi.ByteOrder()).Ret {
				t.Fatalf("%v of %+v: %v, and it is %v", f, d, o, stack.Run(&d, abi.ByteOrder()).Ret)
			}
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, abi := range []syscalls.ABI{syscalls.AMD64, syscalls.ARM} {
		text, err := json.Marshal(Of(bpf.Stack{deny(f, abi)}, abi))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"abi":"amd64","default":"KILL_THREAD","beyond":"UNDECIDED","runs":[[0,5,"DEPENDS(0x0004)"]]}`))
	f.Add([]byte(`{"abi":"amd64","default":"ALLOW(1)","beyond":"ERRNO(5000)","runs":[[0]]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, back Survey
		if json.Unmarshal(text, &s) != nil || s.Check() != nil {
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &back); err != nil {
			t.Fatal(err)
		}
		if !s.Equal(back) {
			t.Errorf("%+v became %+v", s, back)
		}
	})
}

func BenchmarkOf(b *testing.B) {
	stack := bpf.Stack{deny(b, syscalls.AMD64)}
	for b.Loop() {
		Of(stack, syscalls.AMD64)
	}
}
