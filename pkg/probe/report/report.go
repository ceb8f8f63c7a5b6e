// Package report reads what one run of the probe wrote and verifies it: nothing
// in a Report rests on the node's word alone that could be worked out here.
package report

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

var (
	// ErrDisagree is a stack that the node evaluated to something else than
	// this package did: one of the two is wrong, so neither is shown.
	ErrDisagree = errors.New("node and client disagree")
	// ErrImpossible is a program or a stack that no kernel would hold.
	ErrImpossible = errors.New("no kernel holds this")
	// ErrUnknownMachine is a node of an architecture that is not known here.
	ErrUnknownMachine = errors.New("unknown architecture")
	// ErrTooMany is a report with more distinct filters or stacks than are worth
	// reading.
	ErrTooMany = errors.New("too many filters or stacks")
)

// Report is what one run of the probe found on its node. The node's own words
// (names, problems) are clipped where they are long. They are not escaped.
type Report struct {
	Hello wire.Hello
	// ABIs is every ABI that the node's kernel accepts, native first.
	ABIs []syscalls.ABI
	// Targets are those that were found, and those that only have Problems, by
	// the ID that was asked for.
	Targets map[string]*Target
	// Started are the containers that came while calls were recorded, by their ID
	// without a runtime.
	Started map[string]*wire.Recorded
	// Node is what is set on the node for all containers; nil if it was not asked
	// for.
	Node *wire.Node
	// Self is what the probe found of itself; nil if it was not asked for.
	Self *wire.Self
	// Problems that concern no single target.
	Problems []wire.Problem
}

// Target is one container. If it was not found, only its ID and Problems are
// set.
type Target struct {
	wire.Target
	States []*State
	// Config and File are nil if they were not asked for or not found.
	Config   *wire.Config
	File     *wire.File
	Recorded *wire.Recorded // nil if calls were not
	Denials  []Denial       // calls that filters did not simply allow, as they happened
	Denied   *wire.Denied   // nil if such were not looked for
	Problems []wire.Problem
}

// Denial is a call that filters did not simply allow.
type Denial struct {
	wire.Denial
	// Filters are those of the thread that made it; nil if they could not be had. Log
	// is as in State.
	Filters bpf.Stack
	Log     []wire.Log
}

// Found reports whether the node had a process of the target.
func (t *Target) Found() bool { return t.PID != 0 }

// Subject returns the state of the main thread of the target's init process, by
// which the target is judged; nil if it could not be read.
func (t *Target) Subject() *State {
	for _, s := range t.States {
		if s.Subject {
			return s
		}
	}
	return nil
}

// State is one distinct confinement among a target's threads.
type State struct {
	wire.State
	// Stack is nil if there are no filters or they could not be read.
	Stack bpf.Stack
	// Log tells of each filter whether it was installed with
	// SECCOMP_FILTER_FLAG_LOG; nil if the kernel does not tell.
	Log []wire.Log
	// Surveys has one survey of Stack for each of the report's ABIs, in their
	// order; nil without a stack. States with the same stack share it.
	Surveys []survey.Survey
	// Policy is the exact meaning of Stack, if it could be worked out with
	// little (see policy.Try) and the node has done so, too; else nil.
	Policy *policy.Policy
	// Fingerprint is Policy's, worked out here, and not another than the node's;
	// "" if there is none.
	Fingerprint string
}

const (
	// maxStacks bounds the distinct stacks of a report: they differ among
	// threads of containers on one node, and each costs a survey per ABI.
	maxStacks = 4096
	// maxInstructions bounds the filters of a report, all together: 32 MiB. They
	// come compressed, to a hundredth of that where a node means harm.
	maxInstructions = 1 << 22
	// maxPathInstructions is MAX_INSNS_PER_PATH and filterPenalty what each
	// filter below the newest counts on top of its length; see
	// seccomp_attach_filter in kernel/seccomp.c.
	maxPathInstructions = 1 << 18 / bpf.InstructionSize
	filterPenalty       = 4
)

// Read reads a run's output to its verified end, and not beyond. Every program
// is checked as the kernel does, and every stack evaluated again: what the node
// says about it must be the same. The errors are this package's or wrap those of
// wire and of r.
func Read(ctx context.Context, r io.Reader, run string) (*Report, error) {
	return Follow(ctx, r, run, Events{})
}

// Events are what is called while output is read that is being written. Either may be
// nil.
type Events struct {
	// Began is called when the node says that it begins to record calls or to look
	// for refused ones.
	Began func()
	// Denied is called for each call that is refused. Of the report so far, only what
	// it says of the node and its ABIs is known then.
	Denied func(*Report, Denial)
}

// Follow is Read for output that is being written. If that is cut after something was
// recorded, what had come by then is returned with the error.
func Follow(ctx context.Context, r io.Reader, run string, events Events) (*Report, error) {
	return (&builder{report: Report{Targets: make(map[string]*Target), Started: make(map[string]*wire.Recorded)}, events: events}).read(ctx, wire.NewReader(r, run))
}

// builder puts a report together, message by message. wire.Reader has checked
// that what a message refers to has come.
type builder struct {
	report   Report
	order    binary.ByteOrder
	filters  []bpf.Filter
	length   int // of all filters, in instructions
	stacks   []stack
	verdicts []*wire.Verdict

	recordings int // how many have come
	events     Events
}

type stack struct {
	filters bpf.Stack
	log     []wire.Log
	surveys []survey.Survey
	node    string // the fingerprint that the node worked out, "" if none

	try         func() (*policy.Policy, error) // works out the policy, once
	policy      *policy.Policy                 // as far as the node said that it can be had
	fingerprint string                         // of policy
}

// headStart is how many stacks' policies are worked out while the node still works
// them out itself. Most runs have no more, and none costs more for it: the node says
// of those from practice that they can be had.
const headStart = 2

func (b *builder) read(ctx context.Context, r *wire.Reader) (*Report, error) {
	for {
		m, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if b.recordings > 0 && b.evaluate(context.WithoutCancel(ctx)) == nil {
				return &b.report, err
			}
			return nil, err
		}
		if err := b.add(m); err != nil {
			return nil, err
		}
	}
	if err := b.evaluate(ctx); err != nil {
		return nil, err
	}
	return &b.report, nil
}

func (b *builder) add(m wire.Message) error {
	switch m := m.(type) {
	case *wire.Hello:
		return b.hello(m)
	case *wire.Target:
		m.Comm = clip(m.Comm, maxName)
		b.target(m.ID).Target = *m
	case *wire.Filter:
		return b.filter(m)
	case *wire.Stack:
		return b.stack(m)
	case *wire.State:
		return b.state(m)
	case *wire.Verdict:
		b.verdicts = append(b.verdicts, m)
	case *wire.Fingerprint:
		b.stacks[m.Stack].node = m.Fingerprint
	case *wire.Node:
		m.KubeletRoot, m.Detail = clip(m.KubeletRoot, maxText), clip(m.Detail, maxText)
		b.report.Node = m
	case *wire.Self:
		m.LabelError = clip(m.LabelError, maxText)
		if m.Label = clip(m.Label, maxText); m.Unread != nil {
			clipProblem(m.Unread)
		}
		b.report.Self = m
	case *wire.Config:
		m.Path, m.Runtime = clip(m.Path, maxText), clip(m.Runtime, maxText)
		b.target(m.Target).Config = m
	case *wire.File:
		m.Path = clip(m.Path, maxText)
		b.target(m.Target).File = m
	case *wire.Began:
		if b.events.Began != nil {
			b.events.Began()
		}
	case *wire.Recorded:
		return b.recorded(m)
	case *wire.Denial:
		return b.denial(m)
	case *wire.Denied:
		for _, h := range m.Held {
			if err := b.checkABI(h.ABI); err != nil {
				return err
			}
		}
		b.target(m.Target).Denied = m
	case *wire.Problem:
		if m.Target == "" {
			b.report.Problems = addProblem(b.report.Problems, *m)
		} else {
			t := b.target(m.Target)
			t.Problems = addProblem(t.Problems, *m)
		}
	}
	return nil
}

func (b *builder) hello(h *wire.Hello) error {
	native := syscalls.OfMachine(h.Arch)
	if len(native) == 0 {
		return fmt.Errorf("node of architecture %q: %w", h.Arch, ErrUnknownMachine)
	}
	b.order = native[0].ByteOrder()
	for _, name := range h.ABIs {
		abi, err := syscalls.ParseABI(name)
		if err != nil {
			return fmt.Errorf("node of architecture %q: %w: %v", h.Arch, ErrUnknownMachine, err)
		}
		if !slices.Contains(native, abi) || slices.Contains(b.report.ABIs, abi) {
			return fmt.Errorf("node of architecture %q with ABI %s: %w", h.Arch, abi, ErrUnknownMachine)
		}
		b.report.ABIs = append(b.report.ABIs, abi)
	}
	b.report.Hello = *h
	for _, s := range []*string{&b.report.Hello.Version, &b.report.Hello.Kernel, &b.report.Hello.Machine} {
		*s = clip(*s, maxName)
	}
	return nil
}

// target returns the target of an ID, which a problem may name without its
// having been found.
func (b *builder) target(id string) *Target {
	t := b.report.Targets[id]
	if t == nil {
		t = &Target{Target: wire.Target{ID: id}}
		b.report.Targets[id] = t
	}
	return t
}

func (b *builder) filter(m *wire.Filter) error {
	if b.length += m.Instructions; b.length > maxInstructions {
		return fmt.Errorf("more than %d instructions: %w", maxInstructions, ErrTooMany)
	}
	raw, err := m.Raw()
	if err != nil {
		return err
	}
	f, err := bpf.Decode(raw, b.order)
	if err == nil {
		err = f.Check()
	}
	if err != nil {
		return fmt.Errorf("filter %d: %w: %w", m.ID, ErrImpossible, err)
	}
	b.filters = append(b.filters, f)
	return nil
}

func (b *builder) stack(m *wire.Stack) error {
	if len(b.stacks) == maxStacks {
		return fmt.Errorf("more than %d: %w", maxStacks, ErrTooMany)
	}
	s := stack{log: m.Log}
	var length int
	for i, id := range m.Filters {
		f := b.filters[id]
		s.filters = append(s.filters, f)
		if length += len(f); i < len(m.Filters)-1 {
			length += filterPenalty
		}
		if length > maxPathInstructions {
			return fmt.Errorf("stack %d of more than %d instructions: %w", m.ID, maxPathInstructions, ErrImpossible)
		}
	}
	filters, order := s.filters, b.order
	s.try = sync.OnceValues(func() (*policy.Policy, error) {
		return policy.Try(filters, order, policy.SmallBudget)
	})
	if len(b.stacks) < headStart {
		go s.try()
	}
	b.stacks = append(b.stacks, s)
	return nil
}

func (b *builder) state(m *wire.State) error {
	t := b.target(m.Target)
	if m.Subject && t.Subject() != nil {
		return fmt.Errorf("target %q has two subjects: %w", m.Target, wire.ErrInvalid)
	}
	for _, threads := range [][]wire.ThreadRef{m.Read, m.Sample} {
		for i := range threads {
			threads[i].Comm = clip(threads[i].Comm, maxName)
		}
	}
	t.States = append(t.States, &State{State: *m})
	return nil
}

// recorded adds the calls that were recorded of a target. Those of an ABI that its
// node does not have cannot have been made.
func (b *builder) recorded(m *wire.Recorded) error {
	check := func(c wire.Calls) error { return b.checkABI(c.ABI) }
	for _, c := range m.Calls {
		if err := check(c); err != nil {
			return err
		}
	}
	for _, v := range m.Values {
		if err := check(v.Calls); err != nil {
			return err
		}
	}
	for _, r := range m.Refused {
		if err := check(r.Calls); err != nil {
			return err
		}
	}
	b.recordings++
	if m.Start {
		_, id, ok := strings.Cut(m.Target, "://")
		if !ok {
			return fmt.Errorf("container %q: %w", clip(m.Target, maxName), wire.ErrInvalid)
		}
		b.report.Started[id] = m
		return nil
	}
	b.target(m.Target).Recorded = m
	return nil
}

// checkABI reports a call of an ABI that the node does not have.
func (b *builder) checkABI(name string) error {
	abi, err := syscalls.ParseABI(name)
	if err != nil || !slices.Contains(b.report.ABIs, abi) {
		return fmt.Errorf("call of %s, which is none of the node's ABIs: %w", clip(name, maxName), wire.ErrInvalid)
	}
	return nil
}

// denial adds a refused call, and hands it out.
func (b *builder) denial(m *wire.Denial) error {
	if err := b.checkABI(m.ABI); err != nil {
		return err
	}
	m.Comm, m.Process = clip(m.Comm, maxName), clip(m.Process, maxName)
	d := Denial{Denial: *m}
	if m.Stack != wire.NoStack {
		d.Filters, d.Log = b.stacks[m.Stack].filters, b.stacks[m.Stack].log
	}
	t := b.target(m.Target)
	t.Denials = append(t.Denials, d)
	if b.events.Denied != nil {
		b.events.Denied(&b.report, d)
	}
	return nil
}

// evaluate surveys every stack, holds that against what the node said, and hands
// it to the states.
func (b *builder) evaluate(ctx context.Context) error {
	for i := range b.stacks {
		s := &b.stacks[i]
		for _, abi := range b.report.ABIs {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("evaluate stack %d for %s: %w", i, abi, context.Cause(ctx))
			}
			s.surveys = append(s.surveys, survey.Of(s.filters, abi))
		}
	}
	for _, v := range b.verdicts {
		if err := b.compare(v); err != nil {
			return err
		}
	}
	for i := range b.stacks {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("work out the policy of stack %d: %w", i, context.Cause(ctx))
		}
		if err := b.fingerprint(i); err != nil {
			return err
		}
	}
	for _, t := range b.report.Targets {
		for _, state := range t.States {
			if state.State.Stack != wire.NoStack {
				s := b.stacks[state.State.Stack]
				state.Stack, state.Log, state.Surveys, state.Policy, state.Fingerprint = s.filters, s.log, s.surveys, s.policy, s.fingerprint
			}
		}
	}
	return nil
}

// fingerprint works out the policy of a stack of which the node says that it has,
// and holds its fingerprint against the node's. What is a budget's worth of work
// does not depend on the machine, so that what the node could do, can be done
// here; and a node that means harm cannot have more done.
func (b *builder) fingerprint(id int) error {
	s := &b.stacks[id]
	if s.node == "" {
		return nil
	}
	p, err := s.try()
	if err == nil {
		s.fingerprint, err = p.Fingerprint()
	}
	if err != nil {
		return fmt.Errorf("fingerprint of stack %d: %w: it is %s on the node, and here: %v", id, ErrDisagree, s.node, err)
	}
	// Those of different forms can be of the same policy.
	if s.fingerprint != s.node && s.fingerprint[0] == s.node[0] {
		return fmt.Errorf("fingerprint of stack %d: %w: it is %s on the node, %s here", id, ErrDisagree, s.node, s.fingerprint)
	}
	s.policy = p
	return nil
}

func (b *builder) compare(v *wire.Verdict) error {
	for _, ours := range b.stacks[v.Stack].surveys {
		if ours.ABI != v.Survey.ABI {
			continue
		}
		if !ours.Equal(v.Survey) {
			return fmt.Errorf("stack %d for %s: %w: %s", v.Stack, ours.ABI, ErrDisagree, difference(v.Survey, ours))
		}
		return nil
	}
	return fmt.Errorf("stack %d: verdict for %s, which is none of the node's ABIs: %w", v.Stack, v.Survey.ABI, wire.ErrInvalid)
}

// difference names the first number whose outcome differs.
func difference(node, client survey.Survey) string {
	for _, s := range []survey.Survey{node, client} {
		for _, run := range s.Runs {
			if n, c := node.Outcome(run.First), client.Outcome(run.First); n != c {
				return fmt.Sprintf("number %d is %s on the node, %s here", run.First, n, c)
			}
		}
	}
	return fmt.Sprintf("unassigned numbers are %s and beyond the last %s on the node, %s and %s here",
		node.Default, node.Beyond, client.Default, client.Beyond)
}
