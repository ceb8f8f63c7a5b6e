package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Run records for as long as is asked for, or until the context ends or all of the
// containers have ended and no others are to be recorded, and writes what was seen to
// the sink: Began first, checkpoints meanwhile, and at the end Recorded for each
// container. What cannot be had is a Problem there; the error is the sink's.
func Run(ctx context.Context, req Request, sink Sink) error {
	targets, err := find(ctx, req.Targets, sink)
	if err != nil || len(targets) == 0 && !req.New {
		return err
	}
	controllers, places := choose(targets)
	var processes []Process
	targets, err = placed(targets, places, &processes, sink)
	if err != nil || len(targets) == 0 && !req.New {
		return err
	}
	options := Options{Controllers: controllers, Containers: len(processes)}
	if len(targets) == 0 {
		all, err := proc.Host.Hierarchies()
		if err != nil {
			return sink.Write(problem("record calls", err))
		}
		options.Controllers = usualHierarchy(all)
	}
	if req.New {
		options.New = min(maxNew, maxSlots-1-len(processes))
	}
	r, err := Load(options)
	if err != nil {
		return sink.Write(problem("record calls", err))
	}
	defer r.Close()
	found, err := r.Add(processes)
	if err != nil {
		return sink.Write(problem("record calls", err))
	}
	for i, ok := range found {
		if ok && unchanged(targets[i].init) {
			continue
		}
		if err := sink.Write(&wire.Problem{Target: targets[i].ref, PID: targets[i].init.PID, Code: wire.CodeExited,
			Op: "record calls", Detail: "the container's init ended before the recording began"}); err != nil {
			return err
		}
	}
	if err := r.Begin(); err != nil {
		return sink.Write(problem("record calls", err))
	}
	run := &run{recorder: r, sink: sink, targets: targets, found: found, began: time.Now(), stay: req.New}
	run.until = run.began.Add(req.Duration)
	if err := sink.Write(&wire.Began{BeganNS: run.began.UnixNano()}); err != nil {
		return err
	}
	if err := run.wait(ctx); err != nil {
		return err
	}
	result, err := r.End()
	if err != nil {
		return sink.Write(problem("record calls", err))
	}
	return run.report(result)
}

// run is one recording.
type run struct {
	recorder *Recorder
	sink     Sink
	targets  []target
	found    []bool // by target: whether its cgroup was
	began    time.Time
	until    time.Time // at the latest
	stay     bool      // also when no target is left
}

// recorded are the messages of a result.
func (r *run) recorded(result *Result) (list []*wire.Recorded) {
	ended := time.Now()
	for i, t := range r.targets {
		if r.found[i] {
			list = append(list, message(t.ref, r.began, ended, result.Counts[i]))
		}
	}
	seen := make(map[proc.ContainerID]bool)
	for _, n := range result.New {
		// What runtimes name like a container and is none, or was never used.
		id := proc.ContainerOfCgroup(n.Cgroup)
		if id == "" || len(n.Calls) == 0 || seen[id] {
			continue
		}
		seen[id] = true
		m := message("container://"+string(id), r.began.Add(n.After), ended, n.Counts)
		m.Start = true
		list = append(list, m)
	}
	return list
}

// report writes what was recorded.
func (r *run) report(result *Result) error {
	for _, m := range r.recorded(result) {
		err := r.sink.Write(m)
		if errors.Is(err, wire.ErrTooLarge) {
			err = r.sink.Write(&wire.Problem{Target: m.Target, Code: wire.CodeOutputFull, Op: "write what was recorded",
				Detail: "the output is as long as a log can safely be", Remedy: "record fewer containers at once"})
		}
		if err != nil {
			return err
		}
	}
	if result.LeftOut == 0 {
		return nil
	}
	return r.sink.Write(&wire.Problem{Code: wire.CodeTooManyTargets, Op: "record calls",
		Detail: fmt.Sprintf("%d containers came to the node for which there was no room", result.LeftOut), Remedy: "record for a shorter time"})
}

// find looks up the targets that run. Of those that do not, whoever reads their
// filters tells why.
func find(ctx context.Context, refs []string, sink Sink) (list []target, err error) {
	var ids []proc.ContainerID
	for _, ref := range refs {
		id, err := proc.ParseContainerID(ref)
		if err != nil {
			return nil, sink.Write(&wire.Problem{Target: ref, Code: wire.CodeInvalidTarget, Op: "record calls", Detail: err.Error()})
		}
		ids = append(ids, id)
	}
	found, err := proc.Host.Containers(ctx, ids)
	if ctx.Err() != nil {
		return nil, sink.Write(&wire.Problem{Code: wire.CodeInterrupted, Op: "record calls", Detail: "the probe was told to end before it began"})
	}
	if err != nil {
		return nil, sink.Write(&wire.Problem{Code: wire.CodeUnreadable, Op: "record calls", Detail: err.Error()})
	}
	for i, id := range ids {
		if len(found[id]) == 0 {
			continue
		}
		init := found[id][proc.Init(found[id])]
		places, err := proc.Host.Places(init.PID, id)
		if errors.Is(err, proc.ErrGone) {
			continue
		}
		if err != nil {
			return nil, sink.Write(&wire.Problem{Target: refs[i], PID: init.PID, Code: wire.CodeUnreadable, Op: "record calls", Detail: err.Error()})
		}
		list = append(list, target{refs[i], init, places})
	}
	return list, nil
}

// placed returns the targets that have a place, and those as processes.
func placed(targets []target, places []*proc.Place, processes *[]Process, sink Sink) (list []target, err error) {
	for i, t := range targets {
		if places[i] == nil {
			if err := sink.Write(&wire.Problem{Target: t.ref, PID: t.init.PID, Code: wire.CodeUnsupported, Op: "record calls",
				Detail: "its cgroup is in none of the hierarchies pids, memory, cpu or that of version 2"}); err != nil {
				return nil, err
			}
			continue
		}
		list = append(list, t)
		*processes = append(*processes, Process{t.init.PID, places[i].Up})
	}
	if len(list) >= maxSlots {
		return nil, sink.Write(&wire.Problem{Code: wire.CodeTooManyTargets, Op: "record calls",
			Detail: fmt.Sprintf("%d containers of one node are more than %d", len(list), maxSlots-1)})
	}
	return list, nil
}

// unchanged reports whether a process is still there.
func unchanged(p proc.Process) bool {
	now, err := proc.Host.Process(p.PID)
	return err == nil && now.Start == p.Start
}

// wait waits until the time is up, or the context ends, or nothing is left that
// could make calls. Containers that end are told of, and checkpoints written.
func (r *run) wait(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, r.until)
	defer cancel()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	var budget checkpoints
	checkpoint := time.NewTimer(budget.next(r.until))
	defer checkpoint.Stop()
	running := slices.Clone(r.targets)
	for len(running) > 0 || r.stay {
		select {
		case <-ctx.Done():
			return nil
		case <-checkpoint.C:
			if err := r.checkpoint(&budget); err != nil {
				return err
			}
			checkpoint.Reset(budget.next(r.until))
		case <-look.C:
		}
		var ended []target
		running = slices.DeleteFunc(running, func(t target) bool {
			if unchanged(t.init) {
				return false
			}
			ended = append(ended, t)
			return true
		})
		for _, t := range ended {
			p := &wire.Problem{Target: t.ref, PID: t.init.PID, Code: wire.CodeExited, Op: "record calls",
				Detail: "the container ended while it was recorded", Remedy: "what it did until then was recorded; one that came in its place was not"}
			if r.stay {
				p.Remedy = "what it did until then was recorded; one that came in its place is recorded by itself"
			}
			if err := r.sink.Write(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkpoint writes what has been recorded so far, if there is room for it.
func (r *run) checkpoint(budget *checkpoints) error {
	result, err := r.recorder.Read()
	if err != nil {
		return r.sink.Write(problem("write a checkpoint", err))
	}
	list := r.recorded(result)
	if !budget.spend(list) {
		return nil
	}
	for _, m := range list {
		m.Checkpoint = true
		if err := r.sink.Write(m); err != nil && !errors.Is(err, wire.ErrTooLarge) {
			return err
		}
	}
	return nil
}

// problem tells why nothing was recorded, and what does work there.
func problem(op string, err error) *wire.Problem {
	p := &wire.Problem{Code: wire.CodeInternal, Op: op, Detail: err.Error()}
	const works = "all commands but this one work on such a node"
	switch {
	case errors.Is(err, ErrNoBTF):
		p.Code, p.Remedy = wire.CodeUnsupported, works+"; strace -f -c -p of its processes counts calls there"
	case errors.Is(err, ErrUnsupported):
		p.Code, p.Remedy = wire.CodeUnsupported, "recording needs Linux 5.12 or later on amd64 or arm64; "+works
	case errors.Is(err, ErrRefused):
		p.Code, p.Remedy = wire.CodePermission, "see whether the kernel is locked down (/sys/kernel/security/lockdown), and run this without --least-privilege; "+works
	}
	return p
}
