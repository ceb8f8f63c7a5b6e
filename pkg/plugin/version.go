package plugin

import (
	"runtime"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// What a release is built with, by the linker's -X.
var (
	Version = "dev"
	// ProbeImage is the default of --image. That of a development build is one
	// that only loading it onto the nodes provides: no registry can answer.
	ProbeImage = "localhost/kubectl-seccomp/probe:dev"
)

func newVersionCommand(c *common, name string) *cobra.Command {
	output := newOutputFlags()
	cmd := &cobra.Command{
		Use:                   "version [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Show what this build of the plugin is made of",
		Long: `Show what this build of the plugin is made of: its version, the image of the probe
that it starts, the API version of its JSON, the version of the probe's output that it
understands, the Linux release whose syscalls it knows, and what built it.

No cluster is asked.`,
		Example: examples(name, `kubectl seccomp version`, `kubectl seccomp version -o json`),
		Args:    exactly(0, "no operands"),
		RunE: func(*cobra.Command, []string) error {
			p, err := output.printer(map[string]printers.ResourcePrinter{"": printer.Human{Color: output.color}})
			if err != nil {
				return err
			}
			return p.PrintObj(&v1alpha1.Version{
				TypeMeta:      v1alpha1.TypeMeta("Version"),
				Version:       Version,
				ProbeImage:    ProbeImage,
				Schema:        v1alpha1.GroupVersion.String(),
				ProbeProtocol: wire.Version,
				SyscallTables: syscalls.KernelVersion,
				GoVersion:     runtime.Version(),
				Platform:      runtime.GOOS + "/" + runtime.GOARCH,
			}, c.Out)
		},
	}
	output.add(cmd)
	return cmd
}
