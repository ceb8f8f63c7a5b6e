package syscalls

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

// Multiplexed returns by which call another one can be made where an ABI has it,
// socketcall or ipc, and what that takes as its first argument
// (include/uapi/linux/net.h and ipc.h). The high half of the latter's is a version.
func Multiplexed(name string) (through string, call uint32, ok bool) {
	if call, ok = socketCalls[name]; ok {
		return "socketcall", call, true
	}
	if call, ok = ipcCalls[name]; ok {
		return "ipc", call, true
	}
	return "", 0, false
}
