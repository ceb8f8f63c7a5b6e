package probe

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// intern returns the ID of a stack, which it writes if it is new.
func (c *collector) intern(r *ptrace.Reading) (int, error) {
	key := keyOf(r)
	if id, ok := c.stacks[key]; ok {
		return id, nil
	}
	stack := &wire.Stack{ID: len(c.stackOf)}
	programs := make(bpf.Stack, len(r.Filters))
	for i, raw := range r.Filters {
		id, err := c.internFilter(raw)
		if err != nil {
			return wire.NoStack, err
		}
		stack.Filters = append(stack.Filters, id)
		programs[i] = c.programs[id]
	}
	for _, log := range r.Log {
		stack.Log = append(stack.Log, wire.Log(log))
	}
	if err := c.sink.Write(stack); err != nil {
		return wire.NoStack, err
	}
	c.stacks[key] = stack.ID
	c.stackOf = append(c.stackOf, programs)
	return stack.ID, nil
}

// stackKey is the same for equal readings only.
type stackKey [sha256.Size]byte

func keyOf(r *ptrace.Reading) (key stackKey) {
	h := sha256.New()
	for i, raw := range r.Filters {
		fmt.Fprintf(h, "%d %t ", len(raw), r.Log != nil && r.Log[i])
		h.Write(raw)
	}
	h.Sum(key[:0])
	return key
}

// internFilter returns the ID of a program, which it writes if it is new.
func (c *collector) internFilter(raw []byte) (int, error) {
	sum := sha256.Sum256(raw)
	if id, ok := c.filters[sum]; ok {
		return id, nil
	}
	program, err := bpf.Decode(raw, native().ByteOrder())
	if err != nil {
		return 0, err
	}
	id := len(c.programs)
	if err := c.sink.Write(wire.NewFilter(id, raw)); err != nil {
		return 0, err
	}
	c.filters[sum] = id
	c.programs = append(c.programs, program)
	c.length += len(program)
	return id, nil
}

// verdicts evaluates every stack for every ABI of the machine.
func (c *collector) verdicts(ctx context.Context) error {
	for id, stack := range c.stackOf {
		for _, abi := range syscalls.OfMachine(runtime.GOARCH) {
			p := &wire.Problem{Op: fmt.Sprintf("evaluate stack %d and those after it", id)}
			if ctx.Err() != nil {
				return c.sink.Write(unfinished(ctx, p))
			}
			err := c.sink.Write(&wire.Verdict{Stack: id, Survey: survey.Of(stack, abi)})
			if errors.Is(err, wire.ErrTooLarge) {
				p.Code, p.Detail = wire.CodeOutputFull, "the output is as long as a log can safely be"
				return c.sink.Write(p)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// fingerprints works out what the policy of each stack is called, as far as there
// is time. To leave one out is no problem: who reads the stacks can do it as
// well.
func (c *collector) fingerprints(ctx context.Context) error {
	begin := time.Now()
	for id, stack := range c.stackOf {
		if ctx.Err() != nil || time.Since(begin) > fingerprintTime {
			return nil
		}
		p, err := policy.Try(stack, native().ByteOrder(), policy.SmallBudget)
		if err != nil {
			continue
		}
		name, err := p.Fingerprint()
		if err != nil {
			continue
		}
		switch err := c.sink.Write(&wire.Fingerprint{Stack: id, Fingerprint: name}); {
		case errors.Is(err, wire.ErrTooLarge):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// native returns the ABI that the machine's programs are for.
func native() syscalls.ABI { return syscalls.OfMachine(runtime.GOARCH)[0] }
