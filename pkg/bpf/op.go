package bpf

import "fmt"

// Op is the operation code of an [Instruction]: the field code of struct
// sock_filter (include/uapi/linux/filter.h). It has three parts, of which the
// class, in the lowest three bits, says what the others mean:
//
//	 15            8 7       5 4   3 2       0
//	+---------------+---------+-----+---------+
//	|       0       |  mode   |size |  class  |   LD, LDX, ST, STX
//	+---------------+---------+-+---+---------+
//	|       0       |   operation |src|  class |   ALU, JMP
//	+---------------+---------+---+-+---------+
//	|       0       |   0   |  rval |  class  |   RET
//	+---------------+---------+-----+---------+
//	|       0       | TAX=0, TXA=8..|  class  |   MISC
//	+---------------+---------+-----+---------+
//
// The constants below are all 41 codes that seccomp accepts. Socket filters
// have more: half-word, byte and indirect loads, MSH and MOD, which
// seccomp_check_filter refuses.
type Op uint16

// Loads into A, the accumulator, and X, the index register. LdAbsW reads the
// 32-bit word at byte offset K of struct seccomp_data; LdLen and LdxLen load
// that struct's size, which is always [DataSize].
const (
	LdImm  Op = 0x00 // A = K
	LdAbsW Op = 0x20 // A = word at byte K of seccomp_data
	LdMem  Op = 0x60 // A = M[K]
	LdLen  Op = 0x80 // A = 64
	LdxImm Op = 0x01 // X = K
	LdxMem Op = 0x61 // X = M[K]
	LdxLen Op = 0x81 // X = 64
)

// Stores into the scratch memory M, [MemWords] words.
const (
	St  Op = 0x02 // M[K] = A
	Stx Op = 0x03 // M[K] = X
)

// Arithmetic on A: unsigned, modulo 2^32, with K or X as the other operand.
const (
	AddK Op = 0x04
	AddX Op = 0x0c
	SubK Op = 0x14
	SubX Op = 0x1c
	MulK Op = 0x24
	MulX Op = 0x2c
	DivK Op = 0x34
	DivX Op = 0x3c // ends the program with 0 (KILL_THREAD) when X is 0
	OrK  Op = 0x44
	OrX  Op = 0x4c
	AndK Op = 0x54
	AndX Op = 0x5c
	LshK Op = 0x64
	LshX Op = 0x6c // by X modulo 32
	RshK Op = 0x74
	RshX Op = 0x7c // by X modulo 32
	Neg  Op = 0x84
	XorK Op = 0xa4
	XorX Op = 0xac
)

// Jumps, forward only. Ja skips K instructions; the others compare A with K or
// X and skip Jt instructions when the comparison holds, else Jf.
const (
	Ja    Op = 0x05
	JeqK  Op = 0x15 // A == K
	JeqX  Op = 0x1d
	JgtK  Op = 0x25 // A > K, unsigned
	JgtX  Op = 0x2d
	JgeK  Op = 0x35 // A >= K, unsigned
	JgeX  Op = 0x3d
	JsetK Op = 0x45 // A & K != 0
	JsetX Op = 0x4d
)

// Returns, and the copies between the registers.
const (
	RetK Op = 0x06
	RetA Op = 0x16
	Tax  Op = 0x07 // X = A
	Txa  Op = 0x87 // A = X
)

// opClass is the class bits of an [Op].
type opClass uint8

const (
	classLD opClass = iota
	classLDX
	classST
	classSTX
	classALU
	classJMP
	classRET
	classMISC
)

func (o Op) class() opClass { return opClass(o & 7) }

// usesX tells whether an ALU or JMP operation takes its operand from X.
func (o Op) usesX() bool { return o&0x08 != 0 }

// conditional tells whether o is a jump that compares.
func (o Op) conditional() bool { return o.class() == classJMP && o != Ja }

// mnemonics are those of the kernel's bpf_asm (tools/bpf). An operation is
// legal in a seccomp filter if and only if it has one.
var mnemonics = [256]string{
	LdImm: "ld", LdAbsW: "ld", LdMem: "ld", LdLen: "ld",
	LdxImm: "ldx", LdxMem: "ldx", LdxLen: "ldx",
	St: "st", Stx: "stx",
	AddK: "add", AddX: "add", SubK: "sub", SubX: "sub",
	MulK: "mul", MulX: "mul", DivK: "div", DivX: "div",
	OrK: "or", OrX: "or", AndK: "and", AndX: "and",
	LshK: "lsh", LshX: "lsh", RshK: "rsh", RshX: "rsh",
	Neg: "neg", XorK: "xor", XorX: "xor",
	Ja: "ja", JeqK: "jeq", JeqX: "jeq", JgtK: "jgt", JgtX: "jgt",
	JgeK: "jge", JgeX: "jge", JsetK: "jset", JsetX: "jset",
	RetK: "ret", RetA: "ret", Tax: "tax", Txa: "txa",
}

// Legal tells whether a seccomp filter may hold o.
func (o Op) Legal() bool { return int(o) < len(mnemonics) && mnemonics[o] != "" }

// String returns bpf_asm's mnemonic, or the code in hexadecimal when seccomp
// has no such operation.
func (o Op) String() string {
	if !o.Legal() {
		return fmt.Sprintf("0x%04x", uint16(o))
	}
	return mnemonics[o]
}
