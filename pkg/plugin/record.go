package plugin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
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
	Nodes     []string      // to record on, whether there is something of the selection or not
	Finish    chan struct{} // closed: nothing that could be recorded can come any more
}

// watcher is a Resolver that can also say what comes.
type watcher interface {
	Watch(context.Context, target.Selection) (*target.Watch, error)
}

// recordFlags are those of `record` alone.
type recordFlags struct {
	usedFlags
	duration time.Duration
	nodes    []string
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
		Long: `Count the system calls that containers make, by ABI and number, for a while
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

Pods and containers of the selection that start meanwhile are recorded from their first
call, on nodes where there was one of its pods at the beginning, and on those of --node.
Nodes need Linux 5.12 or later with BTF, on amd64 or arm64.`,
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
	cmd.Flags().StringSliceVar(&flags.nodes, "node", nil, "Record on these nodes, too: pods that come there, also if none is there yet")
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
	o.Nodes = flags.nodes
	o.Finish = make(chan struct{})
	probe.finish = o.Finish
	probe.began = func() {
		fmt.Fprintf(o.ErrOut, "recording for %v; Ctrl-C ends it and prints what was seen\n", probe.record)
	}
	o.Resolver, o.Prober, err = o.connect(probe)
	return err
}

// Run records, and prints what was recorded.
func (o *recordOptions) Run(ctx context.Context) error {
	// What comes is watched from before it is looked up what is there.
	watch, err := o.watch(ctx)
	if err != nil {
		return err
	}
	containers, away, err := o.resolve(ctx, watch != nil)
	if err != nil {
		return err
	}
	var all requests
	for _, c := range onReady(containers, away) {
		request := all.on(c.Node)
		request.Containers = append(request.Containers, c)
	}
	for _, node := range o.Nodes {
		all.on(node)
	}
	for i := range all {
		all[i].New = watch != nil
	}
	reports, err := o.Prober.Probe(ctx, all)
	var seen map[string]target.Sighting
	if watch != nil {
		seen = watch.Stop()
	}
	failed, err := o.meanwhile(err, watch != nil)
	if err != nil {
		return err
	}
	list := &v1alpha1.RecordingList{TypeMeta: v1alpha1.TypeMeta("RecordingList"), Items: []v1alpha1.Recording{}}
	var missing []error
	blamed := make(map[string]bool) // nodes of which a container was not recorded
	for _, c := range containers {
		why := away[c.Node]
		if why == nil {
			why = failed[c.Node]
		}
		r, err := recordingOf(c, reports[c.Node], why)
		if err != nil {
			missing = append(missing, err)
			blamed[c.Node] = true
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
	for _, node := range slices.Sorted(maps.Keys(reports)) {
		for i := range reports[node].Problems {
			if !blamed[node] { // else it was told of the container
				o.warn(fmt.Errorf("node %s: %w", node, &reports[node].Problems[i]))
			}
		}
	}
	came := o.newcomers(containers, seen, reports)
	list.Items = append(list.Items, came...)
	if len(list.Items) == 0 {
		if len(containers) == 0 {
			return errors.New("record: nothing of the selection came to " + strings.Join(o.Nodes, ", "))
		}
		return fmt.Errorf("record: none of %d containers was recorded", len(containers))
	}
	var object runtime.Object = list
	if len(containers)+len(came) == 1 {
		object = &list.Items[0]
	}
	if err := o.Printer.PrintObj(object, o.Out); err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("record: %d of %d containers were not recorded", len(missing), len(containers))
	}
	for _, node := range slices.Sorted(maps.Keys(failed)) {
		if reports[node] != nil {
			return fmt.Errorf("record: what was called last on node %s is missing: %w", node, failed[node])
		}
	}
	return nil
}

// watch watches the selection, and has the recording end when nothing can come. Who may
// not watch records what is there.
func (o *recordOptions) watch(ctx context.Context) (*target.Watch, error) {
	w, ok := o.Resolver.(watcher)
	if _, dry := o.Prober.(*dryProber); !ok || dry {
		return nil, nil
	}
	watch, err := w.Watch(ctx, o.Selection)
	if errors.Is(err, target.ErrForbidden) {
		o.warn(fmt.Errorf("containers that start from now on are not recorded: %w", err))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	go func() {
		select {
		case <-watch.Done():
			close(o.Finish)
		case <-ctx.Done():
		}
	}()
	return watch, nil
}

// resolve looks up what runs of the selection. There may be nothing yet where the nodes
// are named to which it may come.
func (o *recordOptions) resolve(ctx context.Context, watched bool) ([]target.Container, map[string]error, error) {
	for _, node := range o.Nodes {
		if err := o.Resolver.CheckNode(ctx, node); err != nil {
			return nil, nil, err
		}
	}
	containers, away, err := o.Resolver.ResolveAll(ctx, o.Selection)
	if watched && len(o.Nodes) > 0 && (errors.Is(err, target.ErrNotFound) || errors.Is(err, target.ErrNotRunning)) {
		return nil, nil, nil
	}
	return containers, away, err
}

// newcomers are the recordings of the containers of the selection that came. Those of
// which there is none are told of.
func (o *recordOptions) newcomers(there []target.Container, seen map[string]target.Sighting, reports map[string]*report.Report) (list []v1alpha1.Recording) {
	sightings := slices.SortedFunc(maps.Values(seen), func(a, b target.Sighting) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Name, b.Name), cmp.Compare(a.RestartCount, b.RestartCount), cmp.Compare(a.ID, b.ID))
	})
	for _, c := range sightings {
		if slices.ContainsFunc(there, func(t target.Container) bool { return t.ID == c.ID }) {
			continue
		}
		r := reports[c.Node]
		_, id, _ := strings.Cut(c.ID, "://")
		switch {
		case r != nil && r.Started[id] != nil:
			m := r.Started[id]
			out := newRecording(c.Container, m, r)
			out.Coverage.Start = true
			list = append(list, *out)
		case !c.Ran: // before this began, as far as is known
		case r == nil:
			o.warn(fmt.Errorf("%s came to node %s, where nothing was recorded: add --node %s", c, c.Node, c.Node))
		default:
			o.warn(fmt.Errorf("%s was not recorded: it started before the recording on node %s began, or made no call", c, c.Node))
		}
	}
	return list
}

// recordingOf is what a report holds of a container's calls, or why nothing.
func recordingOf(c target.Container, r *report.Report, why error) (*v1alpha1.Recording, error) {
	if r == nil || r.Targets[c.ID] == nil || r.Targets[c.ID].Recorded == nil {
		return nil, fmt.Errorf("record %s: %w", c, untold(c, r, why))
	}
	t := r.Targets[c.ID]
	out := newRecording(c, t.Recorded, r)
	out.Problems = source.Problems(t.Problems)
	if s := t.Subject(); s != nil {
		out.Mode, out.FilterCount = s.Mode.String(), s.FilterCount
	}
	return out, nil
}

// newRecording is what was recorded of a container.
func newRecording(c target.Container, m *wire.Recorded, r *report.Report) *v1alpha1.Recording {
	out := &v1alpha1.Recording{TypeMeta: v1alpha1.TypeMeta("Recording"), RecordedRun: v1alpha1.RecordedRun{
		ID: runID(c.ID, m.BeganNS), Source: containerSource(c),
		Began: metav1.NewTime(time.Unix(0, m.BeganNS).UTC()), Ended: metav1.NewTime(time.Unix(0, m.EndedNS).UTC()),
		Calls: []v1alpha1.RecordedCall{},
	}}
	describeNode(&out.Source, r)
	fillRecording(out, m)
	return out
}

// runID names a run: of a container, which has a name of its own in the world, by when
// it began.
func runID(container string, began int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", container, began))
	return hex.EncodeToString(sum[:16])
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
