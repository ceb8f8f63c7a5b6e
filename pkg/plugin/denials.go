package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// denialsOptions is what `denials` does.
type denialsOptions struct {
	*common
	Resolver  Resolver
	Prober    Prober
	Printer   printers.ResourcePrinter
	Selection target.Selection
	Follow    bool

	reader     denialReader
	containers map[string]target.Container // by ID, those that are looked at
	refused    bool                        // a call was
	printErr   error                       // of Follow's printer
	seen       map[string]bool             // remedies that were printed
}

// defaultDenials is how long calls are looked for without --follow, and
// defaultFollow with it.
const (
	defaultDenials = 10 * time.Second
	defaultFollow  = time.Hour
)

func newDenialsCommand(c *common, name string) *cobra.Command {
	probe, pods, output := new(probeFlags), new(podFlags), newOutputFlags()
	var duration time.Duration
	var follow bool
	cmd := &cobra.Command{
		Use:                   "denials POD | TYPE/NAME... | -l SELECTOR [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Tell which calls of containers seccomp refuses, and why",
		Long: `Tell of the system calls of running containers that their seccomp filters refuse,
log, or hand to a supervisor or a tracer: which thread made which call, what became of
it, which filter and which of its instructions decided that and under what condition,
and how the call could be allowed and what else that would allow.

The kernel logs no call that ERRNO refuses. Here each is seen, as it comes back without
having begun; so a call that fails by the kernel's own checks, with EPERM as well, is
told apart. A BPF program that the probe loads sees them, and copies the filters that
the thread had at that moment. It is gone with the probe: nothing is installed, and no
process is stopped after the filters have been read at the start.

Without --follow, calls are looked for during 10 seconds, or --duration, or until
Ctrl-C, and then those that are alike are one line of a table. With --follow, each is
told of as it happens. Of calls alike, at most ten are told of in a second, and the
others counted.

Exits with 1 if a call was refused, as diff does, and with 2 if that cannot be told.
Only pods that run when this starts are looked at. Nodes need Linux 5.15 or later with
BTF, on amd64 or arm64.`,
		Example: examples(name,
			`# Why does web fail with EPERM?`,
			`kubectl seccomp denials web`,
			`# All pods of a deployment, each call as it happens, until Ctrl-C`,
			`kubectl seccomp denials deploy/web --follow --duration 1h`,
			`# The same for programs, an object a line`,
			`kubectl seccomp denials -l app=web --follow --duration 1m -o json`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &denialsOptions{common: c, Follow: follow}
			if follow && !cmd.Flags().Changed("duration") {
				duration = defaultFollow
			}
			if err := o.Complete(probe, pods, output, duration, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	probe.add(cmd.Flags())
	pods.add(cmd.Flags())
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "Tell of each call as it happens, until Ctrl-C")
	cmd.Flags().DurationVar(&duration, "duration", defaultDenials, "How long to look at most, with --follow 1h if not given; Ctrl-C ends it earlier")
	output.add(cmd, "wide")
	return cmd
}

// Complete turns flags and operands into what is to be done.
func (o *denialsOptions) Complete(probe *probeFlags, pods *podFlags, output *outputFlags, duration time.Duration, args []string) (err error) {
	if err := probe.validate(); err != nil {
		return err
	}
	switch {
	case len(args) == 0 && !pods.set():
		return errors.New("denials takes pods: NAME, TYPE/NAME or NAMESPACE/TYPE/NAME, or --selector; see `kubectl get pods`")
	case duration < time.Second:
		return fmt.Errorf("--duration %v: want a second or more", duration)
	case duration > maxRecording:
		return fmt.Errorf("--duration %v: want %v at most", duration, maxRecording)
	case probe.keep:
		return errors.New("--keep-probe: this is ended by deleting the probe's pod")
	}
	if o.Selection, err = pods.selection(*o.config.Namespace, args); err != nil {
		return err
	}
	own := humanAndWide(printer.Human{Color: output.color})
	if o.Follow {
		own["json"] = printer.Lines{}
	}
	if o.Printer, err = output.printer(own); err != nil {
		return err
	}
	human := own[output.format] != nil && output.format != "json"
	probe.keepGoing = true
	probe.denials = duration.Round(time.Millisecond)
	probe.began = func() {
		what := "prints what was seen"
		if o.Follow {
			what = "ends it"
		}
		fmt.Fprintf(o.ErrOut, "looking for refused calls for %v; Ctrl-C %s\n", probe.denials, what)
	}
	if o.Follow {
		probe.denied = func(node string, r *report.Report, d report.Denial) { o.tell(node, r, d, human) }
	}
	o.seen = make(map[string]bool)
	o.Resolver, o.Prober, err = o.connect(probe)
	return err
}

// tell prints a call as it happens. For people, how it could be allowed is said once.
func (o *denialsOptions) tell(node string, r *report.Report, d report.Denial, human bool) {
	c, ok := o.containers[d.Target]
	if !ok || o.printErr != nil {
		return
	}
	denial := o.denial(c, node, r, &d)
	if human && denial.Remedy != nil {
		key := fmt.Sprint(c.ID, denial.ABI, *denial.Remedy)
		if o.seen[key] {
			denial.Remedy = nil
		}
		o.seen[key] = len(o.seen) < maxRules
	}
	o.printErr = o.Printer.PrintObj(denial, o.Out)
}

func (o *denialsOptions) denial(c target.Container, node string, r *report.Report, d *report.Denial) *v1alpha1.Denial {
	from := containerSource(c)
	describeNode(&from, r)
	denial := o.reader.read(from, r.ABIs, node, d)
	o.refused = o.refused || denial.Refused()
	return denial
}

// Run looks for refused calls, and prints them.
func (o *denialsOptions) Run(ctx context.Context) error {
	containers, away, err := o.Resolver.ResolveAll(ctx, o.Selection)
	if err != nil {
		return err
	}
	o.containers = make(map[string]target.Container)
	var all requests
	for _, c := range onReady(containers, away) {
		o.containers[c.ID] = c
		request := all.on(c.Node)
		request.Containers = append(request.Containers, c)
	}
	reports, err := o.Prober.Probe(ctx, all)
	failed, err := o.meanwhile(err, false)
	if err != nil {
		return err
	}
	if o.printErr != nil {
		return o.printErr
	}
	list := &v1alpha1.DenialList{TypeMeta: v1alpha1.TypeMeta("DenialList"), Items: []v1alpha1.Denial{}, Containers: []v1alpha1.Watched{}}
	var missing []error
	for _, c := range containers {
		why := away[c.Node]
		if why == nil {
			why = failed[c.Node]
		}
		watched, items, err := o.watched(c, reports[c.Node], why)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		for _, p := range watched.Problems {
			o.warn(fmt.Errorf("%s: %s", c, p.Message))
		}
		list.Containers = append(list.Containers, *watched)
		list.Items = append(list.Items, items...)
	}
	for _, err := range missing {
		o.warn(err)
	}
	switch {
	case len(list.Containers) == 0:
		return fmt.Errorf("denials: none of %d containers was looked at", len(containers))
	case o.Follow:
		for i := range list.Containers {
			for _, note := range printer.Unseen(&list.Containers[i]) {
				o.warn(errors.New(note))
			}
		}
	default:
		slices.SortStableFunc(list.Items, func(a, b v1alpha1.Denial) int { return cmp.Compare(b.Count, a.Count) })
		if err := o.Printer.PrintObj(list, o.Out); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("denials: %d of %d containers were not looked at", len(missing), len(containers))
	}
	if o.refused {
		return errDifferent
	}
	for i := range list.Containers {
		if lost := list.Containers[i].Lost; lost != nil && lost.Calls > 0 {
			return fmt.Errorf("denials: whether a call was refused cannot be told: calls of %s were lost", list.Containers[i].Source.Name())
		}
	}
	return nil
}

// watched is what a report holds of a container's refused calls, or why nothing.
func (o *denialsOptions) watched(c target.Container, r *report.Report, why error) (*v1alpha1.Watched, []v1alpha1.Denial, error) {
	if r == nil || r.Targets[c.ID] == nil || r.Targets[c.ID].Denied == nil {
		return nil, nil, fmt.Errorf("look for refused calls of %s: %w", c, untold(c, r, why))
	}
	t := r.Targets[c.ID]
	out := &v1alpha1.Watched{
		Source: containerSource(c), Began: metav1.NewTime(time.Unix(0, t.Denied.BeganNS).UTC()), Ended: metav1.NewTime(time.Unix(0, t.Denied.EndedNS).UTC()),
		Unclear: count(t.Denied.Unclear), Problems: source.Problems(t.Problems),
	}
	describeNode(&out.Source, r)
	if s := t.Subject(); s != nil {
		out.Mode, out.FilterCount = s.Mode.String(), s.FilterCount
	}
	lost := v1alpha1.LostDenials{Calls: count(t.Denied.LostCalls), Stacks: count(t.Denied.LostStacks), Runs: count(t.Denied.LostRuns)}
	if lost != (v1alpha1.LostDenials{}) {
		out.Lost = &lost
	}
	var list []*v1alpha1.Denial
	for i := range t.Denials {
		list = append(list, o.denial(c, c.Node, r, &t.Denials[i]))
	}
	items := alikeDenials(list)
	if o.Follow {
		out.Counted = countedOf(t, true) // what it is like has been told of, without it
	} else {
		addCounted(items, out, countedOf(t, false))
	}
	for _, counted := range out.Counted {
		o.refused = o.refused || counted.Outcome != v1alpha1.OutcomeExecuted
	}
	return out, items, nil
}
