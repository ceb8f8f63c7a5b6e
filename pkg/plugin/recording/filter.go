package recording

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A Call is one that was made. If Arg is not negative, it was made with these values of
// that argument only.
type Call struct {
	ABI    syscalls.ABI
	NR     uint32
	Arg    int
	Values []uint32
}

// maxHeld is how many values of an argument are told apart.
const maxHeld = 64

// Calls are those of a recording that have a number. To values they are held if each
// call's was kept, and if they are few.
func Calls(r *v1alpha1.RecordedRun) (list []Call, err error) {
	for _, c := range r.Calls {
		if c.NR == "" {
			continue
		}
		call := Call{Arg: -1}
		if call.ABI, err = syscalls.ParseABI(c.ABI); err != nil {
			return nil, err
		}
		call.NR = uint32(number(c.NR))
		var kept int64
		for _, v := range r.Values {
			if v.ABI != c.ABI || v.NR != c.NR {
				continue
			}
			n, err := strconv.ParseUint(v.Value, 0, 32)
			if err != nil {
				return nil, err
			}
			call.Arg = slices.IndexFunc(call.ABI.Params(c.Syscall), func(p syscalls.Param) bool { return p.Name == v.Parameter })
			call.Values, kept = append(call.Values, uint32(n)), plus(kept, v.Count)
		}
		if kept != c.Count || len(call.Values) > maxHeld {
			call.Arg, call.Values = -1, nil
		}
		list = append(list, call)
	}
	return list, nil
}

// Filter is a program that allows these calls, an argument's upper half being 0, and has
// all others fail with EPERM.
func Filter(calls []Call) (bpf.Filter, error) {
	const eperm = 1
	denied := bpf.Instruction{Op: bpf.RetK, K: uint32(bpf.Errno.With(eperm))}
	byArch := make(map[uint32][]Call)
	for _, c := range calls {
		byArch[c.ABI.AuditArch()] = append(byArch[c.ABI.AuditArch()], c)
	}
	f := bpf.Filter{{Op: bpf.LdAbsW, K: 4}}
	for _, arch := range slices.Sorted(maps.Keys(byArch)) {
		block := bpf.Filter{{Op: bpf.LdAbsW, K: 0}}
		for _, c := range byArch[arch] {
			test := c.test(denied)
			block = append(block, bpf.Instruction{Op: bpf.JeqK, K: c.NR, Jt: 1}, bpf.Instruction{Op: bpf.Ja, K: uint32(len(test))})
			block = append(block, test...)
		}
		block = append(block, denied)
		f = append(f, bpf.Instruction{Op: bpf.JeqK, K: arch, Jt: 1}, bpf.Instruction{Op: bpf.Ja, K: uint32(len(block))})
		f = append(f, block...)
	}
	f = append(f, denied)
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("a filter for %d calls: %w", len(calls), err)
	}
	return f, nil
}

// test is what is done with a call of the number. It always ends.
func (c Call) test(denied bpf.Instruction) (f bpf.Filter) {
	allowed := bpf.Instruction{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))}
	if c.Arg < 0 {
		return bpf.Filter{allowed}
	}
	low := uint32(16 + 8*c.Arg) // offsetof(struct seccomp_data, args)
	high := low + 4
	if c.ABI.ByteOrder() == binary.ByteOrder(binary.BigEndian) {
		low, high = high, low
	}
	f = bpf.Filter{{Op: bpf.LdAbsW, K: high}, {Op: bpf.JeqK, K: 0, Jt: 1}, denied, {Op: bpf.LdAbsW, K: low}}
	for _, v := range c.Values {
		f = append(f, bpf.Instruction{Op: bpf.JeqK, K: v, Jf: 1}, allowed)
	}
	return append(f, denied)
}
