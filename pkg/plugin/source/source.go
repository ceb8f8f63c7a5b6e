package source

import (
	"encoding/binary"
	"runtime"
	"sync"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/capability"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A Source is one that yields a policy, and what is known of it.
type Source struct {
	// Dump is all but what the filters do (State.Syscalls). It has a state at
	// least; the first is that of the subject.
	Dump v1alpha1.Dump
	// Stacks are the filters of Dump.States, nil where they were not read and
	// where there are none.
	Stacks []bpf.Stack
	// policies are those of Stacks, as far as they were worked out.
	policies map[int]*policy.Policy
	mu       sync.Mutex
	// ABIs are those that its machine accepts, native first.
	ABIs []syscalls.ABI
	// Warnings are what does not happen although the source may seem to say so.
	Warnings []error
}

// Name is how messages call the source.
func (s *Source) Name() string { return s.Dump.Source.Name() }

// Order returns the byte order of the source's machine.
func (s *Source) Order() binary.ByteOrder { return s.ABIs[0].ByteOrder() }

// Policy returns the policy of one of the source's states. It is worked out once.
func (s *Source) Policy(state int) (*policy.Policy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.policies[state]; p != nil {
		return p, nil
	}
	p, err := policy.Of(s.Stacks[state], s.Order())
	if err == nil {
		s.keep(state, p)
	}
	return p, err
}

// Keep has the source take p for the policy of one of its states: who checked a
// report has worked it out, from the same stack and byte order.
func (s *Source) Keep(state int, p *policy.Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(state, p)
}

func (s *Source) keep(state int, p *policy.Policy) {
	if s.policies == nil {
		s.policies = make(map[int]*policy.Policy)
	}
	s.policies[state] = p
}

// Kernel returns the release of the source's kernel, zero if it is not known.
func (s *Source) Kernel() syscalls.Release {
	k, err := syscalls.ParseRelease(s.Dump.Source.Kernel)
	if err != nil {
		return syscalls.Release{}
	}
	return k
}

// Machine returns what a profile that is set beside the source is loaded on. What
// the source does not know is as in DefaultMachine.
func (s *Source) Machine() profile.Target {
	m := DefaultMachine()
	m.Arch = s.Dump.Source.Arch
	if s.Dump.Source.PID != 0 {
		m.Capabilities = s.Dump.States[0].Capabilities.Bounding
	}
	if k := s.Kernel(); k != (syscalls.Release{}) {
		m.Kernel = k
	}
	return m
}

// DefaultMachine is the one that a file is for if nothing says which: this one,
// and a container that was given nothing in particular. Its kernel is as new as
// the tables of syscalls.
func DefaultMachine() profile.Target {
	m := profile.Target{Arch: runtime.GOARCH, Capabilities: capability.Default.Names()}
	if k, err := profile.ParseKernel(syscalls.KernelVersion); err == nil {
		m.Kernel = k
	}
	return m
}
