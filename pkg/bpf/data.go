package bpf

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// DataSize is the size of struct seccomp_data in bytes.
const DataSize = 64

// Data is what a filter sees of a system call: struct seccomp_data
// (include/uapi/linux/seccomp.h).
type Data struct {
	NR   uint32    // number; of x32 with bit 30 set
	Arch uint32    // AUDIT_ARCH_*
	IP   uint64    // instruction pointer after the call
	Args [6]uint64 // whole registers, though the kernel may look at the low half only
}

// words lays d out as the filter sees it in memory, one entry for each aligned
// 32-bit word.
func (d *Data) words(bigEndian bool) (w [DataSize / 4]uint32) {
	low, high := 0, 1
	if bigEndian {
		low, high = 1, 0
	}
	w[NR], w[Arch] = d.NR, d.Arch
	w[2+low], w[2+high] = uint32(d.IP), uint32(d.IP>>32)
	for i, arg := range d.Args {
		w[4+2*i+low], w[4+2*i+high] = uint32(arg), uint32(arg>>32)
	}
	return w
}

// Word names one of the sixteen 32-bit words of struct seccomp_data by what it
// holds, not by where it lies: [Arg](0) is the low half of the first argument
// on every machine. [WordAt] finds it from an offset.
type Word uint8

// The words that are no arguments.
const (
	NR Word = iota
	Arch
	IPLow
	IPHigh
)

// Arg returns the low 32 bits of argument i, 0 to 5.
func Arg(i int) Word { return Word(4 + 2*i) }

// ArgHigh returns the high 32 bits of argument i, 0 to 5.
func ArgHigh(i int) Word { return Arg(i) + 1 }

// WordAt returns the word at byte offset k of struct seccomp_data. On a
// big-endian machine the high half of a 64-bit field comes first. ok is false
// where seccomp lets no filter read: outside the struct, or unaligned.
func WordAt(k uint32, order binary.ByteOrder) (w Word, ok bool) {
	if !readable(k) {
		return 0, false
	}
	w = Word(k / 4)
	if w >= IPLow && isBigEndian(order) {
		w ^= 1
	}
	return w, true
}

// readable tells whether seccomp lets a filter load from byte offset k.
func readable(k uint32) bool { return k < DataSize && k%4 == 0 }

func (w Word) String() string {
	half := "low"
	if w%2 == 1 {
		half = "high"
	}
	switch {
	case w == NR:
		return "nr"
	case w == Arch:
		return "arch"
	case w < Arg(0):
		return "instruction_pointer " + half
	case w < DataSize/4:
		return fmt.Sprintf("args[%d] %s", (w-Arg(0))/2, half)
	}
	return fmt.Sprintf("Word(%d)", uint8(w))
}

// Words is a set of words.
type Words uint16

// NRArch holds the number and the architecture: a run that read nothing else is
// the same for every call of that number.
const NRArch = Words(1<<NR | 1<<Arch)

// MakeWords returns the set of ws.
func MakeWords(ws ...Word) (s Words) {
	for _, w := range ws {
		s |= 1 << w
	}
	return s
}

// Has tells whether w is in s.
func (s Words) Has(w Word) bool { return s>>w&1 != 0 }

// Within tells whether every word of s is in t.
func (s Words) Within(t Words) bool { return s&^t == 0 }

// String lists the words in the order of struct seccomp_data, low halves first:
// "nr, arch, args[0] low".
func (s Words) String() string {
	var names []string
	for w := NR; w < DataSize/4; w++ {
		if s.Has(w) {
			names = append(names, w.String())
		}
	}
	return strings.Join(names, ", ")
}

// swapHalves turns a set of positions in memory on a big-endian machine into
// the set of what lies there.
func (s Words) swapHalves() Words {
	const evens = Words(0x5554) // low halves, from instruction_pointer on
	return s&NRArch | s&evens<<1 | s>>1&evens
}

// orderProbe is a variable because a slice literal handed to an interface
// method is allocated anew by each call.
var orderProbe = []byte{0, 1}

func isBigEndian(order binary.ByteOrder) bool {
	switch order {
	case binary.LittleEndian:
		return false
	case binary.BigEndian:
		return true
	}
	return order.Uint16(orderProbe) == 1
}
