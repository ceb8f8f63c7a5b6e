package plugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// failures are why some of many containers were not read.
type failures struct {
	nodes      map[string]error
	containers map[string]error // by ID
}

// unread is why a container was not, nil if it was.
func (f failures) unread(c target.Container) error {
	if err := f.containers[c.ID]; err != nil {
		return err
	}
	return f.nodes[c.Node]
}

// onReady returns the containers that are not on nodes that are away.
func onReady(containers []target.Container, away map[string]error) []target.Container {
	return slices.DeleteFunc(slices.Clone(containers), func(c target.Container) bool { return away[c.Node] != nil })
}

// partial takes apart the error of a run that goes on when a node fails: why some
// containers were not read, and those that are there to be told of. Such that have
// ended meanwhile are left out, with a warning, unless nothing is left then. Those
// that restarted are not: what came in their place was not looked at. away is why
// nodes were not asked.
func (c *common) partial(containers []target.Container, away map[string]error, err error) ([]target.Container, failures, error) {
	why := failures{nodes: maps.Clone(away), containers: make(map[string]error)}
	incomplete := (*probepod.Incomplete)(nil)
	if !errors.As(err, &incomplete) || error(incomplete) != err {
		return containers, why, err
	}
	if why.nodes == nil {
		why.nodes = make(map[string]error)
	}
	maps.Copy(why.nodes, incomplete.Failed)
	gone := func(c target.Container) bool { return errors.Is(incomplete.Changed[c.ID], target.ErrGone) }
	rest := slices.DeleteFunc(slices.Clone(containers), gone)
	if len(rest) == 0 {
		return nil, why, err
	}
	for _, container := range containers {
		switch err := incomplete.Changed[container.ID]; {
		case gone(container):
			c.warn(fmt.Errorf("left out: %w", err))
		case errors.Is(err, target.ErrRestarted):
			why.containers[container.ID] = err
		case err != nil:
			c.warn(err) // what was read of it is of it all the same
		}
	}
	return rest, why, nil
}

// meanwhile takes apart the error of a run that looks on for a while, and goes on when
// a node fails: why nodes failed. That containers ended or restarted is a warning: they
// were looked at until then. With followed, what comes in place of one that restarts
// is looked at, too, and there is none.
func (c *common) meanwhile(err error, followed bool) (failed map[string]error, _ error) {
	incomplete := (*probepod.Incomplete)(nil)
	if !errors.As(err, &incomplete) || error(incomplete) != err {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(incomplete.Changed)) {
		if !followed || !errors.Is(incomplete.Changed[id], target.ErrRestarted) {
			c.warn(incomplete.Changed[id])
		}
	}
	return incomplete.Failed, nil
}

// untold is why a report, nil if there is none, holds nothing of what a run has looked
// for in a container; why is what is known beside it.
func untold(c target.Container, r *report.Report, why error) error {
	switch {
	case r == nil && why != nil:
		return why
	case r != nil:
		problems := [][]wire.Problem{r.Problems}
		if t := r.Targets[c.ID]; t != nil {
			problems = append(problems, t.Problems)
		}
		for _, list := range problems {
			// The last is of the looking, which comes after all else.
			if n := len(list); n > 0 {
				return &list[n-1]
			}
		}
	}
	return errors.New("the probe does not say why not")
}
