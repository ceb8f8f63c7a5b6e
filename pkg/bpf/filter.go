package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// InstructionSize is the size of struct sock_filter in bytes.
	InstructionSize = 8
	// MaxInstructions is BPF_MAXINSNS, the longest program the kernel takes.
	MaxInstructions = 4096
	// MemWords is BPF_MEMWORDS, the number of words of the scratch memory M.
	MemWords = 16
)

// Errors that [Decode] wraps, and [Filter.Check] for an empty or overlong
// program.
var (
	ErrLength  = errors.New("length is not a multiple of 8 bytes")
	ErrEmpty   = errors.New("program has no instructions")
	ErrTooLong = errors.New("program has more than 4096 instructions")
)

// Instruction is one instruction of classic BPF: struct sock_filter.
type Instruction struct {
	Op     Op
	Jt, Jf uint8  // instructions to skip if a comparison holds, or does not
	K      uint32 // constant, offset or index, by Op
}

// Filter is one program as the kernel holds it.
type Filter []Instruction

// Decode reads an array of struct sock_filter in the byte order of the machine
// it was taken from. It accepts whatever has a possible length: whether the
// kernel would accept the program is for [Filter.Check] to say.
func Decode(raw []byte, order binary.ByteOrder) (Filter, error) {
	n := len(raw) / InstructionSize
	switch {
	case len(raw)%InstructionSize != 0:
		return nil, fmt.Errorf("decode filter of %d bytes: %w", len(raw), ErrLength)
	case n == 0:
		return nil, fmt.Errorf("decode filter: %w", ErrEmpty)
	case n > MaxInstructions:
		return nil, fmt.Errorf("decode filter of %d instructions: %w", n, ErrTooLong)
	}
	f := make(Filter, n)
	for i := range f {
		b := raw[i*InstructionSize:]
		f[i] = Instruction{
			Op: Op(order.Uint16(b)),
			Jt: b[2],
			Jf: b[3],
			K:  order.Uint32(b[4:]),
		}
	}
	return f, nil
}

// Encode is the inverse of [Decode].
func (f Filter) Encode(order binary.ByteOrder) []byte {
	raw := make([]byte, len(f)*InstructionSize)
	for i, in := range f {
		b := raw[i*InstructionSize:]
		order.PutUint16(b, uint16(in.Op))
		b[2], b[3] = in.Jt, in.Jf
		order.PutUint32(b[4:], in.K)
	}
	return raw
}
