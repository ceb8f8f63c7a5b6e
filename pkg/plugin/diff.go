package plugin

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
)

// diffOptions is what `diff` does.
type diffOptions struct {
	*common
	*operands
	Printer   printers.ResourcePrinter
	Selection selection
	// External, if not nil, shows the differences in place of Printer.
	External *externalDiff
}

func newDiffCommand(c *common, name string) *cobra.Command {
	flags, output := new(sourceFlags), newOutputFlags()
	var sel selection
	cmd := &cobra.Command{
		Use:                   "diff A B [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Show how what seccomp does to two containers differs",
		Long: `Show for which calls two seccomp policies act differently, and whether B is
tighter or looser than A.

A and B are each

` + operandHelp + `
The pods of a workload must be confined alike.

The answer is about all calls that there can be, not about those that were tried:
"identical", "tighter" and "looser" are proven. Each difference comes with a call
that shows it.

Whatever is selected to be shown, the verdict and the exit code are about all calls.

If $KUBECTL_EXTERNAL_DIFF names a program, as for kubectl diff, it shows the
differences in place of this command's own text: of two folders, each with one file
that has a line for each syscall of each ABI.

Exit code: 0 if they are identical, or with --reduce if they give the same access;
1 if not or if it cannot be told; 2 or more on an error. With --dry-run=client nothing
is compared: 0 then says that it was printed what would be created.`,
		Example: examples(name,
			`# Do the same pods on two nodes run under the same filters?`,
			`kubectl seccomp diff web-a web-b`,
			`# Is the sidecar as confined as the main container?`,
			`kubectl seccomp diff deploy/web:nginx deploy/web:sidecar`,
			`# What would change under another profile? How far is it from no filter at all?`,
			`kubectl seccomp diff web ./profile.json`,
			`kubectl seccomp diff Unconfined ./profile.json --runtime docker`,
			`# Only what is risky, and only whether it is executed`,
			`kubectl seccomp diff web ./profile.json --risky --reduce`,
			`# Has it changed since the dump was saved?`,
			`kubectl seccomp diff ./web-dump.json web`,
			`# Across namespaces, for a script`,
			`kubectl seccomp diff staging/deploy/web production/deploy/web -o jsonpath='{.relation}'`),
		Args: exactly(2, "two operands, A and B"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &diffOptions{common: c, Selection: sel}
			if err := o.Complete(flags, output, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	flags.add(cmd)
	sel.add(cmd)
	output.add(cmd, "wide", "markdown", "sarif")
	return cmd
}

// Complete turns flags and operands into what is to be done.
func (o *diffOptions) Complete(flags *sourceFlags, output *outputFlags, args []string) (err error) {
	if err := o.Selection.complete(); err != nil {
		return err
	}
	if o.Printer, err = output.printer(humanAndReports(printer.Human{Color: output.color})); err != nil {
		return err
	}
	if human, ok := o.Printer.(printer.Human); ok && !human.Wide {
		o.External = newExternalDiff(os.Getenv(externalDiffEnv))
	}
	o.operands, err = o.newOperands(flags, args...)
	return err
}

// Run reads both sources and prints how they differ.
func (o *diffOptions) Run(ctx context.Context) error {
	sources, err := o.read(ctx)
	if err != nil {
		return err
	}
	var sides [2]*source.Source
	for i, list := range sources {
		if sides[i], err = o.alike(list); err != nil {
			return err
		}
		for _, s := range list {
			o.warnOf(s)
		}
	}
	if id := sides[0].Dump.Source.ContainerID; id != "" && id == sides[1].Dump.Source.ContainerID {
		o.warn(fmt.Errorf("A and B are the same container: %s is compared with itself", sides[0].Name()))
	}
	d, err := compare(sides[0], sides[1], &o.Selection)
	if err != nil {
		return err
	}
	if err := o.print(d, sides); err != nil {
		return err
	}
	if d.Relation == v1alpha1.Identical || d.Relation == v1alpha1.SameAccess && o.Selection.Reduced {
		return nil
	}
	return errDifferent
}

// print shows the differences.
func (o *diffOptions) print(d *v1alpha1.Diff, sides [2]*source.Source) error {
	if o.External == nil {
		return o.Printer.PrintObj(d, o.Out)
	}
	var dumps [2]*v1alpha1.Dump
	for i, s := range sides {
		var err error
		if dumps[i], err = newDump(s, &o.Selection); err != nil {
			return err
		}
	}
	differ, err := o.External.show(dumps, d.ByName != nil, o.IOStreams)
	if err == nil && !differ && d.Relation != v1alpha1.Identical && !(d.Relation == v1alpha1.SameAccess && o.Selection.Reduced) {
		o.warn(fmt.Errorf("the difference is not in what %s was shown: without $%s it is said", o.External.program, externalDiffEnv))
	}
	return err
}

// alike returns the first of a workload's containers, if it stands for all: if all have
// the same policy. Their filters may differ, as runtimes compile one profile in another
// order each time. If not, the error says how many are like which, the most first.
func (o *operands) alike(pods []*source.Source) (*source.Source, error) {
	var groups [][]*source.Source
	byPolicy := make(map[string]int) // the index in groups
	policies := make(map[string]string)
	for _, s := range pods {
		filters := filtersOf(s)
		if policies[filters] == "" {
			policies[filters] = policyOf(s, filters)
		}
		i, ok := byPolicy[policies[filters]]
		if !ok {
			i = len(groups)
			groups = append(groups, nil)
			byPolicy[policies[filters]] = i
		}
		groups[i] = append(groups[i], s)
	}
	if len(groups) == 1 {
		return pods[0], nil
	}
	slices.SortStableFunc(groups, func(a, b []*source.Source) int { return len(b) - len(a) })
	var parts []string
	for i, g := range groups {
		if i == maxGroups && len(groups) > maxGroups+1 {
			parts = append(parts, fmt.Sprintf("and %d more", len(groups)-maxGroups))
			break
		}
		parts = append(parts, fmt.Sprintf("%d like %s", len(g), g[0].Name()))
	}
	return nil, fmt.Errorf("%s: its pods do not have the same filters: %s: name one of them; `kubectl seccomp diff %s %s%s` shows how these two differ",
		pods[0].Dump.Source.Operand, strings.Join(parts, ", "), groups[0][0].Name(), groups[1][0].Name(), o.cluster)
}

// maxGroups is how many groups of pods an error names.
const maxGroups = 4
