package bpf

import (
	"errors"
	"fmt"
)

// Reasons why the kernel refuses a program, wrapped by [CheckError] beside
// [ErrEmpty] and [ErrTooLong]. The kernel itself says EINVAL to all of them.
var (
	ErrOpcode        = errors.New("operation is not one that seccomp accepts")
	ErrDivideByZero  = errors.New("division by the constant 0")
	ErrShift         = errors.New("shift by a constant of 32 or more")
	ErrMemory        = errors.New("memory index is beyond M[15]")
	ErrJump          = errors.New("jump leaves the program")
	ErrNoReturn      = errors.New("last instruction is not a return")
	ErrUninitialized = errors.New("memory is loaded that is not stored to on every path")
	ErrOffset        = errors.New("offset is outside seccomp_data or not a multiple of 4")
)

// CheckError says where and why the kernel would refuse a program.
type CheckError struct {
	PC     int   // index of the instruction; -1 if it is the program's length
	Reason error // one of the package's Err values
}

func (e *CheckError) Error() string {
	if e.PC < 0 {
		return "check filter: " + e.Reason.Error()
	}
	return fmt.Sprintf("check filter: instruction %d: %v", e.PC, e.Reason)
}

func (e *CheckError) Unwrap() error { return e.Reason }

// Check returns nil if the kernel would accept f as a seccomp filter, and else
// a [*CheckError] with the first reason it would meet. It does, in the same
// order, what bpf_check_classic and check_load_and_stores (net/core/filter.c)
// and then seccomp_check_filter (kernel/seccomp.c) do. A program that passes
// can still fail to be installed for want of memory, or because the thread's
// filters together are too long.
func (f Filter) Check() error {
	switch {
	case len(f) == 0:
		return &CheckError{-1, ErrEmpty}
	case len(f) > MaxInstructions:
		return &CheckError{-1, ErrTooLong}
	}
	for pc, in := range f {
		if err := in.check(len(f) - pc - 1); err != nil {
			return &CheckError{pc, err}
		}
	}
	if last := len(f) - 1; f[last].Op != RetK && f[last].Op != RetA {
		return &CheckError{last, ErrNoReturn}
	}
	if pc := f.uninitialized(); pc >= 0 {
		return &CheckError{pc, ErrUninitialized}
	}
	for pc, in := range f {
		if in.Op == LdAbsW && !readable(in.K) {
			return &CheckError{pc, ErrOffset}
		}
	}
	return nil
}

// check makes the checks that concern one instruction alone; after is the
// number of instructions behind it.
func (in Instruction) check(after int) error {
	switch in.Op {
	case DivK:
		if in.K == 0 {
			return ErrDivideByZero
		}
	case LshK, RshK:
		if in.K >= 32 {
			return ErrShift
		}
	case LdMem, LdxMem, St, Stx:
		if in.K >= MemWords {
			return ErrMemory
		}
	case Ja:
		if uint64(in.K) >= uint64(after) {
			return ErrJump
		}
	case JeqK, JeqX, JgtK, JgtX, JgeK, JgeX, JsetK, JsetX:
		if int(max(in.Jt, in.Jf)) >= after {
			return ErrJump
		}
	default:
		if !in.Op.Legal() {
			return ErrOpcode
		}
	}
	return nil
}

// uninitialized returns the first instruction that check_load_and_stores takes
// for a load of a word of M that may not have been stored to, or -1. All jumps
// and offsets of f must be valid.
//
// The kernel goes through the program once, in order. A jump hands the set of
// words stored so far to its targets, and leaves all words valid for the
// instruction behind it, which only jumps reach: where none does, that code
// may load anything. A return does not: behind it the set stays as it was, so
// that unreachable code there is refused what is unset at the return.
func (f Filter) uninitialized() int {
	const all = ^uint16(0)
	var stored uint16 // one bit for each word of M
	var masks [MaxInstructions]uint16
	for pc := range f {
		masks[pc] = all
	}
	for pc, in := range f {
		stored &= masks[pc]
		switch in.Op {
		case St, Stx:
			stored |= 1 << in.K
		case LdMem, LdxMem:
			if stored>>in.K&1 == 0 {
				return pc
			}
		case Ja:
			masks[pc+1+int(in.K)] &= stored
			stored = all
		case JeqK, JeqX, JgtK, JgtX, JgeK, JgeX, JsetK, JsetX:
			masks[pc+1+int(in.Jt)] &= stored
			masks[pc+1+int(in.Jf)] &= stored
			stored = all
		}
	}
	return -1
}
