package syscalls_test

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

func Example() {
	// A call as a filter sees it: struct seccomp_data's arch and nr.
	abi, _ := syscalls.Of(0xc000003e, 0x40000000+41)
	name, _ := abi.Name(0x40000000 + 41)
	fmt.Println(abi, name)

	family := abi.Params(name)[0]
	fmt.Println(family.Type, family.Name, family.Bits)
	fmt.Println(abi.Flags(name, family.Name).Format(38))

	enosys, _ := abi.Errno(38)
	fmt.Println(enosys)
	// Output:
	// x32 socket
	// int family 32
	// AF_ALG
	// ENOSYS
}

func ExampleOfMachine() {
	for _, abi := range syscalls.OfMachine("amd64") {
		nr, ok := abi.Number("socketcall")
		fmt.Println(abi, syscalls.ArchName(abi.AuditArch()), nr, ok)
	}
	// Output:
	// amd64 AUDIT_ARCH_X86_64 0 false
	// x32 AUDIT_ARCH_X86_64 0 false
	// 386 AUDIT_ARCH_I386 102 true
}
