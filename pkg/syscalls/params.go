package syscalls

import (
	"slices"
	"strings"
)

// A Param is one parameter of a syscall as the kernel declares it.
type Param struct {
	Name   string // as in the kernel's SYSCALL_DEFINE: "clone_flags"
	Type   string // C type: "unsigned long"
	Bits   int    // how many low bits of the argument the kernel looks at
	Signed bool   // whether the highest of those is a sign
}

// signature is a syscall and its parameters.
type signature struct {
	name   string
	params []Param
}

// Params returns the parameters of a syscall in register order. It is nil
// where they are not known, and empty but not nil for a call without any. Do
// not modify it.
//
// Bits matters to a filter: it sees the whole register, the kernel only the
// low Bits of it, so a comparison of all 64 bits of an int can be passed by by
// a caller that leaves rubbish above.
//
// The parameters are those of the 64-bit kernel functions, recorded from
// tracefs on amd64; calls that the recording kernel did not have are written
// down from the kernel's source. What differs between architectures is
// honoured: the order of clone's arguments, s390x' mmap. For a 32-bit ABI no parameter is
// wider than 32 bits, and calls that are not the same function there are left
// out (nil): those with a 64-bit parameter, as it takes two registers, in
// some ABIs an even and an odd one; the old calls with 16-bit IDs; those that
// take a struct of all arguments. The same for x32 calls with numbers of their
// own (512 to 547), save ioctl. Nothing is known of MIPS n32.
func (a ABI) Params(name string) []Param {
	if _, ok := a.Number(name); !ok || a == MIPSN32 || a == MIPSN32LE {
		return nil
	}
	for i := range differ {
		if d := &differ[i]; d.name == name && slices.Contains(d.abis, a) {
			return d.params
		}
	}
	if a == X32 {
		if nr, _ := a.Number(name); nr&^x32Bit >= 512 {
			return nil
		}
	}
	if a.Bits() == 64 {
		return lookup(name)
	}
	if slices.Contains(notIn32, name) {
		return nil
	}
	// chown32 and its like are what 64-bit ABIs call chown.
	if base, ok := strings.CutSuffix(name, "32"); ok && slices.Contains(notIn32, base) {
		name = base
	}
	params := lookup(name)
	if params == nil {
		return nil
	}
	narrow := make([]Param, len(params))
	for i, p := range params {
		if is64(p.Type) {
			return nil
		}
		p.Bits = min(p.Bits, 32)
		narrow[i] = p
	}
	return narrow
}

func lookup(name string) []Param {
	for _, table := range [][]signature{recorded64, reviewed64} {
		i, ok := slices.BinarySearchFunc(table, name, func(s signature, name string) int { return strings.Compare(s.name, name) })
		if ok {
			return table[i].params
		}
	}
	return nil
}

// is64 reports whether a scalar C type has 64 bits on 32-bit architectures too.
func is64(ctype string) bool {
	switch strings.TrimPrefix(ctype, "const ") {
	case "loff_t", "u64", "__u64", "s64", "__s64":
		return true
	}
	return false
}
