package denials

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/tracing"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

const (
	abiX32 = tracing.X32
	x32Bit = 0x40000000 // __X32_SYSCALL_BIT of arch/x86/include/uapi/asm/unistd.h
)

// maxLength is of all filters of a stack, in instructions: MAX_INSNS_PER_PATH of
// kernel/seccomp.c, that counts a few more for each.
const maxLength = 1 << 15

var errChunk = errors.New("parts of a stack of filters that do not fit together")

// copied is a stack of filters that was copied out of the kernel.
type copied struct {
	raw     [][]byte // oldest first
	log     []bool
	filters bpf.Stack
}

// length is that of all filters, in instructions.
func (c *copied) length() (n int) {
	for _, f := range c.filters {
		n += len(f)
	}
	return n
}

// assembly puts a stack together from its parts, which come newest filter first.
type assembly struct {
	raw    [][]byte // newest first
	log    []bool
	length int // in instructions
}

// add adds a part, and reports whether it was the last.
func (a *assembly) add(c *chunk) (complete bool, err error) {
	offset, length := int(c.Offset), int(c.Length)
	if offset == 0 {
		if n := len(a.raw); n > 0 && len(a.raw[n-1]) < cap(a.raw[n-1]) {
			return false, errChunk
		}
		if a.length += length; a.length > maxLength || length == 0 {
			return false, errChunk
		}
		a.raw = append(a.raw, slices.Grow([]byte(nil), length*bpf.InstructionSize)[:0:length*bpf.InstructionSize])
		a.log = append(a.log, c.Log != 0)
	}
	filter := len(a.raw) - 1
	if filter < 0 || offset >= length || offset*bpf.InstructionSize != len(a.raw[filter]) || cap(a.raw[filter]) != length*bpf.InstructionSize {
		return false, errChunk
	}
	n := min(length-offset, chunkLength)
	a.raw[filter] = append(a.raw[filter], c.Code[:n*bpf.InstructionSize]...)
	if c.Last != 0 && offset+n < length {
		return false, errChunk
	}
	return c.Last != 0, nil
}

// stack returns the stack that the parts make: one that the kernel can hold.
func (a *assembly) stack(order binary.ByteOrder) (*copied, error) {
	s := &copied{raw: slices.Clone(a.raw), log: slices.Clone(a.log)}
	slices.Reverse(s.raw)
	slices.Reverse(s.log)
	for _, raw := range s.raw {
		f, err := bpf.Decode(raw, order)
		if err == nil {
			err = f.Check()
		}
		if err != nil {
			return nil, err
		}
		s.filters = append(s.filters, f)
	}
	return s, nil
}

// watch is the program's struct watch: a bit for each number of each ABI.
type watch struct {
	Numbers [tracing.ABIs][numbers / 64]uint64
}

// watched returns the numbers of the ABIs of which a stack may log calls, or hand
// them to a tracer or a supervisor; nil if of none. What it leaves out, no arguments
// can bring about.
func watched(stack bpf.Stack, abis [tracing.ABIs]syscalls.ABI, order binary.ByteOrder) *watch {
	if !mayMediate(stack) {
		return nil
	}
	var w watch
	for i, abi := range abis {
		if abi == 0 {
			continue
		}
		for nr := range uint32(numbers) {
			call := bpf.Data{NR: nr, Arch: abi.AuditArch()}
			if i == abiX32 {
				call.NR |= x32Bit
			}
			run := stack.Run(&call, order)
			if !run.Reads.Within(bpf.NRArch) || mediates(run.Ret.Action()) {
				w.Numbers[i][nr/64] |= 1 << (nr % 64)
			}
		}
	}
	return &w
}

// mediates reports whether an action can let a call go on and is yet not ALLOW.
func mediates(a bpf.Action) bool { return a == bpf.Log || a == bpf.Trace || a == bpf.UserNotif }

// mayMediate reports whether any filter has an instruction that could return such an
// action.
func mayMediate(stack bpf.Stack) bool {
	for _, f := range stack {
		for _, in := range f {
			if in.Op == bpf.RetA || in.Op == bpf.RetK && mediates(bpf.Return(in.K).Action()) {
				return true
			}
		}
	}
	return false
}

// verdict is what a call is taken for.
type verdict int

const (
	denial  verdict = iota // to be told of
	nothing                // it was allowed
	unclear                // it may have begun before the program did, or be allowed
)

// judge tells what a call is taken for, under the filters of its thread; nil if they
// are not known. alike is what the others of its kind are taken for, whose arguments
// nobody has seen.
func judge(e *event, data *bpf.Data, stack bpf.Stack, order binary.ByteOrder) (v, alike verdict) {
	first := e.Flags&flagFirst != 0
	if stack == nil {
		if e.How == began || first {
			return unclear, unclear
		}
		return denial, denial
	}
	run := stack.Run(data, order)
	action := run.Ret.Action()
	switch {
	case e.How == began:
		v = nothing
		if mediates(action) {
			v = denial
		}
		if !run.Reads.Within(bpf.NRArch) {
			return v, unclear
		}
		return v, v
	case e.How == returned && restarts(e.Return) && (action == bpf.UserNotif || action == bpf.Trace):
		// A signal has interrupted the wait for the supervisor: the call is made again,
		// or fails with EINTR as one that was executed may.
		return nothing, nothing
	case !first:
		return denial, denial
	case action == bpf.Errno && e.Return == -int64(run.Ret.Data()):
		// Had it begun, the same filters would have let it. All but those that
		// another thread installed meanwhile (TSYNC), and then it fails by chance as
		// they would have it fail.
		return denial, denial
	case action == bpf.UserNotif, action == bpf.Trace:
		return unclear, unclear
	}
	return nothing, nothing
}

// restarts reports whether a result is one of the kernel's own by which a call is made
// again after a signal: ERESTARTSYS to ERESTART_RESTARTBLOCK of include/linux/errno.h.
func restarts(ret int64) bool { return ret <= -512 && ret >= -516 }
