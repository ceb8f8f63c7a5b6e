package source

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// What v1alpha1.Source.Format says.
const (
	formatNone    = "no filter"
	formatFilters = "raw filters"
	formatDump    = "saved dump"
)

// filters are programs as the kernel has them in memory, the oldest first.
type filters struct {
	operand, format string
	files           []string
	raw             [][]byte
}

func (f *filters) Machine() (profile.Target, bool) { return profile.Target{}, false }

func (f *filters) On(m profile.Target) ([]*Source, error) {
	s, err := newSource(v1alpha1.Source{Operand: f.operand, Format: f.format}, m)
	if err != nil {
		return nil, err
	}
	var stack bpf.Stack
	for i, raw := range f.raw {
		program, err := decode(raw, s.Order())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.files[i], err)
		}
		stack = append(stack, program)
	}
	s.hold(stack)
	return []*Source{s}, nil
}

// decode reads a program that the kernel would accept.
func decode(raw []byte, order binary.ByteOrder) (bpf.Filter, error) {
	program, err := bpf.Decode(raw, order)
	if err == nil {
		err = program.Check()
	}
	if errors.Is(err, bpf.ErrOpcode) {
		if swapped, _ := bpf.Decode(raw, other(order)); swapped.Check() == nil {
			return nil, fmt.Errorf("%w; it is in the byte order of other machines: say of which with --arch", err)
		}
	}
	return program, err
}

func other(order binary.ByteOrder) binary.ByteOrder {
	if order == binary.ByteOrder(binary.LittleEndian) {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Of returns a source of filters that are known already, for a machine. None are no
// filter.
func Of(from v1alpha1.Source, m profile.Target, stack bpf.Stack) (*Source, error) {
	s, err := newSource(from, m)
	if err != nil {
		return nil, err
	}
	s.hold(stack)
	return s, nil
}

// newSource returns a source of a file on a machine, without any filters.
func newSource(from v1alpha1.Source, m profile.Target) (*Source, error) {
	s := &Source{ABIs: syscalls.OfMachine(m.Arch)}
	if len(s.ABIs) == 0 {
		return nil, fmt.Errorf("--arch %q: there is no such architecture: want a GOARCH such as amd64 or arm64", m.Arch)
	}
	from.Operand, from.Arch = terminal.Escape(from.Operand), m.Arch
	for _, abi := range s.ABIs {
		from.ABIs = append(from.ABIs, abi.String())
	}
	s.Dump = v1alpha1.Dump{TypeMeta: v1alpha1.TypeMeta("Dump"), Source: from}
	return s, nil
}

// hold gives the source one state with a stack.
func (s *Source) hold(stack bpf.Stack) {
	state := v1alpha1.State{Subject: true, Confinement: v1alpha1.Confinement{Mode: "disabled", FilterCount: len(stack)}}
	if len(stack) > 0 {
		state.Mode = "filter"
	}
	seen := make(map[string]bool)
	for _, program := range stack {
		raw := program.Encode(s.Order())
		sum := sha256.Sum256(raw)
		hash := hex.EncodeToString(sum[:])
		state.Filters = append(state.Filters, hash)
		state.Instructions += len(program)
		if !seen[hash] {
			seen[hash] = true
			s.Dump.Filters = append(s.Dump.Filters, v1alpha1.Filter{SHA256: hash, Instructions: len(program), Program: raw})
		}
	}
	s.Dump.States, s.Stacks = []v1alpha1.State{state}, []bpf.Stack{stack}
}
