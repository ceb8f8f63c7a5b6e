package plugin

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/verify"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// verifyOptions is what `verify` does.
type verifyOptions struct {
	*common
	Resolver  Resolver
	Prober    Prober
	Printer   printers.ResourcePrinter
	Selection target.Selection
	Strict    bool
}

func newVerifyCommand(c *common, name string) *cobra.Command {
	probe, pods, output := new(probeFlags), new(podFlags), newOutputFlags()
	var strict bool
	cmd := &cobra.Command{
		Use:                   "verify [POD | TYPE/NAME | NAMESPACE/TYPE/NAME]... [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Tell whether the declared profile is the one that is enforced",
		Long: `Hold three readings of each container's seccomp profile against each other, and
say where they part, and why:

  declared     what the pod's specification asks for: of RuntimeDefault what the
               node's runtime gives a container with the same capabilities, of
               Localhost the file as it lies on the node now;
  configured   what the OCI runtime was told, by the config.json of the container;
  enforced     what the kernel holds of the container's threads.

All containers of the pods are looked at, init and ephemeral ones too. Without an
operand, those of the namespace.

Filters that the application has added itself, names that the node's libseccomp does
not know, and what crun makes otherwise than runc are told, and are no failure,
unless they give a call more access. With --strict they are.

Exit code: 0 if both arrows hold for every container, 1 if one does not; 2 or more
if something could not be read, or on another error.`,
		Example: examples(name,
			`# Is what web declares what the kernel enforces?`,
			`kubectl seccomp verify web`,
			`# The pods of a namespace, of a workload, with a label`,
			`kubectl seccomp verify -n shop`,
			`kubectl seccomp verify deploy/web`,
			`kubectl seccomp verify -l app=web`,
			`# The whole cluster, for a pipeline`,
			`kubectl seccomp verify -A -o json`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &verifyOptions{common: c, Strict: strict}
			if err := o.Complete(probe, pods, output, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	probe.add(cmd.Flags())
	pods.add(cmd.Flags())
	cmd.Flags().BoolVar(&strict, "strict", false, "Have nothing hold but what is identical")
	output.add(cmd, "wide", "markdown", "sarif")
	return cmd
}

// Complete turns flags and operands into what is to be done.
func (o *verifyOptions) Complete(probe *probeFlags, pods *podFlags, output *outputFlags, args []string) (err error) {
	if err := probe.validate(); err != nil {
		return err
	}
	if o.Selection, err = pods.selection(*o.config.Namespace, args); err != nil {
		return err
	}
	if o.Printer, err = output.printer(humanAndReports(printer.Human{Color: output.color})); err != nil {
		return err
	}
	probe.keepGoing = true
	o.Resolver, o.Prober, err = o.connect(probe)
	return err
}

// Run reads the containers and prints what was found.
func (o *verifyOptions) Run(ctx context.Context) error {
	containers, away, err := o.Resolver.ResolveAll(ctx, o.Selection)
	if err != nil {
		return err
	}
	requests, references := verifyRequests(onReady(containers, away))
	reports, err := o.Prober.Probe(ctx, requests)
	containers, why, err := o.partial(containers, away, err)
	if err != nil {
		return err
	}
	v := verify.Verifier{Strict: o.Strict, Compare: func(a, b *source.Source) (*v1alpha1.Diff, error) {
		return compare(a, b, new(selection))
	}}
	out := &v1alpha1.Verification{TypeMeta: v1alpha1.TypeMeta("Verification"), Items: []v1alpha1.VerifiedContainer{}}
	for _, c := range containers {
		item, err := v.Verify(verifyInput(c, reports[c.Node], references[c.ID], why.unread(c)))
		if err != nil {
			return err
		}
		out.Items = append(out.Items, item)
	}
	out.Namespaces = countNamespaces(out.Items)
	for _, node := range target.Nodes(containers) {
		if r := reports[node]; r != nil {
			for i := range r.Problems {
				o.warn(fmt.Errorf("node %s: %w", node, &r.Problems[i]))
			}
		}
	}
	if err := o.Printer.PrintObj(out, o.Out); err != nil {
		return err
	}
	return verifyResult(out)
}

// verifyResult is what a verification comes to: nil, errDifferent, or an error for
// what could not be read.
func verifyResult(v *v1alpha1.Verification) error {
	unknown := 0
	for _, n := range v.Namespaces {
		if n.Broken > 0 {
			return errDifferent
		}
		unknown += n.Unknown
	}
	if unknown > 0 {
		return fmt.Errorf("verify: %d of %d containers were not verified, as not everything could be read", unknown, len(v.Items))
	}
	return nil
}

// verifyRequests asks for containers, and for a reference on each node for all of
// its containers that may be under RuntimeDefault and have the same capabilities.
// It returns the reference's ID for the ID of each container, "" for none.
func verifyRequests(containers []target.Container) (all requests, references map[string]string) {
	references = make(map[string]string)
	type kind struct{ node, capabilities string }
	known := make(map[kind]string)
	for _, c := range containers {
		request := all.on(c.Node)
		request.Configs = true
		request.Containers = append(request.Containers, c)
		id := ""
		if t := c.Declared.Type; t == corev1.SeccompProfileTypeRuntimeDefault || t == "" || c.Declared.Annotated() {
			wanted := referenceCapabilities(c.Declared)
			if c.Declared.Privileged {
				wanted = nil // its profile is left out: any reference shows what that is
			}
			k := kind{c.Node, describeCapabilities(wanted)}
			var ok bool
			if id, ok = known[k]; !ok && len(request.References) < probepod.MaxReferences {
				id = all.reference(c.Node, wanted)
				known[k] = id
			}
		}
		references[c.ID] = id
	}
	return all, references
}

// describeCapabilities is the same for capabilities that make the same set.
func describeCapabilities(c *corev1.Capabilities) string {
	if c == nil {
		return ""
	}
	add, drop := slices.Clone(c.Add), slices.Clone(c.Drop)
	slices.Sort(add)
	slices.Sort(drop)
	if len(add)+len(drop) == 0 {
		return ""
	}
	return fmt.Sprint(slices.Compact(add), slices.Compact(drop))
}

var errReferences = fmt.Errorf("its node has containers with more than %d different sets of capabilities, for each of which RuntimeDefault may be another: name fewer at once", probepod.MaxReferences)

// verifyInput is what is known of a container.
func verifyInput(c target.Container, r *report.Report, reference string, failed error) verify.Input {
	in := verify.Input{Declared: c.Declared, Source: containerSource(c), NoReference: errReferences}
	if r != nil {
		describeNode(&in.Source, r)
	}
	if r == nil || failed != nil {
		in.Failed = failed
		return in
	}
	in.Node, in.Problems = r.Node, r.Problems
	if t := r.Targets[c.ID]; t != nil {
		in.Target = t
		in.Source.PID = t.PID
	}
	if reference != "" {
		in.Reference = r.Targets[reference]
	}
	return in
}

// countNamespaces counts the containers of each namespace.
func countNamespaces(items []v1alpha1.VerifiedContainer) (list []v1alpha1.VerifiedNamespace) {
	for _, item := range items {
		i := slices.IndexFunc(list, func(n v1alpha1.VerifiedNamespace) bool { return n.Namespace == item.Source.Namespace })
		if i < 0 {
			i = len(list)
			list = append(list, v1alpha1.VerifiedNamespace{Namespace: item.Source.Namespace})
		}
		n := &list[i]
		n.Containers++
		switch item.Holds {
		case v1alpha1.HoldsYes:
			n.Holds++
		case v1alpha1.HoldsNo:
			n.Broken++
		default:
			n.Unknown++
		}
	}
	return list
}
