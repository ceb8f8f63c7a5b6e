package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/sandbox"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Schemes of targets. That of a container is the name of its runtime, or
// schemeContainer where it was found by itself.
const (
	schemeContainer = "container"
	schemePID       = "pid"
	schemeReference = "reference"
)

// find looks up the processes of all targets. A target without any is a Problem.
func (c *collector) find(ctx context.Context) ([]*target, error) {
	f := finder{collector: c, containers: make(map[proc.ContainerID]bool), processes: make(map[int]bool)}
	// Whoever started this process is in the mount namespace of the node.
	if self, err := c.fs.Process(os.Getpid()); err == nil {
		f.home, _ = c.fs.Namespace(self.PPID, "mnt")
	}
	if err := f.asked(ctx); err != nil {
		return nil, err
	}
	if c.req.All && ctx.Err() == nil {
		if err := f.all(ctx); err != nil {
			return nil, err
		}
	}
	return f.targets, nil
}

// finder collects the targets of a run.
type finder struct {
	*collector
	targets    []*target
	containers map[proc.ContainerID]bool // that are targets
	processes  map[int]bool              // that are, by themselves
	home       string                    // mount namespace of the node, "" if not known
}

// asked looks up what was asked for, in that order.
func (f *finder) asked(ctx context.Context) error {
	type wanted struct {
		ref  string
		find func() (*target, *wire.Problem)
	}
	var list []wanted
	var ids []proc.ContainerID
	var found map[proc.ContainerID][]proc.Process
	for _, ref := range f.req.Targets {
		scheme, rest, _ := strings.Cut(ref, "://")
		switch scheme {
		case schemePID:
			list = append(list, wanted{ref, func() (*target, *wire.Problem) { return f.process(ref, rest) }})
		case schemeReference:
			list = append(list, wanted{ref, func() (*target, *wire.Problem) { return f.reference(ctx, ref, rest) }})
		default:
			id, err := proc.ParseContainerID(ref)
			if err == nil && f.containers[id] {
				continue
			}
			if err == nil {
				ids = append(ids, id)
				f.containers[id] = true
			}
			list = append(list, wanted{ref, func() (*target, *wire.Problem) {
				if err != nil {
					return nil, &wire.Problem{Code: wire.CodeInvalidTarget, Op: "find the container", Detail: err.Error()}
				}
				return f.container(ref, id, found[id])
			}})
		}
	}
	if len(ids) > 0 {
		var err error
		if found, err = f.fs.Containers(ctx, ids); err != nil {
			return f.sink.Write(unfinished(ctx, &wire.Problem{Code: wire.CodeUnreadable, Op: "find the containers", Detail: err.Error()}))
		}
	}
	for _, w := range list {
		t, p := w.find()
		if p != nil {
			p.Target = w.ref
			if err := f.sink.Write(p); err != nil {
				return err
			}
		}
		if t != nil {
			f.targets = append(f.targets, t)
		}
	}
	return nil
}

// container makes a target of a container's processes.
func (f *finder) container(ref string, id proc.ContainerID, processes []proc.Process) (*target, *wire.Problem) {
	const op = "find the container"
	if len(processes) == 0 {
		if s, ok := sandbox.Find(f.fs, id, f.home); ok {
			return nil, sandboxed(op, s)
		}
		return nil, &wire.Problem{Code: wire.CodeNotFound, Op: op,
			Detail: "no process on this node is in a cgroup of it", Remedy: "see whether it still runs, and whether the probe sees the node's processes (hostPID)"}
	}
	t := newTarget(f.collector, ref, processes)
	t.container = id
	t.origin = f.origins.of(id, t.processes[0])
	if s, ok := sandbox.Of(t.origin.managers, t.origin.config.Runtime); ok {
		return nil, sandboxed(op, s)
	}
	return t, nil
}

// sandboxed is the problem of a container that another kernel than the node's
// serves.
func sandboxed(op string, s sandbox.Sandbox) *wire.Problem {
	return &wire.Problem{Code: wire.CodeSandbox, Op: op, Detail: fmt.Sprintf("it runs in a sandbox with a kernel of its own (%v)", s),
		Remedy: "its filters, if any, are in that kernel and cannot be read from the node"}
}

// process makes a target of one process.
func (f *finder) process(ref, number string) (*target, *wire.Problem) {
	p := &wire.Problem{Op: "find the process"}
	pid, err := strconv.Atoi(number)
	if err != nil || pid <= 0 || strconv.Itoa(pid) != number {
		p.Code, p.Detail = wire.CodeInvalidTarget, fmt.Sprintf("%q is not a process: want %s:// and its PID on the node", ref, schemePID)
		return nil, p
	}
	if f.processes[pid] {
		return nil, nil
	}
	process, err := f.fs.Process(pid)
	switch {
	case errors.Is(err, proc.ErrGone):
		p.Code, p.Detail, p.Remedy = wire.CodeNotFound, "no process on this node has that PID", "see whether it still runs, and whether the probe sees the node's processes (hostPID)"
		return nil, p
	case errors.Is(err, proc.ErrNotProcess):
		p.Code, p.Detail, p.Remedy = wire.CodeInvalidTarget, err.Error(), "ask for that process, with --all-threads"
		return nil, p
	case err != nil:
		p.Code, p.Detail = wire.CodeUnreadable, err.Error()
		return nil, p
	}
	return f.single(ref, process), nil
}

// single makes a target of a process.
func (f *finder) single(ref string, process proc.Process) *target {
	f.processes[process.PID] = true
	t := newTarget(f.collector, ref, []proc.Process{process})
	t.single = true
	// Without an error, that is known; with one, the process is about to be gone.
	t.container, _ = f.fs.ContainerOf(process.PID)
	if t.container != "" {
		t.origin = f.origins.of(t.container, process)
	}
	return t
}

// all adds what was not asked for: the containers by ID, then the processes by
// PID.
func (f *finder) all(ctx context.Context) error {
	found, err := f.fs.Confined(ctx, f.req.MaxThreads)
	if err != nil {
		return f.sink.Write(unfinished(ctx, &wire.Problem{Code: wire.CodeUnreadable, Op: "find all processes", Detail: err.Error()}))
	}
	loose := found[""]
	delete(found, "")
	added, more := 0, 0
	room := func() bool {
		if added < maxFound {
			added++
			return true
		}
		more++
		return false
	}
	ids := make([]proc.ContainerID, 0, len(found))
	for id, processes := range found {
		// A reference container, or one whose only process was asked for.
		known := f.containers[id] || !slices.ContainsFunc(processes, func(p proc.Process) bool { return !f.processes[p.PID] })
		if !known {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if !room() {
			continue
		}
		ref := schemeContainer + "://" + string(id)
		t, p := f.container(ref, id, found[id])
		if p != nil {
			p.Target = ref
			if err := f.sink.Write(p); err != nil {
				return err
			}
			continue
		}
		f.targets = append(f.targets, t)
	}
	slices.SortFunc(loose, func(a, b proc.Process) int { return cmp.Compare(a.PID, b.PID) })
	for _, p := range loose {
		if p.PID != os.Getpid() && !f.processes[p.PID] && room() {
			f.targets = append(f.targets, f.single(schemePID+"://"+strconv.Itoa(p.PID), p))
		}
	}
	if more == 0 {
		return nil
	}
	return f.sink.Write(&wire.Problem{Code: wire.CodeTooManyTargets, Op: "find all processes",
		Detail: fmt.Sprintf("%d containers and processes with a seccomp mode are more than are looked at, %d", added+more, added)})
}
