//go:build linux

package main

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// native is the ABI that this program itself calls the kernel by.
var native = syscalls.OfMachine(runtime.GOARCH)[0]

// install puts f on top of the calling thread's filters and, with
// SECCOMP_FILTER_FLAG_TSYNC, on every thread of the process. It sets
// no_new_privs, without which seccomp(2) asks for CAP_SYS_ADMIN. The calling
// goroutine must be locked to its thread. A thread that the Go runtime starts
// later has the filters of the threads that were not locked.
func install(f bpf.Filter, flags uintptr) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	code := make([]unix.SockFilter, len(f))
	for i, in := range f {
		code[i] = unix.SockFilter{Code: uint16(in.Op), Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	tid, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	switch {
	case errno != 0:
		return fmt.Errorf("install a filter of %d instructions: %w", len(f), errno)
	case tid != 0: // of SECCOMP_FILTER_FLAG_TSYNC only
		return fmt.Errorf("install a filter on every thread: thread %d has other filters", tid)
	}
	return nil
}
