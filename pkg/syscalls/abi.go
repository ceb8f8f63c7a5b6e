package syscalls

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
)

// An ABI is a syscall numbering: what the kernel takes a number to mean. One
// AUDIT_ARCH can carry two of them: x32 calls arrive as AUDIT_ARCH_X86_64,
// told apart by bit 30 of the number. The zero ABI is none.
type ABI uint8

// The ABIs known here. The names are Go's GOARCH values where Go has one.
const (
	AMD64 ABI = iota + 1
	X32       // 64-bit registers, 32-bit pointers, on x86-64
	I386      // also what int $0x80 from a 64-bit process enters
	ARM64
	ARM // EABI
	PPC64LE
	S390X
	RISCV64
	LOONG64
	MIPS64LE // n64
	PPC64
	PPC
	S390      // 31-bit
	MIPS64    // n64
	MIPSN32LE // 64-bit registers, 32-bit pointers
	MIPSN32
	MIPSLE // o32
	MIPS   // o32
	abiEnd
)

// x32Bit is __X32_SYSCALL_BIT of arch/x86/include/uapi/asm/unistd.h.
const x32Bit = 0x40000000

// abiInfo is what is fixed about an ABI.
type abiInfo struct {
	name    string
	arch    uint32 // AUDIT_ARCH_*
	bits    int
	scmp    string   // after SCMP_ARCH_
	aliases []string // other spellings that ParseABI takes: uname -m, Debian
	table   []Syscall
	renamed []Syscall // second names of numbers in the table, for Number only
	errnos  *errnoTable

	index struct { // built at the first use
		once    sync.Once
		numbers map[string]uint32
	}
}

var abis = [abiEnd]abiInfo{
	AMD64: {name: "amd64", arch: 0xc000003e, bits: 64, scmp: "X86_64", aliases: []string{"x86_64", "x86-64"},
		table: tableAMD64, errnos: &errnosGeneric},
	X32: {name: "x32", arch: 0xc000003e, bits: 64, scmp: "X32",
		table: tableX32, errnos: &errnosGeneric},
	I386: {name: "386", arch: 0x40000003, bits: 32, scmp: "X86", aliases: []string{"i386", "i486", "i586", "i686", "x86"},
		table: table386, errnos: &errnosGeneric},
	ARM64: {name: "arm64", arch: 0xc00000b7, bits: 64, scmp: "AARCH64", aliases: []string{"aarch64"},
		table: tableARM64, errnos: &errnosGeneric},
	ARM: {name: "arm", arch: 0x40000028, bits: 32, scmp: "ARM", aliases: []string{"armhf", "armel", "armv6l", "armv7l", "armv8l"},
		table: tableARM, renamed: []Syscall{{341, "sync_file_range2"}}, errnos: &errnosGeneric},
	PPC64LE: {name: "ppc64le", arch: 0xc0000015, bits: 64, scmp: "PPC64LE", aliases: []string{"ppc64el"},
		table: tablePPC64, errnos: &errnosPPC},
	S390X: {name: "s390x", arch: 0x80000016, bits: 64, scmp: "S390X",
		table: tableS390X, errnos: &errnosGeneric},
	RISCV64: {name: "riscv64", arch: 0xc00000f3, bits: 64, scmp: "RISCV64",
		table: tableRISCV64, errnos: &errnosGeneric},
	LOONG64: {name: "loong64", arch: 0xc0000102, bits: 64, scmp: "LOONGARCH64", aliases: []string{"loongarch64"},
		table: tableLOONG64, errnos: &errnosGeneric},
	MIPS64LE: {name: "mips64le", arch: 0xc0000008, bits: 64, scmp: "MIPSEL64", aliases: []string{"mips64el"},
		table: tableMIPS64, errnos: &errnosMIPS},
	PPC64: {name: "ppc64", arch: 0x80000015, bits: 64, scmp: "PPC64",
		table: tablePPC64, errnos: &errnosPPC},
	PPC: {name: "ppc", arch: 0x14, bits: 32, scmp: "PPC", aliases: []string{"powerpc"},
		table: tablePPC, errnos: &errnosPPC},
	S390: {name: "s390", arch: 0x16, bits: 32, scmp: "S390",
		table: tableS390, errnos: &errnosGeneric},
	MIPS64: {name: "mips64", arch: 0x80000008, bits: 64, scmp: "MIPS64",
		table: tableMIPS64, errnos: &errnosMIPS},
	MIPSN32LE: {name: "mipsn32le", arch: 0xe0000008, bits: 64, scmp: "MIPSEL64N32", aliases: []string{"mipsn32el"},
		table: tableMIPSN32, errnos: &errnosMIPS},
	MIPSN32: {name: "mipsn32", arch: 0xa0000008, bits: 64, scmp: "MIPS64N32",
		table: tableMIPSN32, errnos: &errnosMIPS},
	MIPSLE: {name: "mipsle", arch: 0x40000008, bits: 32, scmp: "MIPSEL", aliases: []string{"mipsel"},
		table: tableMIPS, errnos: &errnosMIPS},
	MIPS: {name: "mips", arch: 0x8, bits: 32, scmp: "MIPS",
		table: tableMIPS, errnos: &errnosMIPS},
}

type auditArch struct {
	value uint32
	name  string
}

// The flag bits of an AUDIT_ARCH_* value, over an ELF machine number
// (include/uapi/linux/audit.h).
const auditLE = 0x40000000

func (a ABI) info() *abiInfo {
	if a >= abiEnd {
		a = 0
	}
	return &abis[a]
}

// String returns the ABI's name: "amd64", "x32", "386", "arm64", ….
func (a ABI) String() string {
	if a == 0 || a >= abiEnd {
		return fmt.Sprintf("ABI(%d)", uint8(a))
	}
	return abis[a].name
}

// ABIs returns every ABI known here, in the order of the constants.
func ABIs() []ABI {
	all := make([]ABI, 0, abiEnd-1)
	for a := AMD64; a < abiEnd; a++ {
		all = append(all, a)
	}
	return all
}

// AuditArch returns the value that seccomp_data.arch has for calls of this
// ABI: AUDIT_ARCH_* of include/uapi/linux/audit.h. AMD64 and X32 share one.
func (a ABI) AuditArch() uint32 { return a.info().arch }

// ByteOrder returns the byte order of the ABI, and so of the filter programs
// and struct seccomp_data of its processes.
func (a ABI) ByteOrder() binary.ByteOrder {
	if a.AuditArch()&auditLE != 0 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// Bits returns how many bits of a seccomp_data argument the ABI's calls use:
// 64, or 32. x32 and the MIPS n32 ABI pass full 64-bit registers. For a 32-bit
// ABI the upper word of an argument is normally 0; the exception is a 64-bit
// x86 process that enters by int $0x80: the filter sees its full registers,
// the kernel uses the low words.
func (a ABI) Bits() int { return a.info().bits }

// SCMP returns the name that libseccomp and OCI runtime configurations have
// for the ABI: "SCMP_ARCH_X86_64".
func (a ABI) SCMP() string {
	if s := a.info().scmp; s != "" {
		return scmpPrefix + s
	}
	return ""
}

const scmpPrefix = "SCMP_ARCH_"

// ParseSCMP returns the ABI of a name as OCI runtime configurations spell it,
// "SCMP_ARCH_X86_64".
func ParseSCMP(s string) (ABI, error) {
	if name, ok := strings.CutPrefix(s, scmpPrefix); ok && name != "" {
		for a := AMD64; a < abiEnd; a++ {
			if abis[a].scmp == name {
				return a, nil
			}
		}
	}
	return 0, fmt.Errorf("unknown architecture %q: want a SCMP_ARCH_ name of a Linux architecture, such as SCMP_ARCH_X86_64", s)
}

// ParseABI returns the ABI of a name: as String gives it, as uname -m and
// Debian spell it, or as ParseSCMP takes it.
func ParseABI(s string) (ABI, error) {
	if strings.HasPrefix(s, scmpPrefix) {
		return ParseSCMP(s)
	}
	for a := AMD64; a < abiEnd; a++ {
		if abis[a].name == s {
			return a, nil
		}
		for _, alias := range abis[a].aliases {
			if alias == s {
				return a, nil
			}
		}
	}
	return 0, fmt.Errorf("unknown ABI %q: want one of %s", s, abiNames())
}

func abiNames() string {
	names := make([]string, 0, abiEnd-1)
	for _, a := range ABIs() {
		names = append(names, a.String())
	}
	return strings.Join(names, ", ")
}

// Of returns the ABI that a call belongs to, from the arch and nr of its
// seccomp_data; false if the arch is none of those known here.

// On x86-64 a number from 0x40000000 to 0x7fffffff is x32. Numbers with bit 31
// set are AMD64 even where bit 30 is set too, -1 above all: the kernel
// dispatches them to neither table (do_syscall_64 in
// arch/x86/entry/syscall_64.c), and a tracer or a caller that means "no call"
// writes -1 whatever its ABI. Filters do not all agree: those of libseccomp
// exempt only -1, a program that tests bit 30 alone sees every such number as
// x32. Since none of them is a call, this choice names them and decides
// nothing.
func Of(arch, nr uint32) (ABI, bool) {
	for a := AMD64; a < abiEnd; a++ {
		if abis[a].arch != arch {
			continue
		}
		if a == AMD64 && nr&^(x32Bit-1) == x32Bit {
			return X32, true
		}
		return a, true
	}
	return 0, false
}

// OfMachine returns every ABI whose calls a Linux kernel built for a GOARCH
// can accept, the native one first: amd64 gives AMD64, X32 and I386. Whether a
// given kernel does is its configuration's choice (CONFIG_COMPAT,
// CONFIG_IA32_EMULATION, CONFIG_X86_X32_ABI). It is nil for an unknown GOARCH.

// The 32-bit modes of little-endian POWER and of RISC-V are left out: no
// distribution has a user space for them.
func OfMachine(goarch string) []ABI {
	switch goarch {
	case "amd64":
		return []ABI{AMD64, X32, I386}
	case "386":
		return []ABI{I386}
	case "arm64":
		return []ABI{ARM64, ARM}
	case "arm":
		return []ABI{ARM}
	case "ppc64le":
		return []ABI{PPC64LE}
	case "ppc64":
		return []ABI{PPC64, PPC}
	case "ppc":
		return []ABI{PPC}
	case "s390x":
		return []ABI{S390X, S390}
	case "riscv64":
		return []ABI{RISCV64}
	case "loong64":
		return []ABI{LOONG64}
	case "mips64le":
		return []ABI{MIPS64LE, MIPSN32LE, MIPSLE}
	case "mips64":
		return []ABI{MIPS64, MIPSN32, MIPS}
	case "mipsle":
		return []ABI{MIPSLE}
	case "mips":
		return []ABI{MIPS}
	}
	return nil
}

// ArchName returns the kernel's name of a seccomp_data.arch value,
// "AUDIT_ARCH_X86_64", also of those architectures that have no ABI here; and
// the value in hexadecimal if the kernel has none.
func ArchName(arch uint32) string {
	for i := range auditArchs {
		if auditArchs[i].value == arch {
			return auditArchs[i].name
		}
	}
	return fmt.Sprintf("%#x", arch)
}
