package bpf_test

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A filter as PTRACE_SECCOMP_GET_FILTER copies it on an amd64 machine: no new
// user namespaces by unshare(2).
var raw = []byte{
	0x20, 0, 0, 0, 4, 0, 0, 0,
	0x15, 0, 0, 4, 0x3e, 0, 0, 0xc0,
	0x20, 0, 0, 0, 0, 0, 0, 0,
	0x15, 0, 0, 2, 0x10, 0x01, 0, 0,
	0x20, 0, 0, 0, 16, 0, 0, 0,
	0x45, 0, 1, 0, 0, 0, 0, 0x10,
	0x06, 0, 0, 0, 0, 0, 0xff, 0x7f,
	0x06, 0, 0, 0, 1, 0, 5, 0,
}

func Example() {
	filter, err := bpf.Decode(raw, binary.LittleEndian)
	if err != nil {
		log.Fatal(err)
	}
	if err := filter.Check(); err != nil {
		log.Fatal(err)
	}
	filter.Disassemble(os.Stdout, syscalls.OfMachine("amd64"))

	const CLONE_NEWUSER = 0x10000000
	nr, _ := syscalls.AMD64.Number("unshare")
	call := bpf.Data{NR: nr, Arch: syscalls.AMD64.AuditArch(), Args: [6]uint64{CLONE_NEWUSER}}
	run := bpf.Stack{filter}.Run(&call, binary.LittleEndian)
	fmt.Printf("\n%s by instruction %d, which depends on %v\n", run.Ret.Format(syscalls.AMD64), run.PC, run.Reads)

	// Output:
	//    0: 0020 00 00 00000004  ld   [4]                   ; arch
	//    1: 0015 00 04 c000003e  jeq  #0xc000003e, 2, 6     ; arch == AUDIT_ARCH_X86_64
	//    2: 0020 00 00 00000000  ld   [0]                   ; nr
	//    3: 0015 00 02 00000110  jeq  #0x110, 4, 6          ; nr == unshare
	//    4: 0020 00 00 00000010  ld   [16]                  ; args[0] low
	//    5: 0045 01 00 10000000  jset #0x10000000, 7, 6     ; args[0] low & 0x10000000 != 0
	//    6: 0006 00 00 7fff0000  ret  #0x7fff0000           ; ALLOW
	//    7: 0006 00 00 00050001  ret  #0x50001              ; ERRNO(EPERM)
	//
	// ERRNO(EPERM) by instruction 7, which depends on nr, arch, args[0] low
}
