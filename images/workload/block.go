//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epoll blocks in epoll_wait, which the kernel does not restart after a stop.
func epoll(args []string, end <-chan os.Signal) error {
	if err := parse(newFlags("epoll"), args); err != nil {
		return err
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	// Newer architectures have epoll_pwait only, which is the same without a
	// signal mask.
	nr, ok := native.Number("epoll_wait")
	if !ok {
		nr = unix.SYS_EPOLL_PWAIT
	}
	event := new(unix.EpollEvent)
	forever := -1
	return block(uintptr(nr), end, func() error {
		_, _, errno := unix.Syscall6(uintptr(nr), uintptr(fd), uintptr(unsafe.Pointer(event)), 1, uintptr(forever), 0, 0)
		return asError(errno)
	})
}

// futexWaitPrivate is FUTEX_WAIT_PRIVATE of include/uapi/linux/futex.h.
const futexWaitPrivate = 0 | 128

// futex blocks in FUTEX_WAIT, which the kernel restarts after a stop.
func futex(args []string, end <-chan os.Signal) error {
	if err := parse(newFlags("futex"), args); err != nil {
		return err
	}
	word := new(uint32)
	return block(unix.SYS_FUTEX, end, func() error {
		_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWaitPrivate, 0, 0, 0, 0)
		return asError(errno)
	})
}

// read blocks in a read from a pipe, which the kernel restarts after a stop.
func read(args []string, end <-chan os.Signal) error {
	if err := parse(newFlags("read"), args); err != nil {
		return err
	}
	var ends [2]int // both stay open: no data, and no end of file
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("pipe2: %w", err)
	}
	buffer := make([]byte, 1)
	return block(unix.SYS_READ, end, func() error {
		_, err := unix.Read(ends[0], buffer)
		return err
	})
}

// asError keeps a zero errno from becoming a non-nil error.
func asError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// block makes a call that never returns by itself, system call nr, on the main
// thread. It prints "eintr N" each time the call was interrupted, and at the
// end "total eintr N".
func block(nr uintptr, end <-chan os.Signal, call func() error) error {
	// Signals are for the other threads. What interrupts this one is then
	// neither SIGTERM nor one of the Go runtime's own, but a stop.
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &all, nil); err != nil {
		return fmt.Errorf("block signals: %w", err)
	}

	var interrupted atomic.Int64
	failed := make(chan error, 1)
	go func() {
		if err := awaitBlocked(nr); err != nil {
			failed <- err
			return
		}
		ready()
	}()
	go func() {
		select {
		case <-end:
			fmt.Println("total eintr", interrupted.Load())
			os.Exit(0)
		case err := <-failed:
			fmt.Fprintln(os.Stderr, "workload:", err)
			os.Exit(2)
		}
	}()
	for {
		if err := call(); err != unix.EINTR {
			return fmt.Errorf("system call %d returned: %v", nr, err)
		}
		fmt.Println("eintr", interrupted.Add(1))
	}
}

// awaitBlocked returns once the main thread is in system call nr. Nothing tells
// of that, so it asks the kernel until it is so.
func awaitBlocked(nr uintptr) error {
	path := filepath.Join("/proc/self/task", strconv.Itoa(os.Getpid()), "syscall")
	for {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("wait for the main thread to block: %w", err)
		}
		if first, _, _ := strings.Cut(string(content), " "); first == strconv.Itoa(int(nr)) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}
