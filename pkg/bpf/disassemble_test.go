package bpf

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

const (
	archAMD64 = 0xc000003e
	archI386  = 0x40000003
	archARM64 = 0xc00000b7
)

func TestDisassemble(t *testing.T) {
	for _, tt := range []struct {
		name   string
		goarch string
		prog   Filter
		want   string
	}{{
		"each ABI has its names", "amd64",
		Filter{
			stmt(LdAbsW, 4),
			jump(JeqK, archAMD64, 3, 0),
			jump(JeqK, archI386, 5, 0),
			jump(JeqK, archARM64, 4, 0),
			stmt(RetK, 0x80000000),
			stmt(LdAbsW, 0),
			jump(JsetK, 0x40000000, 3, 0),
			jump(JeqK, 59, 5, 6),
			stmt(LdAbsW, 0),
			jump(JeqK, 11, 3, 4),
			jump(JeqK, 59, 2, 0),
			jump(JeqK, 0x40000208, 1, 2),
			jump(JgtK, 0x40000000, 0, 1),
			stmt(RetK, 0x00050001),
			stmt(RetK, 0x7fff0000),
		}, `
   0: 0020 00 00 00000004  ld   [4]                   ; arch
   1: 0015 03 00 c000003e  jeq  #0xc000003e, 5, 2     ; arch == AUDIT_ARCH_X86_64
   2: 0015 05 00 40000003  jeq  #0x40000003, 8, 3     ; arch == AUDIT_ARCH_I386
   3: 0015 04 00 c00000b7  jeq  #0xc00000b7, 8, 4     ; unreachable
   4: 0006 00 00 80000000  ret  #0x80000000           ; unreachable
   5: 0020 00 00 00000000  ld   [0]                   ; nr
   6: 0045 03 00 40000000  jset #0x40000000, 10, 7    ; nr & 0x40000000 != 0
   7: 0015 05 06 0000003b  jeq  #0x3b, 13, 14         ; nr == execve
   8: 0020 00 00 00000000  ld   [0]                   ; nr
   9: 0015 03 04 0000000b  jeq  #0xb, 13, 14          ; nr == execve
  10: 0015 02 00 0000003b  jeq  #0x3b, 13, 11         ; nr == 59
  11: 0015 01 02 40000208  jeq  #0x40000208, 13, 14   ; nr == execve
  12: 0025 00 01 40000000  jgt  #0x40000000, 13, 14   ; unreachable
  13: 0006 00 00 00050001  ret  #0x50001              ; ERRNO(EPERM)
  14: 0006 00 00 7fff0000  ret  #0x7fff0000           ; ALLOW
`}, {
		"several ABIs come to one comparison", "amd64",
		Filter{
			stmt(LdAbsW, 0),
			jump(JeqK, 1, 4, 0),          // write, exit
			jump(JeqK, 454, 3, 0),        // futex_wake on all
			jump(JeqK, 400, 2, 0),        // msgsnd on 386, nothing on the others
			jump(JeqK, 0x40000001, 1, 0), // write on x32, nothing on 386
			jump(JgeK, 0x40000000, 0, 1), // the border
			stmt(RetK, 0x7ff00007),
			stmt(RetK, 0x7ffc0000),
		}, `
   0: 0020 00 00 00000000  ld   [0]                   ; nr
   1: 0015 04 00 00000001  jeq  #0x1, 6, 2            ; nr == amd64:write 386:exit
   2: 0015 03 00 000001c6  jeq  #0x1c6, 6, 3          ; nr == futex_wake
   3: 0015 02 00 00000190  jeq  #0x190, 6, 4          ; nr == 386:msgsnd
   4: 0015 01 00 40000001  jeq  #0x40000001, 6, 5     ; nr == x32:write
   5: 0035 00 01 40000000  jge  #0x40000000, 6, 7     ; nr >= 0x40000000
   6: 0006 00 00 7ff00007  ret  #0x7ff00007           ; TRACE(7)
   7: 0006 00 00 7ffc0000  ret  #0x7ffc0000           ; LOG
`}, {
		"the high half comes first on s390x", "s390x",
		Filter{
			stmt(LdAbsW, 16),
			stmt(LdAbsW, 20),
			stmt(AndK, 0x7e020000),
			jump(JeqK, 0, 1, 0),
			stmt(RetK, 0x00050026),
			stmt(LdAbsW, 8),
			stmt(LdAbsW, 60),
			jump(JsetK, 0xff, 0, 1),
			stmt(RetK, 0x00030000),
			stmt(RetK, 0x7fc00000),
		}, `
   0: 0020 00 00 00000010  ld   [16]                  ; args[0] high
   1: 0020 00 00 00000014  ld   [20]                  ; args[0] low
   2: 0054 00 00 7e020000  and  #0x7e020000           ; (args[0] low & 0x7e020000)
   3: 0015 01 00 00000000  jeq  #0x0, 5, 4            ; (args[0] low & 0x7e020000) == 0x0
   4: 0006 00 00 00050026  ret  #0x50026              ; ERRNO(ENOSYS)
   5: 0020 00 00 00000008  ld   [8]                   ; instruction_pointer high
   6: 0020 00 00 0000003c  ld   [60]                  ; args[5] low
   7: 0045 00 01 000000ff  jset #0xff, 8, 9           ; args[5] low & 0xff != 0
   8: 0006 00 00 00030000  ret  #0x30000              ; TRAP(0)
   9: 0006 00 00 7fc00000  ret  #0x7fc00000           ; USER_NOTIF
`}, {
		"errnos are the machine's", "mips64le",
		Filter{
			jump(JeqX, 0, 0, 1),
			stmt(RetK, 0x00050059),
			stmt(RetK, 0x00050026),
		}, `
   0: 001d 00 01 00000000  jeq  x, 1, 2               ; 0x0 == 0x0
   1: 0006 00 00 00050059  ret  #0x50059              ; ERRNO(ENOSYS)
   2: 0006 00 00 00050026  ret  #0x50026              ; ERRNO(EL2NSYNC)
`}, {
		"what is in A depends on the path", "arm64",
		Filter{
			stmt(LdAbsW, 0),
			stmt(St, 2),
			jump(JeqK, 98, 0, 1), // futex
			stmt(LdAbsW, 16),
			jump(JeqK, 57, 0, 1), // A is nr or an argument
			stmt(LdMem, 2),
			jump(JeqK, 57, 0, 1), // A is nr, or what it was above
			stmt(RetK, 0x0006abcd),
			stmt(LdMem, 2),
			jump(JeqK, 57, 0, 1),
			stmt(RetK, 0x00050000),
			stmt(RetK, 0x0005ffff),
		}, `
   0: 0020 00 00 00000000  ld   [0]                   ; nr
   1: 0002 00 00 00000002  st   M[2]                  ; nr
   2: 0015 00 01 00000062  jeq  #0x62, 3, 4           ; nr == arm64:futex
   3: 0020 00 00 00000010  ld   [16]                  ; args[0] low
   4: 0015 00 01 00000039  jeq  #0x39, 5, 6
   5: 0060 00 00 00000002  ld   M[2]                  ; nr
   6: 0015 00 01 00000039  jeq  #0x39, 7, 8
   7: 0006 00 00 0006abcd  ret  #0x6abcd              ; KILL_PROCESS(0x0006abcd)
   8: 0060 00 00 00000002  ld   M[2]                  ; nr
   9: 0015 00 01 00000039  jeq  #0x39, 10, 11         ; nr == arm64:close arm:setpgid
  10: 0006 00 00 00050000  ret  #0x50000              ; ERRNO(0)
  11: 0006 00 00 0005ffff  ret  #0x5ffff              ; ERRNO(4095)
`}, {
		"every form of operand", "amd64",
		Filter{
			stmt(LdImm, 0x50000), stmt(Tax, 9), stmt(AddK, 13), stmt(OrX, 0), stmt(Stx, 1), stmt(LdxMem, 1),
			stmt(LdLen, 0), stmt(LdxLen, 0), stmt(MulX, 0), stmt(LdxImm, 3), stmt(LshX, 0), stmt(RshK, 3), stmt(Neg, 0),
			stmt(XorK, 1), stmt(Txa, 0), stmt(DivX, 0), stmt(SubX, 0),
			stmt(LdAbsW, 24), stmt(Tax, 0), stmt(LdAbsW, 16), jump(JgtX, 77, 1, 0), stmt(Ja, 0), stmt(AddX, 0),
			jump(JsetX, 0, 0, 1), stmt(RetA, 0), stmt(LdImm, 0x5000d), stmt(RetA, 5),
		}, `
   0: 0000 00 00 00050000  ld   #0x50000
   1: 0007 00 00 00000009  tax                        ; 0x50000
   2: 0004 00 00 0000000d  add  #0xd
   3: 004c 00 00 00000000  or   x
   4: 0003 00 00 00000001  stx  M[1]                  ; 0x50000
   5: 0061 00 00 00000001  ldx  M[1]                  ; 0x50000
   6: 0080 00 00 00000000  ld   #len
   7: 0081 00 00 00000000  ldx  #len
   8: 002c 00 00 00000000  mul  x
   9: 0001 00 00 00000003  ldx  #0x3
  10: 006c 00 00 00000000  lsh  x
  11: 0074 00 00 00000003  rsh  #0x3
  12: 0084 00 00 00000000  neg
  13: 00a4 00 00 00000001  xor  #0x1
  14: 0087 00 00 00000000  txa                        ; 0x3
  15: 003c 00 00 00000000  div  x
  16: 001c 00 00 00000000  sub  x
  17: 0020 00 00 00000018  ld   [24]                  ; args[1] low
  18: 0007 00 00 00000000  tax                        ; args[1] low
  19: 0020 00 00 00000010  ld   [16]                  ; args[0] low
  20: 002d 01 00 0000004d  jgt  x, 22, 21             ; args[0] low > args[1] low
  21: 0005 00 00 00000000  ja   22
  22: 000c 00 00 00000000  add  x
  23: 004d 00 01 00000000  jset x, 24, 25
  24: 0016 00 00 00000000  ret  a
  25: 0000 00 00 0005000d  ld   #0x5000d
  26: 0016 00 00 00000005  ret  a                     ; ERRNO(EACCES)
`}, {
		"no filter at all", "amd64",
		Filter{
			stmt(LdAbsW, 2), stmt(0x30, 1), stmt(St, 99), jump(JeqK, 1, 255, 7), stmt(Ja, 0xffffffff), stmt(0xffff, 3),
		}, `
   0: 0020 00 00 00000002  ld   [2]
   1: 0030 00 00 00000001  illegal
   2: 0002 00 00 00000063  st   M[99]                 ; unreachable
   3: 0015 ff 07 00000001  jeq  #0x1, 259, 11         ; unreachable
   4: 0005 00 00 ffffffff  ja   4294967300            ; unreachable
   5: ffff 00 00 00000003  illegal                    ; unreachable
`}} {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			if err := tt.prog.Disassemble(&got, syscalls.OfMachine(tt.goarch)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, "\n"+got.String()); diff != "" {
				t.Errorf("not as reviewed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDisassembleErrors(t *testing.T) {
	if err := chain(1).Disassemble(new(strings.Builder), nil); !errors.Is(err, ErrNoABI) {
		t.Errorf("without ABIs: %v, want %v", err, ErrNoABI)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.Close()
	if err := chain(1).Disassemble(w, syscalls.OfMachine("amd64")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("to a closed pipe: %v, want %v", err, os.ErrClosed)
	}
}

// TestFlow runs random programs and holds each instruction that is executed
// against what analyze is certain of there.
func TestFlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	abis := syscalls.OfMachine("amd64")
	numbers := []uint32{0, 1, 59, 456, 0x40000000, 0x40000208, 0xffffffff, 0x80000001}
	for range 3000 {
		// Comparisons of the words by which ABIs are told apart, and a random
		// program that all of them come to.
		f := Filter{stmt(LdAbsW, pick[uint32](rng, 0, 4))}
		for n := rng.IntN(6); n > 0; n-- {
			switch rng.IntN(4) {
			case 0:
				f = append(f, stmt(LdAbsW, pick[uint32](rng, 0, 4)))
			case 1:
				f = append(f, stmt(AndK, ^uint32(1<<rng.IntN(32))))
			default:
				k := pick(rng, append(numbers, archAMD64, archI386, archAMD64&0xffff)...)
				op := pick(rng, JeqK, JgtK, JgeK, JsetK)
				f = append(f, jump(op, k, uint8(rng.IntN(n)), uint8(rng.IntN(n))))
			}
		}
		f = append(append(f, randomBody(rng, 15)...), stmt(RetA, 0))
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		flows := f.analyze(machineSet(abis), binary.LittleEndian)
		for range 4 {
			d := randomData(rng, pick(rng, numbers...), pick[uint32](rng, archAMD64, archI386))
			abi, ok := syscalls.Of(d.Arch, d.NR)
			if !ok {
				t.Fatalf("no ABI has %+v", d)
			}
			checkFlow(t, f, flows, d, abi)
		}
	}
}

// checkFlow follows d through f by running it again and again, each time up to
// one more instruction, with a return of what is to be looked at behind.
func checkFlow(t *testing.T, f Filter, flows []flow, d *Data, abi syscalls.ABI) {
	t.Helper()
	words := d.words(false)
	actual := func(v value) uint32 {
		if v.kind == known {
			return v.bits
		}
		return words[v.word] & v.bits
	}
	for pc := range f {
		// A program that ends at pc, if d comes there, with a mark or with A.
		upTo := append(Filter(nil), f[:pc]...)
		for len(upTo) < len(f) {
			upTo = append(upTo, stmt(RetA, 0))
		}
		run := upTo.Run(d, binary.LittleEndian)
		if run.PC != pc {
			continue
		}
		s := flows[pc]
		if abi == syscalls.AMD64 && d.NR>>31 != 0 {
			abi = noABI
		}
		if s.abis&setOf(abi) == 0 {
			t.Fatalf("a call of %v comes to %d, which analyze says it does not:\n%v", abi, pc, f)
		}
		if s.a.kind != unknown && actual(s.a) != uint32(run.Ret) {
			t.Fatalf("A is %#x at %d, which analyze says is %v:\n%v", uint32(run.Ret), pc, s.a, f)
		}
	}
}

func FuzzDisassemble(f *testing.F) {
	f.Add(chain(3).Encode(binary.LittleEndian), "amd64")
	f.Add(chain(3).Encode(binary.LittleEndian), "s390x")
	f.Add(append(randomBody(rand.New(rand.NewPCG(1, 1)), 9), stmt(RetA, 0)).Encode(binary.LittleEndian), "mips64le")
	f.Fuzz(func(t *testing.T, raw []byte, goarch string) {
		prog, err := Decode(raw, binary.LittleEndian)
		abis := syscalls.OfMachine(goarch)
		if err != nil || len(abis) == 0 {
			return
		}
		var text strings.Builder
		if err := prog.Disassemble(&text, abis); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text.String(), "\n"); n != len(prog) {
			t.Errorf("%d lines of %d instructions:\n%s", n, len(prog), text.String())
		}
		for _, c := range text.String() {
			if c != '\n' && (c < ' ' || c > '~') {
				t.Fatalf("character %q in the text", c)
			}
		}
	})
}

func BenchmarkDisassemble(b *testing.B) {
	prog := chain(500)
	var out strings.Builder
	for b.Loop() {
		out.Reset()
		if err := prog.Disassemble(&out, syscalls.OfMachine("amd64")); err != nil {
			b.Fatal(err)
		}
	}
}
