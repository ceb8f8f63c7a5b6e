package syscalls

// A Param is one parameter of a syscall as the kernel declares it.
type Param struct {
	Name   string // as in the kernel's SYSCALL_DEFINE: "clone_flags"
	Type   string // C type: "unsigned long"
	Bits   int    // how many low bits of the register the kernel looks at
	Signed bool
}

// Params returns the parameters of a syscall in register order, nil if they
// are not known.
func (a ABI) Params(name string) []Param { return nil }
