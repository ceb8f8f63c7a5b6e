package profile

import "github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"

// A multiplexedCall is a number of socketcall(2) or ipc(2).
type multiplexedCall struct {
	number uint32 // of socketcall or ipc
	call   uint32 // what they have as first argument (include/uapi/linux/{net,ipc}.h)
}

// multiplexed returns how a call can be made through socketcall or ipc, for which
// libseccomp adds a rule too (src/syscalls.c, abi_rule_add).
func multiplexed(abi syscalls.ABI, name string) (multiplexedCall, bool) {
	if !multiplexes(abi) {
		return multiplexedCall{}, false
	}
	through, call, ok := syscalls.Multiplexed(name)
	if !ok {
		return multiplexedCall{}, false
	}
	number, ok := abi.Number(through)
	return multiplexedCall{number, call}, ok
}

// multiplexes tells whether libseccomp knows of socketcall and ipc under an ABI.
func multiplexes(abi syscalls.ABI) bool {
	switch abi {
	case syscalls.I386, syscalls.PPC, syscalls.PPC64, syscalls.PPC64LE, syscalls.S390, syscalls.S390X, syscalls.MIPS, syscalls.MIPSLE:
		return true
	}
	return false
}
