package record

import (
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// watched are the parameters whose values are kept: those that the profiles in
// use put conditions on, as far as they are numbers and not addresses.
var watched = map[string]string{
	"socket":      "family",
	"socketpair":  "family",
	"clone":       "clone_flags",
	"unshare":     "unshare_flags",
	"setns":       "flags",
	"personality": "personality",
	"prctl":       "option",
	"arch_prctl":  "option",
	"ioctl":       "cmd",
	"bpf":         "cmd",
	"keyctl":      "option",
	"ptrace":      "request",
}

// Watched returns the place among a call's arguments of the one whose values are
// kept; -1 if there is none. Of a value only the lower 32 bits are: what they are
// of is an int, or has no others.
func Watched(abi syscalls.ABI, name string) int {
	param, ok := watched[name]
	if !ok {
		return -1
	}
	return slices.IndexFunc(abi.Params(name), func(p syscalls.Param) bool { return p.Name == param })
}

// watchedNumbers is the program's table of them.
func watchedNumbers(l layout) (table [int(abiClasses) * numbers]uint8) {
	for c, abi := range l.abis {
		if abi == 0 {
			continue
		}
		for name := range watched {
			nr, ok := abi.Number(name)
			if nr &^= x32Bit; !ok || nr >= numbers {
				continue
			}
			table[c*numbers+int(nr)] = uint8(Watched(abi, name) + 1)
		}
	}
	return table
}
