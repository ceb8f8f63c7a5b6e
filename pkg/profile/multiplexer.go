package profile

import "github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"

// A multiplexedCall is a number of socketcall(2) or ipc(2).
type multiplexedCall struct {
	number uint32 // of socketcall or ipc
	call   uint32 // what they have as first argument (include/uapi/linux/{net,ipc}.h)
}

var socketCalls = map[string]uint32{
	"socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5, "getsockname": 6,
	"getpeername": 7, "socketpair": 8, "send": 9, "recv": 10, "sendto": 11, "recvfrom": 12,
	"shutdown": 13, "setsockopt": 14, "getsockopt": 15, "sendmsg": 16, "recvmsg": 17,
	"accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
}

var ipcCalls = map[string]uint32{
	"semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4,
	"msgsnd": 11, "msgrcv": 12, "msgget": 13, "msgctl": 14,
	"shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
}

// multiplexed returns how a call can be made through socketcall or ipc, for which
// libseccomp adds a rule too (src/syscalls.c, abi_rule_add).
func multiplexed(abi syscalls.ABI, name string) (multiplexedCall, bool) {
	if !multiplexes(abi) {
		return multiplexedCall{}, false
	}
	through := "socketcall"
	call, ok := socketCalls[name]
	if !ok {
		if call, ok = ipcCalls[name]; !ok {
			return multiplexedCall{}, false
		}
		through = "ipc"
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
