package probe

import (
	"context"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// find looks up the processes of all targets. A target without any is a Problem.
func (c *collector) find(ctx context.Context) ([]*target, error) {
	var ids []proc.ContainerID
	refs := make(map[proc.ContainerID]string)
	for _, ref := range c.req.Targets {
		id, err := proc.ParseContainerID(ref)
		if err != nil {
			if err := c.sink.Write(&wire.Problem{Target: ref, Code: wire.CodeInvalidTarget, Op: "find the container", Detail: err.Error()}); err != nil {
				return nil, err
			}
			continue
		}
		if _, twice := refs[id]; !twice {
			ids, refs[id] = append(ids, id), ref
		}
	}
	found, err := c.fs.Containers(ctx, ids)
	if err != nil {
		return nil, c.sink.Write(unfinished(ctx, &wire.Problem{Code: wire.CodeUnreadable, Op: "find the containers", Detail: err.Error()}))
	}
	var targets []*target
	for _, id := range ids {
		processes := found[id]
		if len(processes) == 0 {
			p := &wire.Problem{Target: refs[id], Code: wire.CodeNotFound, Op: "find the container",
				Detail: "no process on this node is in a cgroup of it", Remedy: "see whether it still runs, and whether the probe sees the node's processes (hostPID)"}
			if err := c.sink.Write(p); err != nil {
				return nil, err
			}
			continue
		}
		targets = append(targets, newTarget(c, refs[id], processes))
	}
	return targets, nil
}
