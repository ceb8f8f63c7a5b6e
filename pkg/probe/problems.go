package probe

import (
	"errors"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// problem writes a problem of the target's; of many of one kind, the first few.
func (t *target) problem(p *wire.Problem) error {
	p.Target = t.ref
	if t.problems[p.Code]++; t.problems[p.Code] > maxProblems {
		return nil
	}
	return t.sink.Write(p)
}

// rest says how many problems were not written.
func (t *target) rest() error {
	for code, n := range t.problems {
		if n > maxProblems {
			if err := t.sink.Write(&wire.Problem{Target: t.ref, Code: code, More: n - maxProblems}); err != nil {
				return err
			}
		}
	}
	return nil
}

// limit writes the problem of a limit that was reached, once for each.
func (t *target) limit(p *wire.Problem) error {
	if t.full[p.Code] {
		return nil
	}
	t.full[p.Code] = true
	return t.problem(p)
}

// write writes a message of the target's. If there is no room for it, that is
// told as a problem with what was to be done.
func (t *target) write(m wire.Message, op string) (written bool, err error) {
	err = t.sink.Write(m)
	if errors.Is(err, wire.ErrTooLarge) {
		return false, t.limit(&wire.Problem{Code: wire.CodeOutputFull, Op: op, Detail: "the output is as long as a log can safely be"})
	}
	return err == nil, err
}
