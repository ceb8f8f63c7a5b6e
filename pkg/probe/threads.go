package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// group is what threads of one process must have in common to be presumed to
// have the same filters.
type group struct {
	filters    int
	noNewPrivs bool
	tid        int // where nothing is to be presumed
}

// reading is what came of a thread.
type reading struct {
	*ptrace.Reading
	presumed bool // it is that of another thread of the group
}

// readThreads reads the filters of a process' threads. What has come of them is
// by TID. again is true if something could not be read because the process
// changed.
func (t *target) readThreads(ctx context.Context, threads []proc.Thread) (readings map[int]reading, problems []*wire.Problem, again bool) {
	readings = make(map[int]reading)
	if t.tracer == nil {
		return readings, nil, false
	}
	groups := make(map[group][]proc.Thread)
	var order []group
	for _, thread := range threads {
		if thread.Seccomp != int(wire.ModeFilter) || thread.Dead() {
			continue
		}
		g := group{filters: thread.Filters, noNewPrivs: thread.NoNewPrivs}
		if t.req.AllThreads || g.filters == proc.Unknown {
			g.tid = thread.TID
		}
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], thread)
	}
	var kept kept
	for _, g := range order {
		thread, r, failed := t.readOneOf(ctx, t.byPreference(groups[g]))
		if r == nil {
			problems = append(problems, failed...)
			again = again || slices.ContainsFunc(failed, transient)
			continue
		}
		problems = append(problems, failed...)
		if !kept.keep(r) {
			problems = append(problems, tooManyStacks("read the filters", len(kept.readings), kept.length))
			break
		}
		for _, member := range groups[g] {
			readings[member.TID] = reading{r, member.TID != thread.TID}
		}
	}
	return readings, problems, again
}

// readOneOf reads one of some threads, the first that can be. If none can it
// returns why not; otherwise the problems are of the reading.
func (t *target) readOneOf(ctx context.Context, threads []proc.Thread) (proc.Thread, *ptrace.Reading, []*wire.Problem) {
	var problems []*wire.Problem
	for _, thread := range threads[:min(len(threads), maxTries)] {
		p := &wire.Problem{PID: thread.PID, TID: thread.TID, Comm: thread.Comm, Op: "read the filters of"}
		switch {
		case ctx.Err() != nil:
			return thread, nil, append(problems, unfinished(ctx, p))
		case t.failures >= maxFailures:
			p.Code, p.Detail = wire.CodeTooManyStops, fmt.Sprintf("%d threads of the container did not stop, so no more are tried", t.failures)
			return thread, nil, append(problems, p)
		}
		wait := t.fs.Wait(thread)
		r, err := t.tracer.Read(ctx, thread)
		if err == nil {
			if wait == proc.RestartedByNumber && deniesRestart(r) {
				p.Code, p.Detail = wire.CodeRestartDenied, "its filters do not let restart_syscall through, with which the kernel continues what it waited in when it was stopped"
				p.Remedy = "allow restart_syscall: any signal that stops the process has the same effect"
				return thread, r, []*wire.Problem{p}
			}
			return thread, r, nil
		}
		if !errors.As(err, &p) {
			p.Code, p.Detail = wire.CodeInternal, err.Error()
			p = unfinished(ctx, p)
		}
		switch p.Code {
		case wire.CodeDoesNotStop, wire.CodeUninterrupted, wire.CodeFrozen, wire.CodeTooManyFilters:
			t.failures++
		}
		problems = append(problems, p)
	}
	return proc.Thread{}, nil, problems
}

// byPreference returns threads with those first that notice the least of being
// stopped. The main thread is the first of what it gets.
func (t *target) byPreference(threads []proc.Thread) []proc.Thread {
	if len(threads) == 1 {
		return threads
	}
	threads = slices.Clone(threads[:min(len(threads), maxCandidates)])
	type grade struct {
		traced bool
		wait   proc.Wait
	}
	grades := make(map[int]grade, len(threads))
	for _, thread := range threads {
		grades[thread.TID] = grade{thread.Tracer != 0, t.fs.Wait(thread)}
	}
	slices.SortStableFunc(threads, func(a, b proc.Thread) int {
		x, y := grades[a.TID], grades[b.TID]
		if x.traced != y.traced {
			if y.traced {
				return -1
			}
			return 1
		}
		return int(x.wait) - int(y.wait)
	})
	return threads
}

// deniesRestart tells whether filters keep restart_syscall(2) from being executed.
func deniesRestart(r *ptrace.Reading) bool {
	abi := native()
	nr, ok := abi.Number("restart_syscall")
	if !ok {
		return false
	}
	var stack bpf.Stack
	for _, raw := range r.Filters {
		f, err := bpf.Decode(raw, abi.ByteOrder())
		if err != nil {
			return false
		}
		stack = append(stack, f)
	}
	action := stack.Run(&bpf.Data{NR: nr, Arch: abi.AuditArch()}, abi.ByteOrder()).Ret.Action()
	return action != bpf.Allow && action != bpf.Log
}

// transient tells problems that come of a process that changes.
func transient(p *wire.Problem) bool {
	return p.Code == wire.CodeExited || p.Code == wire.CodeZombie || p.Code == wire.CodeChanged
}
