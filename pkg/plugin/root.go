package plugin

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // credential plugins of kubeconfigs
	"k8s.io/klog/v2"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/doctor"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// common is what all commands have.
type common struct {
	genericiooptions.IOStreams
	config  *genericclioptions.ConfigFlags
	verbose bool
	// connect returns what reads containers of the cluster that config says.
	connect func(*probeFlags) (Resolver, Prober, error)
	// cleanup deletes probe pods of that cluster.
	cleanup func(context.Context, probepod.CleanupOptions) ([]probepod.Leftover, error)
	// examine prepares what `doctor` checks of it.
	examine func(*probeFlags) (*doctor.Examination, error)
	local   Machine
}

func newCommon(streams genericiooptions.IOStreams) *common {
	c := &common{IOStreams: streams, config: genericclioptions.NewConfigFlags(true), local: thisMachine{}}
	c.connect = c.connectCluster
	c.cleanup = c.cleanupCluster
	c.examine = c.examineCluster
	return c
}

// newRootCommand returns the plugin's root command. arg0 is the name by which it
// was run: usage texts say "kubectl seccomp" for a plugin named kubectl-seccomp,
// and follow any other name it is given.
func newRootCommand(c *common, arg0 string) *cobra.Command {
	name := displayName(arg0)
	root := &cobra.Command{
		Use:   "kubectl-seccomp",
		Short: "Show what seccomp really enforces on a pod",
		Long: `Show what the kernel really enforces on a pod, and how it differs from another.

The filters are copied out of the kernel, from the running processes of a
container, by a short-lived pod on its node.`,
		Example:       examples(name, `kubectl seccomp diff web-a web-b`, `kubectl seccomp dump deploy/web`),
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q; see `%s --help`", args[0], cmd.CommandPath())
			}
			return nil
		},
		PersistentPreRun: func(*cobra.Command, []string) {
			if !c.verbose {
				// What client-go logs of its own accord is not one clear line.
				klog.SetLogger(logr.Discard())
			}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(c.In)
	root.SetOut(c.Out)
	root.SetErr(c.ErrOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
	})
	c.config.AddFlags(root.PersistentFlags())
	root.PersistentFlags().BoolVarP(&c.verbose, "verbose", "v", false, "Say on stderr what is being done")
	root.AddCommand(newDumpCommand(c, name), newDiffCommand(c, name), newExplainCommand(c, name), newVerifyCommand(c, name), newListCommand(c, name), newRecordCommand(c, name), newDenialsCommand(c, name), newMergeCommand(c, name), newTightenCommand(c, name), newCleanupCommand(c, name), newDoctorCommand(c, name), newCompletionCommand(name), newVersionCommand(c, name))
	c.completions(root)
	return root
}

// displayName is how a user types the plugin's name: kubectl finds
// kubectl-foo_bar for "kubectl foo-bar".
func displayName(arg0 string) string {
	base := strings.TrimSuffix(filepath.Base(arg0), ".exe")
	if plugin, ok := strings.CutPrefix(base, "kubectl-"); ok {
		return "kubectl " + strings.ReplaceAll(plugin, "_", "-")
	}
	return base
}

// examples indents the lines of a help text's examples, under the name that the
// plugin was run by.
func examples(name string, lines ...string) string {
	for i, line := range lines {
		lines[i] = strings.ReplaceAll("  "+line, "kubectl seccomp", name)
	}
	return strings.Join(lines, "\n")
}

// operandHelp says what a source is.
const operandHelp = `  POD, TYPE/NAME or NAMESPACE/TYPE/NAME, each with :CONTAINER if it is not the
  one that "kubectl logs" chooses;
  ./FILE, /FILE or - (standard input): a saved dump, a seccomp profile (of OCI,
  Docker or CRI-O, or a SeccompProfile) or a raw filter, by its content;
  profile:FILE, or bpf:FILE[,FILE...] for a stack of filters, the oldest first;
  RuntimeDefault[@NODE]: what a node's runtime gives a container with the
  capabilities of what it is compared with;
  node/NODE:PID: a process on a node;
  pid:PID or docker:NAME: a process or a Docker container of this machine;
  Unconfined: no filter.

Files and this machine need no cluster. A file beside a container is for the
container's architecture and capabilities.
`

// exactly returns a check of how many operands a command is given.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return fmt.Errorf("%s takes %s, not %d; see `%s --help`", cmd.Name(), what, len(args), cmd.CommandPath())
	}
}
