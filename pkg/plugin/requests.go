package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// wanted is what an operand needs of a node: a place in its report.
type wanted struct {
	node      string           // "": this machine
	id        string           // in the report
	container target.Container // zero for a process and a reference
}

// where is how messages call the node.
func (w wanted) where() string {
	if w.node == "" {
		return "this machine"
	}
	return "node " + w.node
}

// requests are put together for all operands, one for each node.
type requests []probepod.Request

// on returns the request for a node.
func (r *requests) on(node string) *probepod.Request {
	for i := range *r {
		if (*r)[i].Node == node {
			return &(*r)[i]
		}
	}
	*r = append(*r, probepod.Request{Node: node})
	return &(*r)[len(*r)-1]
}

// reference asks for a reference container with capabilities, and returns its ID.
func (r *requests) reference(node string, capabilities *corev1.Capabilities) string {
	request := r.on(node)
	request.References = append(request.References, probepod.Reference{Capabilities: capabilities})
	return probepod.ReferenceID(len(request.References) - 1)
}

// readCluster reads what the operands name in the cluster.
func (o *operands) readCluster(ctx context.Context) ([][]*source.Source, error) {
	sources := make([][]*source.Source, len(o.list))
	if o.Resolver == nil {
		return sources, nil
	}
	var (
		all  requests
		want = make([][]wanted, len(o.list))
		err  error
	)
	for i, operand := range o.list {
		if operand.offline || operand.container.RuntimeDefault {
			continue
		}
		if want[i], err = o.locate(ctx, operand.container, &all); err != nil {
			return nil, err
		}
	}
	for i, operand := range o.list {
		if !operand.offline && operand.container.RuntimeDefault {
			if want[i], err = o.references(ctx, operand.container, slices.Concat(want...), &all); err != nil {
				return nil, err
			}
		}
	}
	reports, err := o.Prober.Probe(ctx, all)
	if err != nil {
		return nil, err
	}
	for i, operand := range o.list {
		for _, w := range want[i] {
			s, err := newSource(operand.container, w, reports[w.node])
			if err != nil {
				return nil, err
			}
			sources[i] = append(sources[i], s)
		}
	}
	return sources, nil
}

// locate finds the containers, or the process, that an operand names.
func (o *operands) locate(ctx context.Context, operand target.Operand, all *requests) (list []wanted, err error) {
	if operand.PID != 0 {
		if err := o.Resolver.CheckNode(ctx, operand.Node); err != nil {
			return nil, err
		}
		request := all.on(operand.Node)
		request.PIDs = append(request.PIDs, operand.PID)
		return []wanted{{node: operand.Node, id: probepod.ProcessID(operand.PID)}}, nil
	}
	containers, err := o.Resolver.Resolve(ctx, operand)
	if err != nil {
		if _, stat := os.Stat(operand.Text); stat == nil {
			err = fmt.Errorf("%w; for the file of that name write ./%s", err, operand.Text)
		}
		return nil, err
	}
	for _, c := range containers {
		request := all.on(c.Node)
		request.Containers = append(request.Containers, c)
		list = append(list, wanted{c.Node, c.ID, c})
	}
	return list, nil
}

// references asks for what RuntimeDefault is on a node, or on those of what it
// stands beside, for a container with the capabilities of the first of that.
func (o *operands) references(ctx context.Context, operand target.Operand, beside []wanted, all *requests) (list []wanted, err error) {
	var capabilities *corev1.Capabilities
	var nodes []string
	for i, w := range beside {
		if i == 0 {
			capabilities = referenceCapabilities(w.container.Declared)
		}
		if !slices.Contains(nodes, w.node) {
			nodes = append(nodes, w.node)
		}
	}
	if operand.Node != "" {
		nodes = []string{operand.Node}
		if err := o.Resolver.CheckNode(ctx, operand.Node); err != nil {
			return nil, err
		}
	}
	if len(nodes) == 0 {
		return nil, failure.New(errUsage, "operand "+operand.Text, "it does not say of which node's runtime", "write RuntimeDefault@NODE; see `kubectl"+o.cluster+" get nodes`")
	}
	for _, node := range nodes {
		list = append(list, wanted{node: node, id: all.reference(node, capabilities)})
	}
	return list, nil
}

var errUsage = errors.New("usage")

// referenceCapabilities are those that a reference needs to get the profile that a
// container got: runtimes go by the capabilities, and give a privileged container
// all.
func referenceCapabilities(d target.Declared) *corev1.Capabilities {
	if d.Privileged {
		return &corev1.Capabilities{Add: []corev1.Capability{"ALL"}}
	}
	return d.Capabilities
}

// reportOf returns what a report says of a target, or why it says nothing of use:
// what is known of other threads does not answer for the subject.
func reportOf(r *report.Report, w wanted, name string) (*report.Target, error) {
	fail := func(problems ...error) (*report.Target, error) {
		err := errors.New("the probe does not say why")
		if len(problems) > 0 {
			err = problems[0]
		}
		return nil, fmt.Errorf("read %s on %s: %w", name, w.where(), err)
	}
	if r == nil {
		return fail()
	}
	var general []error
	for i := range r.Problems {
		general = append(general, &r.Problems[i])
	}
	t := r.Targets[w.id]
	if t == nil {
		return fail(general...)
	}
	if s := t.Subject(); s != nil && readable(s) {
		return t, nil
	}
	var own []error
	for i := range t.Problems {
		own = append(own, &t.Problems[i])
	}
	return fail(append(own, general...)...)
}
