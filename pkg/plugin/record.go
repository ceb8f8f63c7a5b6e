package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/recording"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// recordOptions is what `record` does.
type recordOptions struct {
	*common
	Resolver  Resolver
	Prober    Prober
	Printer   printers.ResourcePrinter
	Selection target.Selection
}

// recordFlags are those of `record` alone.
type recordFlags struct {
	usedFlags
	duration time.Duration
}

const (
	defaultRecording = 10 * time.Minute
	// maxRecording bounds a recording, and so how long a probe stays whose client
	// was killed.
	maxRecording = 24 * time.Hour
)

func newRecordCommand(c *common, name string) *cobra.Command {
	probe, pods, output := new(probeFlags), new(podFlags), newOutputFlags()
	var flags recordFlags
	cmd := &cobra.Command{
		Use:                   "record POD | TYPE/NAME... | -l SELECTOR [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Record which system calls containers make",
		Long: `Count the system calls that running containers make, by ABI and number, for a while
or until Ctrl-C, which prints what was seen. Beside them, what filters refused, and
of arguments that profiles put conditions on, such as the family of a socket, the
values.

The kernel counts, by a BPF program that the probe loads and that is gone with it:
nothing is installed, and no process is stopped after the filters have been read. Each
call of the containers takes some hundred nanoseconds longer meanwhile. All containers
of the pods are recorded, each for itself, and with all that is executed in them; what a
runtime calls to bring a process in (kubectl exec, probes) is counted apart.

With -o profile, a seccomp profile is written that allows what was called, for all
containers together; with -o seccompprofile, the same as a SeccompProfile of the
Security Profiles Operator. To start its container, such a profile needs more than
what was recorded of one that ran: the calls by which runtimes and programs start are
added, unless --start=false. What else the program itself does only when it starts,
such as to listen on a port, a recording of it running cannot know.

With --base, a profile is extended: calls that it does not name are added, and what
it names stays as it is. With --arguments, calls such as socket are allowed only with
the values of the argument that were seen, where all of them were kept.

Only pods that run when this starts are recorded; a container that restarts meanwhile
is recorded until it ends. Nodes need Linux 5.12 or later with BTF, on amd64 or arm64.`,
		Example: examples(name,
			`# What does web call in the next minute?`,
			`kubectl seccomp record web --duration 1m`,
			`# All pods of a deployment, until Ctrl-C`,
			`kubectl seccomp record deploy/web --duration 1h`,
			`# A profile for what it called, as an extension of another`,
			`kubectl seccomp record -l app=web --duration 5m -o profile --base base.json`,
			`# One that allows no families of sockets, and no new namespaces, but those that were seen`,
			`kubectl seccomp record web --duration 5m -o profile --arguments`,
			`# The counts, to work with`,
			`kubectl seccomp record web --duration 1m -o json`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &recordOptions{common: c}
			if err := o.Complete(probe, pods, output, flags, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	probe.add(cmd.Flags())
	pods.add(cmd.Flags())
	cmd.Flags().DurationVar(&flags.duration, "duration", defaultRecording, "How long to record at most; Ctrl-C ends it earlier")
	flags.usedFlags.add(cmd.Flags())
	output.add(cmd, "wide", "profile", "seccompprofile")
	return cmd
}

// Complete turns flags and operands into what is to be done.
func (o *recordOptions) Complete(probe *probeFlags, pods *podFlags, output *outputFlags, flags recordFlags, args []string) (err error) {
	if err := probe.validate(); err != nil {
		return err
	}
	switch {
	case len(args) == 0 && !pods.set():
		return errors.New("record takes pods: NAME, TYPE/NAME or NAMESPACE/TYPE/NAME, or --selector; see `" + kubectl(o.config) + " get pods`")
	case flags.duration < time.Second:
		return fmt.Errorf("--duration %v: want a second or more", flags.duration)
	case flags.duration > maxRecording:
		return fmt.Errorf("--duration %v: want %v at most", flags.duration, maxRecording)
	case probe.keep:
		return errors.New("--keep-probe: a recording is ended by deleting the probe's pod")
	}
	if o.Selection, err = pods.selection(*o.config.Namespace, args); err != nil {
		return err
	}
	own := humanAndWide(printer.Human{Color: output.color})
	if err := flags.printers(own, output.format, o.warn); err != nil {
		return err
	}
	if o.Printer, err = output.printer(own); err != nil {
		return err
	}
	probe.keepGoing = true
	probe.record = flags.duration.Round(time.Millisecond)
	probe.began = func() {
		fmt.Fprintf(o.ErrOut, "recording for %v; Ctrl-C ends it and prints what was seen\n", probe.record)
	}
	o.Resolver, o.Prober, err = o.connect(probe)
	return err
}

// Run records, and prints what was recorded.
func (o *recordOptions) Run(ctx context.Context) error {
	containers, away, err := o.Resolver.ResolveAll(ctx, o.Selection)
	if err != nil {
		return err
	}
	var all requests
	for _, c := range onReady(containers, away) {
		request := all.on(c.Node)
		request.Containers = append(request.Containers, c)
	}
	reports, err := o.Prober.Probe(ctx, all)
	failed, err := o.incomplete(err)
	if err != nil {
		return err
	}
	list := &v1alpha1.RecordingList{TypeMeta: v1alpha1.TypeMeta("RecordingList"), Items: []v1alpha1.Recording{}}
	var missing []error
	for _, c := range containers {
		why := away[c.Node]
		if why == nil {
			why = failed[c.Node]
		}
		r, err := recordingOf(c, reports[c.Node], why)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		for _, p := range r.Problems {
			o.warn(fmt.Errorf("%s: %s", c, p.Message))
		}
		list.Items = append(list.Items, *r)
	}
	for _, err := range missing {
		o.warn(err)
	}
	if len(list.Items) == 0 {
		return fmt.Errorf("record: none of %d containers was recorded", len(containers))
	}
	var object runtime.Object = list
	if len(containers) == 1 {
		object = &list.Items[0]
	}
	if err := o.Printer.PrintObj(object, o.Out); err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("record: %d of %d containers were not recorded", len(missing), len(containers))
	}
	return nil
}

// incomplete takes apart the error of a run that goes on when a node fails. That
// containers ended or restarted meanwhile is a warning: they were recorded until
// then.
func (o *recordOptions) incomplete(err error) (failed map[string]error, _ error) {
	incomplete := (*probepod.Incomplete)(nil)
	if !errors.As(err, &incomplete) || error(incomplete) != err {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(incomplete.Changed)) {
		o.warn(incomplete.Changed[id])
	}
	return incomplete.Failed, nil
}

// recordingOf is what a report holds of a container's calls, or why nothing.
func recordingOf(c target.Container, r *report.Report, why error) (*v1alpha1.Recording, error) {
	fail := func(err error) (*v1alpha1.Recording, error) { return nil, fmt.Errorf("record %s: %w", c, err) }
	if r == nil {
		if why == nil {
			why = errors.New("the probe does not say why not")
		}
		return fail(why)
	}
	t := r.Targets[c.ID]
	if t == nil || t.Recorded == nil {
		for _, problems := range [][]wire.Problem{r.Problems, problemsOf(t)} {
			// The last is of the recording, which comes after all else.
			if n := len(problems); n > 0 {
				return fail(&problems[n-1])
			}
		}
		return fail(errors.New("the probe does not say why not"))
	}
	out := &v1alpha1.Recording{TypeMeta: v1alpha1.TypeMeta("Recording"), RecordedRun: v1alpha1.RecordedRun{
		ID: runID(c.ID, t.Recorded.BeganNS), Source: containerSource(c),
		Began: metav1.NewTime(time.Unix(0, t.Recorded.BeganNS).UTC()), Ended: metav1.NewTime(time.Unix(0, t.Recorded.EndedNS).UTC()),
		Calls: []v1alpha1.RecordedCall{}, Problems: source.Problems(t.Problems),
	}}
	describeNode(&out.Source, r)
	if s := t.Subject(); s != nil {
		out.Mode, out.FilterCount = s.Mode.String(), s.FilterCount
	}
	fillRecording(out, t.Recorded)
	return out, nil
}

// runID names a run: of a container, which has a name of its own in the world, by when
// it began.
func runID(container string, began int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", container, began))
	return hex.EncodeToString(sum[:16])
}

func problemsOf(t *report.Target) []wire.Problem {
	if t == nil {
		return nil
	}
	return t.Problems
}

// fillRecording names what a probe counted.
func fillRecording(out *v1alpha1.Recording, m *wire.Recorded) {
	for _, c := range m.Calls {
		call, _ := recordedCall(c)
		if c.Runtime {
			out.Runtime = append(out.Runtime, call)
		} else {
			out.Calls = append(out.Calls, call)
		}
	}
	for _, r := range m.Refused {
		if r.Runtime {
			continue // the runtime's own business
		}
		call, abi := recordedCall(r.Calls)
		refused := v1alpha1.RefusedCall{RecordedCall: call}
		switch {
		case r.Return == 0:
			refused.Errno = "0"
		case r.Return < 0 && r.Return >= -maxErrno:
			refused.Errno = errnoName(abi, uint16(-r.Return))
		}
		out.Refused = append(out.Refused, refused)
	}
	for _, v := range m.Values {
		call, abi := recordedCall(v.Calls)
		params := abi.Params(call.Syscall)
		if v.Runtime || v.Arg >= len(params) {
			continue
		}
		out.Values = append(out.Values, recording.NewValue(abi, call, params[v.Arg].Name, v.Value))
	}
	out.Coverage.Unclear = count(m.Unclear)
	lost := v1alpha1.Lost{Calls: count(m.LostCalls), Values: count(m.LostValues), Refused: count(m.LostRefusals), Origins: count(m.LostOrigins), Runs: count(m.LostRuns)}
	if lost != (v1alpha1.Lost{}) {
		out.Coverage.Lost = &lost
	}
}

// maxErrno is MAX_ERRNO of include/linux/err.h.
const maxErrno = 4095

func errnoName(abi syscalls.ABI, n uint16) string {
	if name, ok := abi.Errno(n); ok {
		return name
	}
	return fmt.Sprint(n)
}

// noNumber stands in a probe's counts for all numbers that no syscall has.
const noNumber = math.MaxUint32

func recordedCall(c wire.Calls) (v1alpha1.RecordedCall, syscalls.ABI) {
	abi, _ := syscalls.ParseABI(c.ABI) // which was checked when the report was read
	out := v1alpha1.RecordedCall{ABI: abi.String(), Count: count(c.Count)}
	if c.NR != noNumber {
		out.Syscall, _ = abi.Name(c.NR)
		out.NR = fmt.Sprintf("%#x", c.NR)
	}
	return out, abi
}

func count(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
