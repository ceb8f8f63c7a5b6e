package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

// dumpOptions is what `dump` does.
type dumpOptions struct {
	*common
	*operands
	Printer   printers.ResourcePrinter
	Selection selection
	// Pods, if not nil, are read in place of operands.
	Pods *target.Selection
	// List has the result be a list, also of one.
	List bool
}

func newDumpCommand(c *common, name string) *cobra.Command {
	flags, pods, output := new(sourceFlags), new(podFlags), newOutputFlags()
	var sel selection
	var all bool
	var filter int
	cmd := &cobra.Command{
		Use:                   "dump SOURCE... [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Show what seccomp does to a container",
		Long: `Show the seccomp filters of a running container, as the kernel holds them, and
what they do with every syscall of every ABI of its node.

SOURCE is

` + operandHelp + `
Of a workload, a container of each of its pods is shown; of pods that are selected by
--selector, --field-selector or --all-namespaces, all containers. Those that are
confined alike are shown as one, the most frequent first; -o json has each.`,
		Example: examples(name,
			`# What may the pod web do?`,
			`kubectl seccomp dump web`,
			`# Are the pods of a deployment, or those with a label, confined alike? Which is not?`,
			`kubectl seccomp dump deploy/web`,
			`kubectl seccomp dump -l app=web`,
			`# The filters themselves, oldest first, of a container of a deployment`,
			`kubectl seccomp dump deploy/web:nginx -o asm`,
			`# Every syscall, and every thread`,
			`kubectl seccomp dump web -o wide --all-threads`,
			`# What does it do with the risky calls of 32-bit programs?`,
			`kubectl seccomp dump web --risky --abi 386`,
			`# What will a profile do on an arm64 node with CRI-O and crun?`,
			`kubectl seccomp dump ./profile.json --arch arm64 --runtime cri-o --oci-runtime crun`,
			`# The policy as a profile: what is live, written down exactly`,
			`kubectl seccomp dump web -o profile`,
			`# Everything, the filters' bytes included`,
			`kubectl seccomp dump production/deploy/web -o json`),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 || pods.set() {
				return nil
			}
			return fmt.Errorf("%s takes operands, or a selector of pods; see `%s --help`", cmd.Name(), cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &dumpOptions{common: c, Selection: sel}
			if err := o.Complete(flags, pods, output, all, filter, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	flags.add(cmd)
	pods.add(cmd.Flags())
	sel.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "List every syscall: the same as -o wide")
	cmd.Flags().IntVar(&filter, "filter", 0, "Which filter -o raw writes, from 1, the oldest")
	output.add(cmd, "wide", "asm", "raw", "profile", "dot")
	return cmd
}

// Complete turns flags and operands into what is to be done.
func (o *dumpOptions) Complete(flags *sourceFlags, pods *podFlags, output *outputFlags, all bool, filter int, args []string) (err error) {
	if err := o.Selection.complete(); err != nil {
		return err
	}
	switch {
	case filter < 0:
		return fmt.Errorf("--filter %d: filters are counted from 1, the oldest", filter)
	case filter > 0 && output.format != "raw":
		return errors.New("--filter: it says which filter -o raw writes, and goes with nothing else")
	}
	human := printer.Human{Color: output.color, Threads: flags.probe.allThreads, Wide: all}
	wide := human
	wide.Wide = true
	if o.Printer, err = output.printer(map[string]printers.ResourcePrinter{
		"": human, "wide": wide, "asm": printer.Assembly{}, "raw": printer.Raw{Filter: filter},
		"profile": printer.Profile{OCIRuntime: ociRuntimes[flags.ociRuntime]}, "dot": printer.DOT{},
	}); err != nil {
		return err
	}
	o.List = len(args) != 1
	if pods.set() {
		return o.completePods(flags, pods, args)
	}
	o.operands, err = o.newOperands(flags, args...)
	return err
}

// Run reads the sources and prints what was read.
func (o *dumpOptions) Run(ctx context.Context) error {
	read := o.readOperands
	if o.Pods != nil {
		read = o.readPods
	}
	sources, unread, err := read(ctx)
	if err != nil {
		return err
	}
	list := &v1alpha1.DumpList{TypeMeta: v1alpha1.TypeMeta("DumpList")}
	for _, s := range sources {
		d, err := newDump(s, &o.Selection)
		if err != nil {
			return err
		}
		list.Items = append(list.Items, *d)
		for _, w := range s.Warnings {
			o.warn(w)
		}
	}
	var object runtime.Object = list
	if len(list.Items) == 1 && !o.List {
		object = &list.Items[0]
	}
	if err := o.Printer.PrintObj(object, o.Out); err != nil {
		return err
	}
	if unread > 0 {
		return fmt.Errorf("dump: %d of %d containers were not read", unread, unread+len(sources))
	}
	return nil
}
