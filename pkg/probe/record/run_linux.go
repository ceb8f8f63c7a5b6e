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
// containers have ended, and writes what was seen to the sink: Began first, and at
// the end Recorded for each container. What cannot be had is a Problem there; the
// error is the sink's.
func Run(ctx context.Context, req Request, sink Sink) error {
	targets, err := find(ctx, req.Targets, sink)
	if err != nil || len(targets) == 0 {
		return err
	}
	controllers, places := choose(targets)
	var processes []Process
	targets, err = placed(targets, places, &processes, sink)
	if err != nil || len(targets) == 0 {
		return err
	}
	r, err := Load(controllers)
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
	began := time.Now()
	if err := sink.Write(&wire.Began{BeganNS: began.UnixNano()}); err != nil {
		return err
	}
	if err := wait(ctx, req.Duration, targets, sink); err != nil {
		return err
	}
	counts, err := r.End()
	ended := time.Now()
	if err != nil {
		return sink.Write(problem("record calls", err))
	}
	for i, t := range targets {
		if !found[i] {
			continue
		}
		err := sink.Write(message(t.ref, began, ended, counts[i]))
		if errors.Is(err, wire.ErrTooLarge) {
			err = sink.Write(&wire.Problem{Target: t.ref, Code: wire.CodeOutputFull, Op: "write what was recorded",
				Detail: "the output is as long as a log can safely be", Remedy: "record fewer containers at once"})
		}
		if err != nil {
			return err
		}
	}
	return nil
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
// could make calls. Containers that end are told of.
func wait(ctx context.Context, duration time.Duration, targets []target, sink Sink) error {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	running := slices.Clone(targets)
	for len(running) > 0 {
		select {
		case <-ctx.Done():
			return nil
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
			if err := sink.Write(&wire.Problem{Target: t.ref, PID: t.init.PID, Code: wire.CodeExited, Op: "record calls",
				Detail: "the container ended while it was recorded", Remedy: "what it did until then was recorded; one that came in its place was not"}); err != nil {
				return err
			}
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
