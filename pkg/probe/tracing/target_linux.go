package tracing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Sink takes messages: a *wire.Writer.
type Sink interface {
	Write(wire.Message) error
}

// Target is a container that runs.
type Target struct {
	Ref     string       // its ID, as it was asked for
	Init    proc.Process // by which it is found
	Process              // the same
}

// Ended reports whether a container's init has.
func (t Target) Ended() bool {
	now, err := proc.Host.Process(t.Init.PID)
	return err != nil || now.Start != t.Init.Start
}

// Find looks up the containers that run, and in which hierarchy of cgroups they are
// (see Fit). What stands in the way of op is a Problem in the sink; of those that do
// not run, whoever reads their filters tells why. The error is the sink's.
func Find(ctx context.Context, op string, refs []string, sink Sink) (targets []Target, controllers string, err error) {
	var ids []proc.ContainerID
	for _, ref := range refs {
		id, err := proc.ParseContainerID(ref)
		if err != nil {
			return nil, "", sink.Write(&wire.Problem{Target: ref, Code: wire.CodeInvalidTarget, Op: op, Detail: err.Error()})
		}
		ids = append(ids, id)
	}
	found, err := proc.Host.Containers(ctx, ids)
	if ctx.Err() != nil {
		return nil, "", sink.Write(&wire.Problem{Code: wire.CodeInterrupted, Op: op, Detail: "the probe was told to end before it began"})
	}
	if err != nil {
		return nil, "", sink.Write(&wire.Problem{Code: wire.CodeUnreadable, Op: op, Detail: err.Error()})
	}
	var places [][]proc.Place
	for i, id := range ids {
		if len(found[id]) == 0 {
			continue
		}
		init := found[id][proc.Init(found[id])]
		at, err := proc.Host.Places(init.PID, id)
		if errors.Is(err, proc.ErrGone) {
			continue
		}
		if err != nil {
			return nil, "", sink.Write(&wire.Problem{Target: refs[i], PID: init.PID, Code: wire.CodeUnreadable, Op: op, Detail: err.Error()})
		}
		targets = append(targets, Target{Ref: refs[i], Init: init})
		places = append(places, at)
	}
	controllers = choose(places)
	var list []Target
	for i, t := range targets {
		at := find(places[i], controllers)
		if at == nil {
			if err := sink.Write(&wire.Problem{Target: t.Ref, PID: t.Init.PID, Code: wire.CodeUnsupported, Op: op,
				Detail: "its cgroup is in none of the hierarchies pids, memory, cpu or that of version 2"}); err != nil {
				return nil, "", err
			}
			continue
		}
		t.Process = Process{t.Init.PID, at.Up}
		list = append(list, t)
	}
	if len(list) > MaxContainers {
		return nil, "", sink.Write(&wire.Problem{Code: wire.CodeTooManyTargets, Op: op,
			Detail: fmt.Sprintf("%d containers of one node are more than %d", len(list), MaxContainers)})
	}
	return list, controllers, nil
}

// choose returns the hierarchy that most containers are in by their own name: a
// node's runtime puts all of them into the same ones. Of version 1, it is one that
// kubelet has a cgroup in for every container.
func choose(places [][]proc.Place) (controllers string) {
	count := make(map[string]int)
	for _, list := range places {
		for _, p := range list {
			if p.Controllers != "" && !named(p.Controllers) {
				continue
			}
			count[p.Controllers]++
			if n, most := count[p.Controllers], count[controllers]; n > most || n == most && p.Controllers < controllers {
				controllers = p.Controllers
			}
		}
	}
	return controllers
}

func find(places []proc.Place, controllers string) *proc.Place {
	for i := range places {
		if places[i].Controllers == controllers && (controllers == "" || named(controllers)) {
			return &places[i]
		}
	}
	return nil
}

// named reports whether a hierarchy is one of the controllers that containers are
// looked for in.
func named(controllers string) bool {
	for c := range strings.SplitSeq(controllers, ",") {
		if c == "pids" || c == "memory" || c == "cpu" {
			return true
		}
	}
	return false
}

// Problem tells why op could not be done on a node, and what does work there.
// needs is what it takes.
func Problem(op, needs string, err error) *wire.Problem {
	p := &wire.Problem{Code: wire.CodeInternal, Op: op, Detail: err.Error()}
	const works = "the commands that only read filters work on such a node"
	switch {
	case errors.Is(err, ErrNoBTF), errors.Is(err, ErrUnsupported):
		p.Code, p.Remedy = wire.CodeUnsupported, needs+"; "+works
	case errors.Is(err, ErrRefused):
		p.Code, p.Remedy = wire.CodePermission, "see whether the kernel is locked down (/sys/kernel/security/lockdown), and run this without --least-privilege; "+works
	}
	return p
}
