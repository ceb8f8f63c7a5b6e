package plugin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// findSyscall returns the number of a syscall, given by name or number, and its
// ABI: the first of a list that has it.
func findSyscall(text string, abis []syscalls.ABI) (syscalls.ABI, uint32, error) {
	if nr, err := strconv.ParseUint(text, 0, 32); err == nil {
		abi, ok := syscalls.Of(abis[0].AuditArch(), uint32(nr))
		if !ok || !slices.Contains(abis, abi) {
			abi = abis[0]
		}
		return abi, uint32(nr), nil
	}
	for _, abi := range abis {
		if nr, ok := abi.Number(text); ok {
			return abi, nr, nil
		}
	}
	return 0, 0, fmt.Errorf("syscall %s: no ABI of %v has it in Linux %s: want its name or number", failure.Quote(text), abis, syscalls.KernelVersion)
}

// parseCall makes a call of arguments as people write them: by position, or
// NAME=VALUE with the kernel's name of a parameter, its end behind a "_" (flags
// of clone_flags), or arg0 to arg5. What is not given is 0.
func parseCall(abi syscalls.ABI, nr uint32, args []string) (bpf.Data, error) {
	call := bpf.Data{NR: nr, Arch: abi.AuditArch()}
	name, _ := abi.Name(nr)
	params := abi.Params(name)
	var given [len(call.Args)]bool
	for i, text := range args {
		fail := func(format string, args ...any) (bpf.Data, error) {
			return call, fmt.Errorf("argument %s: %s", failure.Quote(text), fmt.Sprintf(format, args...))
		}
		value := text
		if param, rest, ok := strings.Cut(text, "="); ok {
			value = rest
			if i = findParam(params, param); i < 0 {
				return fail("%s has no parameter of that name: want %s", describeSyscall(abi, nr), paramNames(params))
			}
		}
		switch {
		case i >= len(call.Args):
			return fail("a call has at most %d", len(call.Args))
		case given[i]:
			return fail("this one is given twice")
		}
		given[i] = true
		v, err := parseValue(abi, name, params, i, value)
		if err != nil {
			return fail("%v", err)
		}
		call.Args[i] = v
	}
	return call, nil
}

// findParam returns the index of a parameter, -1 if there is none or several.
func findParam(params []syscalls.Param, name string) int {
	if i := slices.IndexFunc(params, func(p syscalls.Param) bool { return p.Name == name }); i >= 0 {
		return i
	}
	if n, ok := strings.CutPrefix(name, "arg"); ok && len(n) == 1 && n[0] >= '0' && n[0] <= '5' {
		return int(n[0] - '0')
	}
	found := -1
	for i, p := range params {
		if strings.HasSuffix(p.Name, "_"+name) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

func paramNames(params []syscalls.Param) string {
	var names []string
	for _, p := range params {
		names = append(names, p.Name)
	}
	return strings.Join(append(names, "arg0 to arg5"), ", ")
}

// parseValue reads numbers and names of flags, joined by "|".
func parseValue(abi syscalls.ABI, call string, params []syscalls.Param, i int, text string) (v uint64, err error) {
	bits := abi.Bits()
	var flags *syscalls.Flags
	if i < len(params) {
		bits = min(bits, params[i].Bits)
		flags = abi.Flags(call, params[i].Name)
	}
	for term := range strings.SplitSeq(text, "|") {
		n, err := strconv.ParseUint(term, 0, 64)
		if err != nil {
			// As a caller has it in a register: no more bits than the type has.
			var signed int64
			if signed, err = strconv.ParseInt(term, 0, 64); err == nil {
				n = uint64(signed) & (1<<bits - 1)
			}
		}
		if err != nil {
			known := false
			if flags != nil {
				n, known = flags.Value(term)
			}
			switch {
			case known:
			case flags == nil:
				return 0, fmt.Errorf("%s is no number, and the values have no names here", failure.Quote(term))
			default:
				return 0, fmt.Errorf("%s is neither a number nor a known name such as %s", failure.Quote(term), flagExample(flags))
			}
		}
		v |= n
	}
	return v, nil
}

func flagExample(f *syscalls.Flags) string {
	if len(f.Bits) > 0 {
		return f.Bits[len(f.Bits)-1].Name
	}
	return f.Values[len(f.Values)-1].Name
}

// describeSyscall is a syscall's name, or its number where it has none.
func describeSyscall(abi syscalls.ABI, nr uint32) string {
	if name, ok := abi.Name(nr); ok {
		return name
	}
	return "syscall " + strconv.FormatUint(uint64(nr), 10)
}
