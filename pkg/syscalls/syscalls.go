package syscalls

import (
	"cmp"
	"slices"
)

//go:generate go run ../../hack/gen-syscalls -out .

// A Syscall is one entry of an ABI's table.
type Syscall struct {
	Number uint32 // as seccomp_data.nr has it: x32 with bit 30 set
	Name   string // as the kernel's table has it: "openat"
}

// Table returns the ABI's calls in the order of their numbers. It is shared:
// do not modify it.
func (a ABI) Table() []Syscall { return a.info().table }

// Name returns the name of a syscall number.
func (a ABI) Name(nr uint32) (string, bool) {
	t := a.Table()
	i, ok := slices.BinarySearchFunc(t, nr, func(s Syscall, nr uint32) int { return cmp.Compare(s.Number, nr) })
	if !ok {
		return "", false
	}
	return t[i].Name, true
}

// Number returns the number of a syscall, as seccomp_data.nr has it.
func (a ABI) Number(name string) (uint32, bool) {
	info := a.info()
	info.index.once.Do(info.buildIndex)
	n, ok := info.index.numbers[name]
	return n, ok
}

func (info *abiInfo) buildIndex() {
	m := make(map[string]uint32, len(info.table)+len(info.renamed))
	for _, s := range info.table {
		m[s.Name] = s.Number
	}
	for _, s := range info.renamed {
		m[s.Name] = s.Number
	}
	info.index.numbers = m
}
