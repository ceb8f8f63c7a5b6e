package plugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/saved"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/recording"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
)

// mergeOptions is what `merge` does.
type mergeOptions struct {
	*common
	Files   []string
	By      recording.Criterion
	Printer printers.ResourcePrinter
}

func newMergeCommand(c *common, name string) *cobra.Command {
	var flags usedFlags
	var by string
	output := newOutputFlags()
	cmd := &cobra.Command{
		Use:                   "merge FILE... [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Merge recordings of system calls",
		Long: `Merge recordings, as "record -o json" or this command saved them, of several replicas
and runs: the counts are added up, and each syscall comes with in how many of the runs
it was seen. That says how much the runs covered, not how likely a call is.

A FILE is JSON or YAML, or - for standard input. The runs of containers of one name in
the pods of one workload are merged, in whatever namespace, or of what --by says. A run
that is in several files is counted once. What was refused stays refused, and what was
lost is added up. What comes of it can be merged again, with the same result as at once.

With -o profile, a seccomp profile is written that allows what was called in any of the
runs, as "record" does; with --base, a profile is extended.

No cluster is needed.`,
		Example: examples(name,
			`# What did web call, in both runs together?`,
			`kubectl seccomp merge monday.json tuesday.json`,
			`# Add this run to those that there are`,
			`kubectl seccomp record web --duration 1m -o json | kubectl seccomp merge runs.json - -o json >new-runs.json`,
			`# One profile for all containers of one image`,
			`kubectl seccomp merge monday.json tuesday.json --by image -o profile`),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return nil
			}
			return fmt.Errorf("%s takes files with recordings; see `%s --help`", cmd.Name(), cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &mergeOptions{common: c, Files: args}
			if err := o.Complete(&flags, output, by); err != nil {
				return err
			}
			return o.Run()
		},
	}
	criteria := slices.Sorted(maps.Keys(recording.Criteria))
	cmd.Flags().StringVar(&by, "by", "workload", "Which runs are merged, those of the same: "+strings.Join(criteria, ", "))
	completeFlags(cmd, cmd.Flags(), map[string]func(string) []string{"by": func(string) []string { return criteria }})
	flags.add(cmd.Flags())
	output.add(cmd, "wide", "profile", "seccompprofile")
	return cmd
}

// Complete turns flags into what is to be done.
func (o *mergeOptions) Complete(flags *usedFlags, output *outputFlags, by string) (err error) {
	if o.By = recording.Criteria[by]; o.By == nil {
		return fmt.Errorf("--by %s: want one of %s", failure.Quote(by), strings.Join(slices.Sorted(maps.Keys(recording.Criteria)), ", "))
	}
	own := humanAndWide(printer.Human{Color: output.color})
	if err := flags.printers(own, output.format, o.warn); err != nil {
		return err
	}
	o.Printer, err = output.printer(own)
	return err
}

// Run reads the files, and prints what they are together.
func (o *mergeOptions) Run() error {
	set, err := o.readRecordings(o.Files)
	if err != nil {
		return err
	}
	list := &v1alpha1.RecordingList{TypeMeta: v1alpha1.TypeMeta("RecordingList"), Items: set.Merge(o.By)}
	var object runtime.Object = list
	if len(list.Items) == 1 {
		object = &list.Items[0]
	}
	return o.Printer.PrintObj(object, o.Out)
}

// readRecordings reads the runs in files, each once, and says of which of them another
// file has had it.
func (c *common) readRecordings(files []string) (*recording.Set, error) {
	if i := slices.Index(files, "-"); i >= 0 && slices.Contains(files[i+1:], "-") {
		return nil, source.ErrStdin
	}
	set := new(recording.Set)
	for _, file := range files {
		runs, err := recording.Read(file, c.In)
		if err != nil {
			return nil, err
		}
		again := 0
		for _, run := range runs {
			if set.Add(run) {
				again++
			}
		}
		if again > 0 {
			c.warn(fmt.Errorf("%s: runs that were there already, and are counted once: %d of %d", saved.Label(file), again, len(runs)))
		}
	}
	if set.Len() == 0 {
		return nil, errors.New("internal error: files without runs were read")
	}
	return set, nil
}
