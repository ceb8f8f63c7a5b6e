package ptrace

import (
	"fmt"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wait4(2) takes no timeout. What ends it is a signal with a handler that does
// not ask for restart. So each worker has a POSIX timer that sends its thread,
// and no other, a real-time signal every tick while it waits. (Asking over and
// over with WNOHANG needs no signal and makes a stop half as long again: it
// takes a processor from the thread that is to stop.)

// tickSignal is the signal. C libraries use the first three real-time signals
// for themselves, and Go leaves the others alone.
const tickSignal = unix.Signal(43)

// tick is how often a wait looks at its deadline.
const tick = 10 * time.Millisecond

// prepareSignals changes how two signals reach this process. Go's handlers for
// them, which ignore both, are kept. tickSignal no longer restarts the system
// call that it interrupts. And SIGCHLD is no longer sent when a traced thread
// stops, which is waited for anyway: handling it takes as long as a tenth of a
// stop.
var prepareSignals = sync.OnceValue(func() error {
	const saNoCldStop, saRestart = 0x1, 0x10000000
	if err := changeAction(tickSignal, 0, saRestart); err != nil {
		return err
	}
	return changeAction(unix.SIGCHLD, saNoCldStop, 0)
})

// changeAction sets and clears flags of a signal's action.
func changeAction(sig unix.Signal, set, clear uintptr) error {
	// struct sigaction as rt_sigaction(2) has it on all architectures but MIPS,
	// with room for the largest: handler, flags, then what is left as it is.
	var action struct {
		handler, flags uintptr
		rest           [40]byte
	}
	const sigsetSize = 8
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&action)), sigsetSize, 0, 0); errno != 0 {
		return fmt.Errorf("rt_sigaction %d: %w", sig, errno)
	}
	const sigDfl, sigIgn = 0, 1
	if action.handler == sigDfl || action.handler == sigIgn {
		return fmt.Errorf("signal %d has no handler of the Go runtime's", sig)
	}
	action.flags = action.flags&^clear | set
	if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&action)), 0, sigsetSize, 0, 0); errno != 0 {
		return fmt.Errorf("rt_sigaction %d: %w", sig, errno)
	}
	return nil
}

// ticker is a timer that sends tickSignal to a thread.
type ticker struct {
	id int32 // timer_t, in the kernel
}

// sigevent is struct sigevent (include/uapi/asm-generic/siginfo.h), 64 bytes.
type sigevent struct {
	value  uintptr
	signo  int32
	notify int32
	tid    int32
	_      [64 - unsafe.Sizeof(uintptr(0)) - 3*4]byte
}

func (t *ticker) create(tid int) error {
	const sigevThreadID = 4
	event := sigevent{signo: int32(tickSignal), notify: sigevThreadID, tid: int32(tid)}
	if _, _, errno := unix.RawSyscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&t.id))); errno != 0 {
		return errno
	}
	return nil
}

// start makes the timer tick every d, or no more if d is 0.
func (t *ticker) start(d time.Duration) syscall.Errno {
	spec := unix.ItimerSpec{Interval: unix.NsecToTimespec(int64(d)), Value: unix.NsecToTimespec(int64(d))}
	_, _, errno := unix.RawSyscall6(unix.SYS_TIMER_SETTIME, uintptr(t.id), 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	return errno
}

func (t *ticker) delete() {
	unix.RawSyscall(unix.SYS_TIMER_DELETE, uintptr(t.id), 0, 0)
}
