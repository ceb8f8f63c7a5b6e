package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// target is one container, or one process, of a run.
type target struct {
	*collector
	ref       string
	processes []proc.Process   // the init first, then by age
	container proc.ContainerID // that they are in, "" if in none
	single    bool             // it is the process, not the container
	origin    origin           // of the container

	threads  int                    // looked at
	failures int                    // threads that did not stop in time
	full     map[string]bool        // limits that were reached, by code: told once
	problems map[string]int         // how many there were, by code
	stacksOf map[int]bool           // that its threads have
	length   int                    // of the programs that were first met in it, in instructions
	states   []*wire.State          // in the order in which they were found: the subject's first
	byKey    map[stateKey]*stateful // the same

	aliveProcesses, aliveThreads, aliveCompat int

	reported bool // it has been written
}

type stateKey struct {
	confinement proc.Confinement
	stack       int
}

type stateful struct {
	*wire.State
	lastPID int // that was counted
}

func newTarget(c *collector, ref string, processes []proc.Process) *target {
	init := processes[proc.Init(processes)]
	slices.SortFunc(processes, func(a, b proc.Process) int {
		switch {
		case a.PID == init.PID:
			return -1
		case b.PID == init.PID:
			return 1
		case a.Start != b.Start:
			if a.Start < b.Start {
				return -1
			}
			return 1
		}
		return a.PID - b.PID
	})
	return &target{
		collector: c, ref: ref, processes: processes,
		full: make(map[string]bool), problems: make(map[string]int),
		byKey: make(map[stateKey]*stateful), stacksOf: make(map[int]bool),
	}
}

// what names in a sentence what the target stands and falls with.
func (t *target) what() string {
	if t.single {
		return "process"
	}
	return "container's init"
}

// read looks at processes of the target. Its error is the sink's.
func (t *target) read(ctx context.Context, processes []proc.Process) error {
	for _, p := range processes {
		if ctx.Err() != nil {
			return t.limit(unfinished(ctx, &wire.Problem{Op: "read the threads"}))
		}
		if t.threads >= t.req.MaxThreads {
			return t.limit(t.tooManyThreads())
		}
		if err := t.readProcess(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// readProcess looks at a process, anew where it changes meanwhile.
func (t *target) readProcess(ctx context.Context, p proc.Process) error {
	for attempt := 1; ; attempt++ {
		threads, more, err := t.fs.Threads(p, t.req.MaxThreads-t.threads)
		if errors.Is(err, proc.ErrGone) {
			if p == t.processes[0] {
				return t.problem(&wire.Problem{PID: p.PID, Code: wire.CodeExited, Op: "read the threads", Detail: "the " + t.what() + " ended meanwhile"})
			}
			return nil
		}
		if err != nil {
			return t.problem(&wire.Problem{PID: p.PID, Code: wire.CodeUnreadable, Op: "read the threads", Detail: err.Error()})
		}
		readings, problems, again := t.readThreads(ctx, threads)
		if again && attempt < maxAttempts && ctx.Err() == nil {
			continue
		}
		for _, p := range problems {
			write := t.problem
			if p.Code == wire.CodeTooManyStacks {
				write = t.limit
			}
			if err := write(p); err != nil {
				return err
			}
		}
		t.threads += len(threads)
		if err := t.count(p, threads, readings); err != nil {
			return err
		}
		if more {
			t.threads = t.req.MaxThreads
			return t.limit(t.tooManyThreads())
		}
		return nil
	}
}

// tooManyThreads is the problem of more threads than are looked at.
func (t *target) tooManyThreads() *wire.Problem {
	p := &wire.Problem{Code: wire.CodeTooManyThreads, Op: "read the threads", Detail: fmt.Sprintf("only the first %d were looked at", t.req.MaxThreads)}
	if !t.single {
		p.Remedy = "ask for others of its processes by their PID on the node"
	}
	return p
}
