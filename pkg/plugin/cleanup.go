package plugin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// cleanupFlags are those of `cleanup`.
type cleanupFlags struct {
	namespace     string
	allNamespaces bool
	all           bool
	kept          bool
	dryRun        string
	flags         *pflag.FlagSet
}

func newCleanupCommand(c *common, name string) *cobra.Command {
	var f cleanupFlags
	output := newOutputFlags()
	cmd := &cobra.Command{
		Use:                   "cleanup [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Delete probe pods that killed runs have left",
		Long: `Delete the probe pods of runs that were killed before they could do so, and the
namespaces that --create-namespace has made, unless --probe-namespace says where to
look.

There is seldom need: every run deletes its own pods, and those of earlier runs in
the same namespace that are past their deadline, and such namespaces. This does not
wait for that. What --keep-probe has kept is left alone, and named, and so is what
runs need that may be under way. --kept deletes the former too, and --all both, which
fails the runs that are. Pods and namespaces that have the labels of ours, and are
not, are never deleted, nor is a namespace with objects in it that no run has made.

Exit code: 0, also if there is nothing to delete; 2 if something could not be deleted,
or on another error.`,
		Example: examples(name,
			`# What is left, of anybody's runs?`,
			`kubectl seccomp cleanup --dry-run=client`,
			`# Delete it`,
			`kubectl seccomp cleanup`,
			`# In whatever namespaces runs had their pods`,
			`kubectl seccomp cleanup -A`),
		Args: exactly(0, "no operands"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options(*c.config.Namespace)
			if err != nil {
				return err
			}
			p, err := output.printer(map[string]printers.ResourcePrinter{"": printer.Human{Color: output.color}})
			if err != nil {
				return err
			}
			return c.runCleanup(cmd.Context(), o, p)
		},
	}
	flags := cmd.Flags()
	f.flags = flags
	flags.StringVar(&f.namespace, "probe-namespace", probepod.DefaultNamespace, "Namespace of the probe's pods")
	flags.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "Probe pods of all namespaces")
	flags.BoolVar(&f.all, "all", false, "Also those of runs that may be under way, and those that were kept")
	flags.BoolVar(&f.kept, "kept", false, "Also those that --keep-probe has kept")
	flags.StringVar(&f.dryRun, "dry-run", "none", "Only say what would be deleted: none, client")
	output.add(cmd)
	return cmd
}

// options are what the flags say; namespace is that of --namespace.
func (f *cleanupFlags) options(namespace string) (probepod.CleanupOptions, error) {
	o := probepod.CleanupOptions{Namespace: f.namespace, Created: !f.flags.Changed("probe-namespace"), All: f.all, Kept: f.kept, DryRun: f.dryRun == "client"}
	switch {
	case namespace != "":
		return o, errors.New("--namespace: that is where targets are; name the namespace of the probe's pods by --probe-namespace")
	case f.namespace == "":
		return o, errors.New("--probe-namespace: want the name of a namespace")
	case !isLabel(f.namespace):
		return o, fmt.Errorf("--probe-namespace %q: that cannot be the name of a namespace", f.namespace)
	case f.allNamespaces && f.flags.Changed("probe-namespace"):
		return o, errors.New("--all-namespaces looks in all namespaces: leave out --probe-namespace, or this flag")
	case f.dryRun != "none" && f.dryRun != "client":
		return o, fmt.Errorf("--dry-run %q: want none or client", f.dryRun)
	}
	if f.allNamespaces {
		o.Namespace, o.Created = "", true
	}
	return o, nil
}

// runCleanup deletes, and prints what: on stdout what is deleted, on stderr what is
// not, and why.
func (c *common) runCleanup(ctx context.Context, o probepod.CleanupOptions, p printers.ResourcePrinter) error {
	list, err := c.cleanup(ctx, o)
	unseen := errors.As(err, new(*probepod.Unseen))
	switch {
	case unseen:
		c.warn(err)
	case err != nil && len(list) == 0:
		return err
	}
	out := &v1alpha1.Cleanup{TypeMeta: v1alpha1.TypeMeta("Cleanup"), DryRun: o.DryRun, Items: []v1alpha1.Leftover{}}
	var failed []error
	if err != nil && !unseen {
		failed = append(failed, err)
	}
	found := false
	for _, l := range list {
		item := v1alpha1.Leftover{Kind: l.Kind, Namespace: terminal.Escape(l.Namespace), Name: terminal.Escape(l.Name), Left: terminal.Line(l.Left)}
		switch {
		case l.Err != nil:
			failed = append(failed, l.Err)
			item.Error = terminal.Line(l.Err.Error())
		case l.Left != "":
			fmt.Fprintf(c.ErrOut, "left alone: %s: %s\n", item, item.Left)
		default:
			item.Deleted, found = true, true
		}
		out.Items = append(out.Items, item)
	}
	if !found && len(failed) == 0 {
		where := "in namespace " + o.Namespace
		if o.Namespace == "" {
			where = "in any namespace"
		}
		what := "nothing"
		if unseen {
			what = "no pod"
		}
		fmt.Fprintf(c.ErrOut, "%s to delete %s\n", what, terminal.Line(where))
	}
	return errors.Join(append(failed, p.PrintObj(out, c.Out))...)
}

// cleanupCluster deletes in the cluster that the configuration says.
func (c *common) cleanupCluster(ctx context.Context, o probepod.CleanupOptions) ([]probepod.Leftover, error) {
	config, err := c.restConfig()
	if err != nil {
		return nil, err
	}
	o.Kubectl = kubectl(c.config)
	return probepod.Cleanup(ctx, config, o)
}
