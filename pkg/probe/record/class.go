package record

import "github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"

// class is how the program tells calls apart by ABI and by who made them.
type class uint16

// The classes of the program. That of an ABI is its place in layout.abis.
const (
	native class = iota
	compat
	x32
	abiClasses

	byRuntime class = 4 // flag
)

// numbers is how many numbers of each ABI the program tells apart: the kernel's
// tables end before 600. All others are counted under Other.
const numbers = 1024

// Other stands for every number that no syscall has.
const Other = 1<<32 - 1

// layout is what the program must know of an architecture: where struct pt_regs,
// as far as it is the kernel's interface to ptrace(2), has a call's arguments.
type layout struct {
	abis         [abiClasses]syscalls.ABI
	values       [abiClasses][8]uint16 // of the low half of each argument, in bytes
	number       string                // the member of struct pt_regs that has the call's number
	compatFlag   uint64                // in thread_info.flags: the call is of abis[compat]
	compatStatus uint32                // the same in thread_info.status
}

// layouts are those of the architectures that calls can be recorded on.
var layouts = map[string]layout{
	"amd64": {
		abis: [abiClasses]syscalls.ABI{syscalls.AMD64, syscalls.I386, syscalls.X32},
		// di, si, dx, r10, r8, r9, and bx, cx, dx, si, di, bp, of
		// arch/x86/include/uapi/asm/ptrace.h
		values: [abiClasses][8]uint16{
			native: {112, 104, 96, 56, 72, 64},
			compat: {40, 88, 96, 104, 112, 32},
			x32:    {112, 104, 96, 56, 72, 64},
		},
		number:       "orig_ax",
		compatStatus: 0x2, // TS_COMPAT of arch/x86/include/asm/thread_info.h
	},
	"arm64": {
		abis: [abiClasses]syscalls.ABI{syscalls.ARM64, syscalls.ARM},
		// regs[0] to regs[5], of arch/arm64/include/uapi/asm/ptrace.h
		values: [abiClasses][8]uint16{
			native: {0, 8, 16, 24, 32, 40},
			compat: {0, 8, 16, 24, 32, 40},
		},
		number:     "syscallno",
		compatFlag: 1 << 22, // TIF_32BIT of arch/arm64/include/asm/thread_info.h
	},
}

// abi returns the ABI of a class and, if the ABI has a table of its own there,
// the number as that has it.
func (l layout) call(c class, nr uint32) (syscalls.ABI, uint32) {
	abi := l.abis[c&^byRuntime]
	if abi == syscalls.X32 && nr != Other {
		nr |= x32Bit
	}
	return abi, nr
}

// x32Bit is __X32_SYSCALL_BIT of arch/x86/include/uapi/asm/unistd.h.
const x32Bit = 0x40000000
