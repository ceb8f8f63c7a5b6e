package syscalls

import (
	"cmp"
	"slices"
)

type errno struct {
	number uint16
	name   string
}

// errnoTable is one numbering of errno: asm-generic/errno.h, which most
// architectures share, or the one of PowerPC or MIPS.
type errnoTable struct {
	names   []errno // by number, one name each
	aliases []errno // second names: EWOULDBLOCK, ENOTSUP, …
}

// Errno returns the name of an error number in the ABI's numbering: "EPERM".
// Of two names for one number it is the one that the kernel's header defines
// as a number, not as the other name: EAGAIN, not EWOULDBLOCK.
func (a ABI) Errno(n uint16) (string, bool) {
	t := a.info().errnos
	if t == nil {
		return "", false
	}
	i, ok := slices.BinarySearchFunc(t.names, n, func(e errno, n uint16) int { return cmp.Compare(e.number, n) })
	if !ok {
		return "", false
	}
	return t.names[i].name, true
}

// ErrnoNumber returns the number of an error name, aliases too, in the ABI's
// numbering.
func (a ABI) ErrnoNumber(name string) (uint16, bool) {
	t := a.info().errnos
	if t == nil {
		return 0, false
	}
	for _, list := range [][]errno{t.names, t.aliases} {
		for _, e := range list {
			if e.name == name {
				return e.number, true
			}
		}
	}
	return 0, false
}
