package tracing

import "github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"

// The ABIs of a machine as containers.h tells them apart: places in Layout.ABIs.
const (
	Native = iota
	Compat
	X32
	ABIs
)

// Layout is where an architecture has what a call was made with: in struct pt_regs,
// as far as that is the kernel's interface to ptrace(2), or by the name of a member.
type Layout struct {
	ABIs          [ABIs]syscalls.ABI
	Arguments     [ABIs][8]uint16 // in bytes
	FirstArgument string          // the member that has it, where a result takes its place
	Pointer       uint32          // the instruction pointer, in bytes
	Number        string          // the member
	CompatFlag    uint64          // in thread_info.flags: the call is of ABIs[Compat]
	CompatStatus  uint32          // the same in thread_info.status
}

// Layouts are those of the architectures on which calls can be looked at.
var Layouts = map[string]Layout{
	"amd64": {
		ABIs: [ABIs]syscalls.ABI{syscalls.AMD64, syscalls.I386, syscalls.X32},
		// di, si, dx, r10, r8, r9, and bx, cx, dx, si, di, bp, of
		// arch/x86/include/uapi/asm/ptrace.h
		Arguments: [ABIs][8]uint16{
			Native: {112, 104, 96, 56, 72, 64},
			Compat: {40, 88, 96, 104, 112, 32},
			X32:    {112, 104, 96, 56, 72, 64},
		},
		Pointer:      128,
		Number:       "orig_ax",
		CompatStatus: 0x2, // TS_COMPAT of arch/x86/include/asm/thread_info.h
	},
	"arm64": {
		ABIs: [ABIs]syscalls.ABI{syscalls.ARM64, syscalls.ARM},
		// regs[0] to regs[5], of arch/arm64/include/uapi/asm/ptrace.h
		Arguments: [ABIs][8]uint16{
			Native: {0, 8, 16, 24, 32, 40},
			Compat: {0, 8, 16, 24, 32, 40},
		},
		FirstArgument: "orig_x0",
		Pointer:       256,
		Number:        "syscallno",
		CompatFlag:    1 << 22, // TIF_32BIT of arch/arm64/include/asm/thread_info.h
	},
}
