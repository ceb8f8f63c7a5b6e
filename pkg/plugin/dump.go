package plugin

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
)

// dumpOptions is what `dump` does.
type dumpOptions struct {
	*common
	Resolver Resolver
	Prober   Prober
	Printer  printers.ResourcePrinter
	Operand  string
}

func newDumpCommand(c *common, name string) *cobra.Command {
	probe, output := new(probeFlags), newOutputFlags()
	cmd := &cobra.Command{
		Use:                   "dump POD|TYPE/NAME|NAMESPACE/TYPE/NAME[:CONTAINER] [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Show what seccomp does to a container",
		Long: `Show the seccomp filters of a running container, as the kernel holds them, and
what they do with every syscall of every ABI of its node.

Without a container's name it is the one that "kubectl logs" chooses. Of a
workload, a container of each of its pods is shown.`,
		Example: examples(name,
			`# What may the pod web do?`,
			`kubectl seccomp dump web`,
			`# The filters themselves, oldest first, of a container of a deployment`,
			`kubectl seccomp dump deploy/web:nginx -o asm`,
			`# Every syscall, and every thread`,
			`kubectl seccomp dump web -o wide --all-threads`,
			`# Everything, the filters' bytes included`,
			`kubectl seccomp dump kube-system/ds/kube-proxy -o json`),
		Args: operands(1, "one operand"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &dumpOptions{common: c}
			if err := o.Complete(probe, output, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	probe.add(cmd.Flags())
	output.add(cmd, "wide", "asm")
	return cmd
}

// Complete turns flags and operands into what is to be done.
func (o *dumpOptions) Complete(probe *probeFlags, output *outputFlags, args []string) (err error) {
	o.Operand = args[0]
	human := printer.Human{Color: output.color, Threads: probe.allThreads}
	wide := human
	wide.Wide = true
	if o.Printer, err = output.printer(map[string]printers.ResourcePrinter{"": human, "wide": wide, "asm": printer.Assembly{}}); err != nil {
		return err
	}
	if err := probe.validate(); err != nil {
		return err
	}
	o.Resolver, o.Prober, err = o.connect(probe)
	return err
}

// Run reads the containers and prints what was read.
func (o *dumpOptions) Run(ctx context.Context) error {
	sources, err := read(ctx, o.Resolver, o.Prober, []string{o.Operand})
	if err != nil {
		return err
	}
	list := &v1alpha1.DumpList{TypeMeta: v1alpha1.TypeMeta("DumpList")}
	for _, s := range sources[0] {
		d, err := newDump(s)
		if err != nil {
			return err
		}
		list.Items = append(list.Items, *d)
		for _, w := range s.problems() {
			o.warn(w)
		}
	}
	var object runtime.Object = list
	if len(list.Items) == 1 {
		object = &list.Items[0]
	}
	return o.Printer.PrintObj(object, o.Out)
}
