package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// ErrNoABI is [Filter.Disassemble]'s complaint when it is not told the machine.
var ErrNoABI = errors.New("disassemble filter: no ABI is given, so neither byte order nor names are known")

// Disassemble writes one line for each instruction: its index, the four fields
// of struct sock_filter in hexadecimal, its text in the syntax of the kernel's
// bpf_asm but with the index of the instruction as a jump's target, and a
// comment that names what is compared, loaded or returned.
//
// abis are those whose calls the machine that holds the filter accepts, as
// [syscalls.OfMachine] returns them. On that ground the comments are certain: a
// number is named only if it is known to be a system call's on every path to the
// instruction, and under each ABI that the comparisons of arch and nr before it
// leave. Where that is more than one, and they do not agree, each name has its
// ABI: "amd64:read 386:restart_syscall". An instruction that no call reaches is
// marked.
//
// f need not be one that [Filter.Check] accepts.
func (f Filter) Disassemble(w io.Writer, abis []syscalls.ABI) error {
	if len(abis) == 0 {
		return ErrNoABI
	}
	out := bufio.NewWriter(w)
	for pc, s := range f.analyze(machineSet(abis), abis[0].ByteOrder()) {
		in := f[pc]
		line := fmt.Sprintf("%4d: %04x %02x %02x %08x  %-26s", pc, uint16(in.Op), in.Jt, in.Jf, in.K, in.text(pc))
		if comment := s.comment(in, abis); comment != "" {
			line += " ; " + comment
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}
	return out.Flush()
}

// text returns the instruction at index pc as an assembler would take it.
func (in Instruction) text(pc int) string {
	target := func(skip uint32) uint64 { return uint64(pc) + 1 + uint64(skip) }
	operand := fmt.Sprintf("#%#x", in.K)
	switch in.Op {
	case LdAbsW:
		operand = fmt.Sprintf("[%d]", in.K)
	case LdLen, LdxLen:
		operand = "#len"
	case LdMem, LdxMem, St, Stx:
		operand = fmt.Sprintf("M[%d]", in.K)
	case Ja:
		operand = fmt.Sprint(target(in.K))
	case RetA:
		operand = "a"
	case Neg, Tax, Txa:
		return in.Op.String()
	default:
		if class := in.Op.class(); (class == classALU || class == classJMP) && in.Op.usesX() {
			operand = "x"
		}
		if in.Op.conditional() {
			operand += fmt.Sprintf(", %d, %d", target(uint32(in.Jt)), target(uint32(in.Jf)))
		}
	}
	if !in.Op.Legal() {
		return "illegal"
	}
	return fmt.Sprintf("%-4s %s", in.Op, operand)
}

// comment says what in means after s, as far as that is certain.
func (s flow) comment(in Instruction, abis []syscalls.ABI) string {
	if s.abis == 0 {
		return "unreachable"
	}
	switch in.Op {
	case RetK:
		return s.returns(Return(in.K))
	case RetA:
		if s.a.kind == known {
			return s.returns(Return(s.a.bits))
		}
		return s.a.String()
	case LdAbsW, LdMem, AndK, AndX:
		s.step(in, abis[0].ByteOrder())
		return s.a.String()
	case LdxMem:
		s.step(in, abis[0].ByteOrder())
		return s.x.String()
	case St, Tax:
		return s.a.String()
	case Stx, Txa:
		return s.x.String()
	}
	if in.Op.Legal() && in.Op.conditional() {
		return s.comparison(in, abis)
	}
	return ""
}

// comparison puts a conditional jump in words; "" if A or X is unknown.
func (s flow) comparison(in Instruction, abis []syscalls.ABI) string {
	a, b := s.a.String(), s.operand(in).String()
	if a == "" || b == "" {
		return ""
	}
	k := s.operand(in)
	if s.a.kind == masked && s.a.bits == ^uint32(0) && k.kind == known && in.Op&^0x08 != JsetK {
		switch s.a.word {
		case Arch:
			b = syscalls.ArchName(k.bits)
		case NR:
			b = s.number(in.Op, k.bits, abis)
		}
	}
	switch in.Op &^ 0x08 {
	case JeqK:
		return a + " == " + b
	case JgtK:
		return a + " > " + b
	case JgeK:
		return a + " >= " + b
	default: // JsetK
		return a + " & " + b + " != 0"
	}
}

// number puts into words what nr is compared with: a name, if the comparison
// is for equality; else a number, and as a help the name that it has. The first
// number of x32 is a border and means no system call.
func (s flow) number(op Op, nr uint32, abis []syscalls.ABI) string {
	names := s.names(nr, abis)
	if names != "" && op&^0x08 == JeqK {
		return names
	}
	text := fmt.Sprint(nr)
	if nr >= x32Bit {
		text = fmt.Sprintf("%#x", nr)
	}
	if names == "" || nr == x32Bit {
		return text
	}
	return text + " (" + names + ")"
}

// names returns the name of system call nr, or its names under the several ABIs
// that a call may be of; "" if there is none.
func (s flow) names(nr uint32, abis []syscalls.ABI) string {
	var first string
	var qualified []string
	same := true
	for _, abi := range abis {
		_, fixed, number := domain(abi)
		if s.abis&setOf(abi) == 0 || (nr^number)&fixed != 0 {
			continue // not a number that this ABI's calls can have here
		}
		name, ok := abi.Name(nr)
		if !ok {
			same = false
			continue
		}
		if first == "" {
			first = name
		}
		same = same && name == first
		qualified = append(qualified, abi.String()+":"+name)
	}
	if same {
		return first
	}
	return strings.Join(qualified, " ")
}

// returns names a return value as far as the ABIs agree on it.
func (s flow) returns(r Return) string {
	var text string
	for abi := range s.abis.all {
		if abi == noABI {
			abi = syscalls.AMD64
		}
		switch t := r.Format(abi); {
		case text == "":
			text = t
		case text != t:
			return r.String()
		}
	}
	return text
}
