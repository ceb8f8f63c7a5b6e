package policy

import (
	"encoding/binary"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// A word is one of the sixteen 32-bit words of a call, whatever the byte order
// of the machine lays them out in.
type word int

const (
	wordArch word = iota
	wordNR
	wordIPHigh
	wordIPLow
	wordArg0High // wordArg0High + 2*i is the upper word of argument i,
	wordArg0Low  // wordArg0Low + 2*i its lower one

	words     = wordArg0High + 12
	freeWords = words - wordIPHigh // those that come after arch and nr
)

// A Form is an order of the 512 variables of a policy's diagram. Arch and then
// nr come first in each, most significant bit first, so that the meaning of a
// number is one sub-diagram.
type Form uint8

const (
	// Sequential has the instruction pointer and then the arguments one after
	// the other, most significant bit first. It is the form of nearly every
	// policy, the one that conditions are derived from.
	Sequential Form = iota + 1
	// Interleaved has the most significant bits of all their words first, and
	// so on downwards. Relations between arguments (arg0 == arg1, arg0 + arg1)
	// are small in it, and exponential in the other.
	Interleaved
)

func (f Form) String() string {
	if f == Interleaved {
		return "interleaved"
	}
	return "sequential"
}

// Levels of the diagrams.
const (
	levelArch = 0
	levelNR   = 32
	levelFree = 64 // the first that is of neither
	levels    = 512
)

// level returns the level of a bit of w, 0 being the least significant.
func (f Form) level(w word, bit int) int {
	if w < wordIPHigh || f == Sequential {
		return 32*int(w) + 31 - bit
	}
	return levelFree + (31-bit)*int(freeWords) + int(w-wordIPHigh)
}

// bitOf is the inverse of level.
func (f Form) bitOf(level int) (w word, bit int) {
	if level < levelFree || f == Sequential {
		return word(level / 32), 31 - level%32
	}
	level -= levelFree
	return wordIPHigh + word(level%int(freeWords)), 31 - level/int(freeWords)
}

// reorder returns a diagram of form from in the order of to, for use with
// bdd.Manager.Reorder.
func (f Form) to(to Form) func(int) int {
	return func(level int) int { return to.level(f.bitOf(level)) }
}

// in brings a diagram of form f into a Manager whose order is that of form to.
// It can take more nodes than the Manager has, and must run in its Try.
func (f Form) in(m *bdd.Manager, to Form, d *bdd.Diagram) bdd.Ref {
	if f == to {
		return m.Import(d)
	}
	return m.Reorder(d, f.to(to))
}

// wordAt returns the word at a byte offset of struct seccomp_data, which is nr,
// arch, and then 64-bit values in the byte order of the machine.
func wordAt(offset uint32, order binary.ByteOrder) word {
	switch i := word(offset / 4); {
	case i == 0:
		return wordNR
	case i == 1:
		return wordArch
	case isLittle(order):
		return i ^ 1
	default:
		return i
	}
}

func isLittle(order binary.ByteOrder) bool {
	return order.Uint16([]byte{1, 0}) == 1
}

// bits returns the variables of a call.
func (f Form) bits(d *bpf.Data) func(level int) bool {
	return func(level int) bool {
		w, bit := f.bitOf(level)
		return valueOf(d, w)>>bit&1 != 0
	}
}

func valueOf(d *bpf.Data, w word) uint32 {
	switch {
	case w == wordArch:
		return d.Arch
	case w == wordNR:
		return d.NR
	}
	v := d.IP
	if w >= wordArg0High {
		v = d.Args[(w-wordArg0High)/2]
	}
	if w%2 == 0 {
		v >>= 32 // the words of upper halves are even
	}
	return uint32(v)
}
