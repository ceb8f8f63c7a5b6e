package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/recording"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
)

// tightenOptions is what `tighten` does.
type tightenOptions struct {
	*common
	*operands
	tightenFlags
	Printer printers.ResourcePrinter
	// Profile has the profile worked out that remains.
	Profile bool
}

// tightenFlags are those of `tighten` alone.
type tightenFlags struct {
	usedFlags
	recordings []string
	duration   time.Duration
	maxUnused  int
	refused    bool
}

func newTightenCommand(c *common, name string) *cobra.Command {
	source, output := new(sourceFlags), newOutputFlags()
	var flags tightenFlags
	cmd := &cobra.Command{
		Use:                   "tighten SOURCE [--recording FILE]... [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Show what is allowed and never used",
		Long: `Compare what the filters of a container let it call, or what a profile would, with
what it was recorded to call: which syscalls are allowed and were never made, those with
a known risk first, which were made only with some arguments, and what was called and is
not allowed. With -o profile, the profile is written that remains: it allows what is
allowed and was used, and denies the rest.

A recording covers only what ran while it was made. What a program does once a month,
on an error or at its start is not in it: merge recordings of several runs, and read
what is about to be denied.

SOURCE is a container, or a workload whose pods are confined alike; with --recording

` + operandHelp + `
The recordings are those of "record -o json" or "merge -o json", of a container their
runs of its name. Without any, the pods are recorded now, for --duration or until Ctrl-C.

Exit code: 0; 1 if something was called that is not allowed (with --refused, also if
a filter refused something while it was recorded), or if more syscalls are allowed and
were never called than --max-unused; 2 or more on an error.`,
		Example: examples(name,
			`# What may web call that it does not in the next five minutes?`,
			`kubectl seccomp tighten web --duration 5m`,
			`# The profile that remains of what it runs under, given two days' recordings`,
			`kubectl seccomp tighten web --recording monday.json --recording tuesday.json -o profile`,
			`# Does a profile allow what was used, and not much more? For a pipeline`,
			`kubectl seccomp tighten ./profile.json --recording runs.json --max-unused 400 -o markdown`),
		Args: exactly(1, "one operand"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &tightenOptions{common: c, tightenFlags: flags}
			if err := o.Complete(source, output, args[0]); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	source.add(cmd)
	cmd.Flags().StringArrayVar(&flags.recordings, "recording", nil, "File with a recording, or - for standard input; may be given more than once")
	cmd.Flags().DurationVar(&flags.duration, "duration", defaultRecording, "How long to record at most without --recording; Ctrl-C ends it earlier")
	cmd.Flags().IntVar(&flags.maxUnused, "max-unused", -1, "How many syscalls may be allowed and never called for exit code 0; -1: any number")
	cmd.Flags().BoolVar(&flags.refused, "refused", false, "Take what filters refused while it was recorded for what is needed, too")
	cmd.Flags().BoolVar(&flags.start, "start", true, "Do not take what containers call to start for unused")
	flags.addArguments(cmd.Flags())
	cmd.Flags().Lookup("arguments").Usage = "Have -o profile allow calls of socket, clone, prctl, ioctl and the like only with the values of the argument that were seen"
	output.add(cmd, "wide", "markdown", "profile")
	return cmd
}

// Complete turns flags and the operand into what is to be done.
func (o *tightenOptions) Complete(flags *sourceFlags, output *outputFlags, arg string) (err error) {
	live := len(o.recordings) == 0
	switch {
	case o.maxUnused < -1:
		return fmt.Errorf("--max-unused %d: want a number of syscalls", o.maxUnused)
	case !live && flags.probe.flags.Changed("duration"):
		return errors.New("--duration: that is how long to record, and with --recording nothing is")
	case live && (o.duration < time.Second || o.duration > maxRecording):
		return fmt.Errorf("--duration %v: want a second or more, and %v at most", o.duration, maxRecording)
	case live && flags.probe.keep:
		return errors.New("--keep-probe: a recording is ended by deleting the probe's pod")
	case o.arguments && output.format != "profile":
		return errors.New("--arguments: it is for -o profile, and goes with nothing else")
	}
	own := humanAndWide(printer.Human{Color: output.color})
	own["markdown"], own["profile"] = printer.Markdown{}, printer.RemainingProfile{}
	if o.Printer, err = output.printer(own); err != nil {
		return err
	}
	o.Profile = output.format == "profile"
	if live {
		flags.probe.keepGoing = true
		flags.probe.record = o.duration.Round(time.Millisecond)
		flags.probe.began = func() {
			fmt.Fprintf(o.ErrOut, "recording for %v; Ctrl-C ends it and prints what was seen\n", flags.probe.record)
		}
	}
	if o.operands, err = o.newOperands(flags, arg); err != nil {
		return err
	}
	if one := o.operands.list[0]; live && (one.offline || one.container.RuntimeDefault || one.container.PID != 0) {
		return fmt.Errorf("operand %s: only containers can be recorded: give recordings by --recording", arg)
	}
	return nil
}

// Run compares, and prints what remains.
func (o *tightenOptions) Run(ctx context.Context) error {
	read := o.fromFiles
	if len(o.recordings) == 0 {
		read = o.live
	}
	s, r, err := read(ctx)
	if err != nil {
		return err
	}
	t, err := newTightening(s, r, o.start)
	if err != nil {
		return err
	}
	t.Fits = !slices.ContainsFunc(t.Missing, func(m v1alpha1.MissingCall) bool { return m.Certain }) && !(o.refused && len(t.Refused) > 0)
	if o.maxUnused >= 0 {
		t.Limit = &o.maxUnused
		t.Fits = t.Fits && len(t.Names()) <= o.maxUnused
	}
	if o.Profile {
		used := printer.UsedProfile{Start: o.start, Arguments: o.arguments, Warn: o.warn}
		uses, abis, err := used.Used([]v1alpha1.Recording{*r})
		if err != nil {
			return err
		}
		text, err := remaining(s, uses, abis)
		if err != nil {
			return err
		}
		t.Profile = string(text)
		o.warn(errors.New("the recording covers only what ran: what it has not seen, the profile denies"))
	}
	if err := o.Printer.PrintObj(t, o.Out); err != nil {
		return err
	}
	if !t.Fits {
		return errDifferent
	}
	return nil
}

// fromFiles reads the source, and the recordings in files.
func (o *tightenOptions) fromFiles(ctx context.Context) (*source.Source, *v1alpha1.Recording, error) {
	if o.operands.list[0].ref.Stdin() && slices.Contains(o.recordings, "-") {
		return nil, nil, source.ErrStdin
	}
	set, err := o.readRecordings(o.recordings)
	if err != nil {
		return nil, nil, err
	}
	sources, err := o.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	s, err := o.alike(sources[0])
	if err != nil {
		return nil, nil, err
	}
	for _, s := range sources[0] {
		o.warnOf(s)
	}
	r, err := chosen(set, s.Dump.Source.Container)
	return s, r, err
}

// chosen is what was recorded of containers of a name, or of all if it is "".
func chosen(set *recording.Set, container string) (*v1alpha1.Recording, error) {
	by := recording.Criteria["all"]
	if container != "" {
		by = recording.Criteria["container"]
	}
	var found []v1alpha1.Recording
	var there []string
	for _, r := range set.Merge(by) {
		if container == "" || r.Source.Container == container {
			found = append(found, r)
		}
		there = append(there, r.Source.Container+" ("+r.Source.Arch+")")
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("--recording: there is none of a container %s: they are of %s", container, strings.Join(there, ", "))
	case 1:
		return &found[0], nil
	}
	return nil, fmt.Errorf("--recording: they are of several architectures: %s and %s", found[0].Source.Arch, found[1].Source.Arch)
}

// live records the containers that the operand names, and reads their filters in the
// same run.
func (o *tightenOptions) live(ctx context.Context) (*source.Source, *v1alpha1.Recording, error) {
	operand := o.operands.list[0].container
	var all requests
	want, err := o.locate(ctx, operand, &all)
	if err != nil {
		return nil, nil, err
	}
	reports, err := o.Prober.Probe(ctx, all)
	failed, err := o.meanwhile(err, false)
	if err != nil {
		return nil, nil, err
	}
	var sources []*source.Source
	var set recording.Set
	for _, w := range want {
		if err := failed[w.node]; err != nil {
			return nil, nil, err
		}
		s, err := newSource(operand, w, reports[w.node])
		if err != nil {
			return nil, nil, err
		}
		r, err := recordingOf(w.container, reports[w.node], nil)
		if err != nil {
			return nil, nil, err
		}
		sources = append(sources, s)
		set.Add(r.RecordedRun)
	}
	s, err := o.alike(sources)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range sources {
		o.warnOf(s)
	}
	r, err := chosen(&set, "")
	return s, r, err
}
