package plugin

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// A source is a container and what was read of it. Its subject has been read.
type source struct {
	operand   target.Operand
	container target.Container
	report    *report.Report // of its node
	target    *report.Target
	subject   *report.State
}

// read reads the containers of each operand, those of all operands at once.
func read(ctx context.Context, resolver Resolver, prober Prober, texts []string) ([][]source, error) {
	operands := make([]target.Operand, len(texts))
	for i, text := range texts {
		var err error
		if operands[i], err = target.Parse(text); err != nil {
			return nil, err
		}
	}
	containers := make([][]target.Container, len(operands))
	var all []target.Container
	for i, operand := range operands {
		var err error
		if containers[i], err = resolver.Resolve(ctx, operand); err != nil {
			return nil, err
		}
		all = append(all, containers[i]...)
	}
	reports, err := prober.Probe(ctx, all)
	if err != nil {
		return nil, err
	}
	sources := make([][]source, len(operands))
	for i, operand := range operands {
		for _, c := range containers[i] {
			s, err := newSource(operand, c, reports[c.Node])
			if err != nil {
				return nil, err
			}
			sources[i] = append(sources[i], s)
		}
	}
	return sources, nil
}

// newSource finds a container in the report of its node. One whose subject was
// not read is an error: what is known of other threads does not answer for it.
func newSource(o target.Operand, c target.Container, r *report.Report) (source, error) {
	fail := func(problems []wire.Problem) (source, error) {
		err := errors.New("the probe does not say why")
		if len(problems) > 0 {
			err = &problems[0]
		}
		return source{}, fmt.Errorf("read %s on node %s: %w", c, c.Node, err)
	}
	if r == nil {
		return fail(nil)
	}
	t := r.Targets[c.ID]
	if t == nil {
		return fail(r.Problems)
	}
	subject := t.Subject()
	if subject == nil || subject.Mode == wire.ModeFilter && subject.Stack == nil {
		return fail(append(t.Problems, r.Problems...))
	}
	return source{o, c, r, t, subject}, nil
}

func (s source) order() binary.ByteOrder { return s.report.ABIs[0].ByteOrder() }

// policyOf returns the policy of one of the source's states.
func (s source) policyOf(state *report.State) (*policy.Policy, error) {
	return policy.Of(state.Stack, s.order())
}

// warnings are what an answer about a source's subject leaves out.
func (s source) warnings() (list []error) {
	threads := 0
	for _, state := range s.target.States {
		if state != s.subject {
			threads += state.Threads
		}
	}
	if threads > 0 {
		list = append(list, fmt.Errorf("%s: not confined like its main thread: %d of %d threads; dump shows how", s.container, threads, s.target.Threads))
	}
	return append(list, s.problems()...)
}

// problems are what could not be read of a source.
func (s source) problems() (list []error) {
	for i := range s.target.Problems {
		list = append(list, fmt.Errorf("%s: %w", s.container, &s.target.Problems[i]))
	}
	for i := range s.report.Problems {
		list = append(list, fmt.Errorf("node %s: %w", s.container.Node, &s.report.Problems[i]))
	}
	return list
}

// sameStack reports whether two sources are held to the same filters.
func sameStack(a, b source) bool {
	if a.report.Hello.Arch != b.report.Hello.Arch || a.subject.Mode != b.subject.Mode || len(a.subject.Stack) != len(b.subject.Stack) {
		return false
	}
	for i, f := range a.subject.Stack {
		if !slices.Equal(f, b.subject.Stack[i]) {
			return false
		}
	}
	return true
}
