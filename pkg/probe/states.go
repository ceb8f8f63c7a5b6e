package probe

import (
	"errors"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// count adds a process' threads to the target's states.
func (t *target) count(p proc.Process, threads []proc.Thread, readings map[int]reading) error {
	counted := false
	stacks := make(map[*ptrace.Reading]int)
	for _, thread := range threads {
		if thread.Dead() {
			continue
		}
		if !counted {
			counted = true
			t.aliveProcesses++
			if p.Low && native().Bits() == 64 {
				t.aliveCompat++
			}
		}
		t.aliveThreads++
		r, ok := readings[thread.TID]
		if !ok {
			t.add(thread, wire.NoStack, r)
			continue
		}
		stack, ok := stacks[r.Reading]
		if !ok {
			var err error
			if stack, err = t.stack(r.Reading); err != nil {
				return err
			}
			stacks[r.Reading] = stack
		}
		t.add(thread, stack, r)
	}
	return nil
}

// stack returns the ID of a stack that was read, NoStack if a limit does not let
// it be written.
func (t *target) stack(r *ptrace.Reading) (int, error) {
	if _, known := t.stacks[keyOf(r)]; !known && (len(t.stacksOf) >= maxStacks || t.length >= maxInstructions) {
		return wire.NoStack, t.limit(tooManyStacks("write the filters", len(t.stacksOf), t.length))
	}
	before := t.collector.length
	id, err := t.intern(r)
	t.length += t.collector.length - before
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return wire.NoStack, t.limit(&wire.Problem{Code: wire.CodeOutputFull, Op: "write the filters", Detail: "the output is as long as a log can safely be"})
	case err != nil:
		return wire.NoStack, err
	}
	t.stacksOf[id] = true
	return id, nil
}

// add adds one thread to the target's states.
func (t *target) add(thread proc.Thread, stack int, r reading) {
	key := stateKey{thread.Confinement, stack}
	s := t.byKey[key]
	if s == nil {
		s = &stateful{State: &wire.State{
			Target: t.ref, Mode: wire.Mode(thread.Seccomp), FilterCount: max(thread.Filters, 0), Stack: stack, NoNewPrivs: thread.NoNewPrivs,
			Capabilities: wire.Capabilities{
				Inheritable: wire.Caps(thread.Inheritable), Permitted: wire.Caps(thread.Permitted), Effective: wire.Caps(thread.Effective),
				Bounding: wire.Caps(thread.Bounding), Ambient: wire.Caps(thread.Ambient),
			},
		}}
		if stack != wire.NoStack {
			s.FilterCount = len(t.stackOf[stack])
		}
		t.byKey[key] = s
		t.states = append(t.states, s.State)
	}
	s.Threads++
	if s.lastPID != thread.PID {
		s.lastPID = thread.PID
		s.Processes++
	}
	if thread.TID == t.processes[0].PID {
		s.Subject = true
	}
	ref := wire.ThreadRef{PID: thread.PID, TID: thread.TID, NSPID: thread.NSPID, Comm: thread.Comm}
	list := &s.Sample
	switch {
	case stack != wire.NoStack && r.presumed:
		s.Presumed++
	case stack != wire.NoStack:
		ref.StoppedNS = r.Stopped.Nanoseconds()
		list = &s.Read
	}
	if len(*list) < wire.MaxSample {
		*list = append(*list, ref)
	}
}

// message describes the target.
func (t *target) message() *wire.Target {
	init := t.processes[0]
	m := &wire.Target{
		ID: t.ref, PID: init.PID, Comm: init.Comm, StartedNS: startedNS(init.Start),
		Processes: t.aliveProcesses, Threads: t.aliveThreads, Compat: t.aliveCompat,
	}
	if t.single {
		m.Container = string(t.container)
	}
	return m
}

// report writes the target and its states.
func (t *target) report() error {
	if t.aliveProcesses == 0 {
		if len(t.problems) > 0 {
			return t.rest()
		}
		return t.problem(&wire.Problem{Code: wire.CodeExited, Op: "read the threads", Detail: "the " + t.what() + " ended meanwhile"})
	}
	messages := []wire.Message{t.message()}
	for _, s := range t.states {
		messages = append(messages, s)
	}
	for i, m := range messages {
		written, err := t.write(m, "write the states")
		if err != nil {
			return err
		}
		if !written {
			break
		}
		t.reported = t.reported || i == 0
	}
	return t.rest()
}
