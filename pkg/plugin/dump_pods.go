package plugin

import (
	"context"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

// completePods has pods be read that are selected.
func (o *dumpOptions) completePods(flags *sourceFlags, pods *podFlags, args []string) error {
	s, err := pods.selection(*o.config.Namespace, args)
	if err != nil {
		return err
	}
	if err := flags.validate(); err != nil {
		return err
	}
	if err := flags.unused(false); err != nil {
		return err
	}
	flags.probe.keepGoing = true
	o.Pods, o.operands = &s, &operands{flags: flags, cluster: clusterFlags(o.config)}
	o.Resolver, o.Prober, err = o.connect(&flags.probe)
	return err
}

// readOperands reads what the operands name, each container once. All of it is
// read, or else there is an error.
func (o *dumpOptions) readOperands(ctx context.Context) (list []*source.Source, unread int, err error) {
	sources, err := o.read(ctx)
	if err != nil {
		return nil, 0, err
	}
	known := make(map[string]bool)
	for _, of := range sources {
		for _, s := range of {
			id := s.Dump.Source.ContainerID
			if id == "" || !known[id] {
				list = append(list, s)
			}
			known[id] = true
		}
	}
	return list, 0, nil
}

// readPods reads all containers of the pods that are selected. Of those that were
// not read it warns, and counts them; that none was is an error.
func (o *dumpOptions) readPods(ctx context.Context) (list []*source.Source, unread int, err error) {
	containers, away, err := o.Resolver.ResolveAll(ctx, *o.Pods)
	if err != nil {
		return nil, 0, err
	}
	var all requests
	for _, c := range onReady(containers, away) {
		request := all.on(c.Node)
		request.Containers = append(request.Containers, c)
	}
	reports, err := o.Prober.Probe(ctx, all)
	rest, why, err := o.partial(containers, away, err)
	if err != nil {
		return nil, 0, err
	}
	var failed []error
	for _, c := range rest {
		err := why.unread(c)
		if err == nil {
			var s *source.Source
			if s, err = newSource(target.Operand{Text: c.String()}, wanted{c.Node, c.ID, c}, reports[c.Node]); err == nil {
				list = append(list, s)
				continue
			}
		}
		failed = append(failed, err)
	}
	if len(list) == 0 {
		return nil, 0, failed[0]
	}
	for _, err := range failed {
		o.warn(fmt.Errorf("left out: %w", err))
	}
	return list, len(failed), nil
}
