package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/doctor"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

func newDoctorCommand(c *common, name string) *cobra.Command {
	probe, output := new(probeFlags), newOutputFlags()
	cmd := &cobra.Command{
		Use:                   "doctor [NODE]... [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Check what the plugin needs of a cluster and its nodes",
		Long: `Check what the plugin needs: that you may do what its commands do in the cluster,
that probe pods are admitted, and on each node, with a probe as other commands run it,
that its image is there, that the kernel has what it takes, that nothing confines the
probe, and that the filter of a container can be read. The probe has a filter installed
for a process of its own, and reads it back.

Without an operand, all nodes are checked that are ready and run Linux. Whether targets
may be read is checked for the namespace, probes for that of --probe-namespace.

Exit code: 0 if nothing failed; 1 if something did; 2 or more if something could not
be checked, or on another error.`,
		Example: examples(name,
			`# Will it work here?`,
			`kubectl seccomp doctor`,
			`# Also for pods of another namespace, on one node`,
			`kubectl seccomp doctor worker-1 -n shop`,
			`# With a probe that is not privileged`,
			`kubectl seccomp doctor --least-privilege`,
			`# Only what is wrong, for a pipeline`,
			`kubectl seccomp doctor -o jsonpath='{range .checks[?(@.status=="failed")]}{.node}{"\t"}{.name}{"\t"}{.message}{"\n"}{end}'`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &doctorOptions{common: c}
			if err := o.Complete(probe, output, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	probe.add(cmd.Flags())
	output.add(cmd)
	return cmd
}

// doctorOptions is what `doctor` does.
type doctorOptions struct {
	*common
	Examination *doctor.Examination
	Printer     printers.ResourcePrinter
}

// Complete turns flags and operands into what is to be done.
func (o *doctorOptions) Complete(probe *probeFlags, output *outputFlags, args []string) (err error) {
	if err := probe.validate(); err != nil {
		return err
	}
	nodes, err := nodeNames(args)
	if err != nil {
		return err
	}
	if o.Printer, err = output.printer(map[string]printers.ResourcePrinter{"": printer.Human{Color: output.color}}); err != nil {
		return err
	}
	probe.keepGoing = true
	if o.Examination, err = o.examine(probe); err != nil {
		return err
	}
	o.Examination.Nodes = nodes
	return nil
}

// nodeNames are the nodes that operands name, each once.
func nodeNames(args []string) (nodes []string, err error) {
	seen := make(map[string]bool)
	for _, arg := range args {
		node := arg
		if strings.Contains(arg, "/") {
			node = nodeName(arg)
		}
		if !isName(node) {
			return nil, fmt.Errorf("operand %q: want the name of a node", arg)
		}
		if !seen[node] {
			nodes = append(nodes, node)
		}
		seen[node] = true
	}
	return nodes, nil
}

// examineCluster is for the cluster that the configuration says.
func (c *common) examineCluster(f *probeFlags) (*doctor.Examination, error) {
	config, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	namespace, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, err
	}
	client, err := doctor.NewClient(config)
	if err != nil {
		return nil, err
	}
	return &doctor.Examination{
		Client: client, Namespace: namespace, Options: f.options(kubectl(c.config)),
		Probe: func(ctx context.Context, requests []probepod.Request, answered func(string, time.Duration)) (map[string]*report.Report, error) {
			_, p, err := c.connect(f)
			if err != nil {
				return nil, err
			}
			if p, ok := p.(*prober); ok {
				p.options.Answered = answered
			}
			return p.Probe(ctx, requests)
		},
	}, nil
}

// Run makes the checks and prints them.
func (o *doctorOptions) Run(ctx context.Context) error {
	d, err := o.Examination.Run(ctx)
	if interrupted := new(probepod.Interrupted); errors.Is(err, errDryRun) || errors.As(err, &interrupted) {
		return err
	}
	if err := o.Printer.PrintObj(d, o.Out); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return doctorResult(d)
}

// doctorResult is what a diagnosis comes to: nil, errDifferent if something failed, or
// an error for what could not be checked.
func doctorResult(d *v1alpha1.Diagnosis) error {
	unknown := 0
	for _, c := range d.Checks {
		switch c.Status {
		case v1alpha1.CheckFailed:
			return errDifferent
		case v1alpha1.CheckUnknown:
			unknown++
		}
	}
	if unknown > 0 {
		return fmt.Errorf("doctor: %d of %d checks could not be made", unknown, len(d.Checks))
	}
	return nil
}
