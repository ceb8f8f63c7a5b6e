package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// KnownCommand is the argument with which this program is a process that has a
// known filter.
const KnownCommand = "known-filter"

// known is a filter that allows everything, and holds a number by which it can be
// told from all others.
func known(number uint32) bpf.Filter {
	return bpf.Filter{
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: number},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
	}
}

// HoldKnown has a thread hold the filter of a number, its only argument, says which
// thread that is, and waits for the end of its input.
func HoldKnown(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("want one number")
	}
	number, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		return fmt.Errorf("known filter %q: want a number of 32 bits", args[0])
	}
	runtime.LockOSThread() // for good: the thread ends with its filter
	var code []unix.SockFilter
	for _, i := range known(uint32(number)) {
		code = append(code, unix.SockFilter{Code: uint16(i.Op), Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	// With it no capability is asked for.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return fmt.Errorf("seccomp set mode filter: %w", errno)
	}
	if _, err := fmt.Fprintln(out, unix.Gettid()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// readKnown has a child install a filter and reads it back: that shows all of what
// reading takes, of the kernel's configuration, of security modules and of the
// privileges of this process. The problem says why it is not so.
func (c *collector) readKnown(ctx context.Context) (*ptrace.Reading, *wire.Problem) {
	p := &wire.Problem{Code: wire.CodeInternal, Op: "read back a known filter"}
	var b [4]byte
	rand.Read(b[:]) // never fails
	number := binary.NativeEndian.Uint32(b[:])
	child := exec.CommandContext(ctx, "/proc/self/exe", KnownCommand, strconv.FormatUint(uint64(number), 10))
	var said bytes.Buffer
	child.Stderr = &said
	in, err1 := child.StdinPipe()
	out, err2 := child.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		p.Detail = err.Error()
		return nil, p
	}
	if err := child.Start(); err != nil {
		p.Detail = "its process cannot be started: " + err.Error()
		return nil, unfinished(ctx, p)
	}
	defer func() {
		in.Close() // which ends it
		child.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	tid, bad := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || bad != nil {
		in.Close()
		child.Wait()
		p.Code, p.Detail = wire.CodeUnsupported, "it cannot be installed: "+strings.TrimSpace(said.String())
		p.Remedy = "the kernel must be built with CONFIG_SECCOMP_FILTER"
		return nil, unfinished(ctx, p)
	}
	thread, err := c.fs.Thread(child.Process.Pid, tid)
	if err != nil {
		p.Code, p.Detail = wire.CodeUnreadable, err.Error()
		return nil, p
	}
	reading, err := c.tracer.Read(ctx, thread)
	if refused := new(wire.Problem); errors.As(err, &refused) {
		refused.PID, refused.TID, refused.Comm = 0, 0, ""
		return nil, unfinished(ctx, refused)
	}
	if err != nil {
		p.Detail = err.Error()
		return nil, unfinished(ctx, p)
	}
	want := known(number).Encode(native().ByteOrder())
	if !slices.EqualFunc(reading.Filters, [][]byte{want}, bytes.Equal) {
		p.Detail = fmt.Sprintf("what was read is not what was installed: %d filters", len(reading.Filters))
		return nil, p
	}
	return reading, nil
}

// x32 reports whether the kernel executes calls of the x32 ABI, by making one that
// does nothing. Only for who has no filter, which may have other things to say.
func x32() bool {
	const bit, getpid = 1 << 30, 39 // __X32_SYSCALL_BIT, arch/x86/entry/syscalls/syscall_64.tbl
	if runtime.GOARCH != "amd64" {
		return false
	}
	_, _, errno := unix.RawSyscall(bit|getpid, 0, 0, 0)
	return errno == 0
}
