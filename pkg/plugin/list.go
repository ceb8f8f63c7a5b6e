package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/verify"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// listOptions is what `list` does.
type listOptions struct {
	*common
	Resolver  Resolver
	Prober    Prober
	Printer   printers.ResourcePrinter
	Selection target.Selection
	// Local, if not nil, is read in place of the cluster.
	Local   Machine
	Request probe.Request
	Timeout time.Duration
}

func newListCommand(c *common, name string) *cobra.Command {
	probe, pods, output := new(probeFlags), new(podFlags), newOutputFlags()
	var local bool
	cmd := &cobra.Command{
		Use:                   "list [POD | TYPE/NAME | node/NODE]... [flags]",
		Aliases:               []string{"ls"},
		DisableFlagsInUseLine: true,
		Short:                 "List containers and what confines them",
		Long: `List containers with what confines them, a line each: the filters, the profile that
is declared, what most unassigned numbers get, how many of the syscalls are allowed
whatever their arguments, and the policy's fingerprint.

Containers with the same fingerprint do the same with every call, on whichever node.

Without an operand, the containers of the namespace's pods are listed. node/NODE lists
all containers of a node, and its other processes that have a filter; --local does so
on this machine, without a cluster.

The line is about the main thread of the container's init process; how many threads
are confined in another way is told. Whether what is declared is what is enforced,
verify tells; here stands only what plainly does not fit.`,
		Example: examples(name,
			`# The namespace's pods; all pods; those with a label`,
			`kubectl seccomp list`,
			`kubectl seccomp list -A`,
			`kubectl seccomp list -l app=web`,
			`# Everything with a filter on a node`,
			`kubectl seccomp list node/worker-1`,
			`# The same of this machine, as root`,
			`sudo kubectl-seccomp list --local`,
			`# The pods that no filter confines`,
			`kubectl seccomp list -A -o jsonpath='{range .items[?(@.mode=="disabled")]}{.namespace}/{.pod}{"\n"}{end}'`),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &listOptions{common: c}
			if local {
				o.Local = c.local
			}
			if err := o.Complete(probe, pods, output, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	probe.add(cmd.Flags())
	pods.add(cmd.Flags())
	cmd.Flags().BoolVar(&local, "local", false, "List this machine's containers and processes, without a cluster")
	output.add(cmd, "wide")
	return cmd
}

// Complete turns flags and operands into what is to be done.
func (o *listOptions) Complete(probe *probeFlags, pods *podFlags, output *outputFlags, args []string) (err error) {
	if err := probe.validate(); err != nil {
		return err
	}
	if o.Selection, err = o.selection(pods, args); err != nil {
		return err
	}
	if o.Printer, err = output.printer(humanAndWide(printer.Human{Color: output.color})); err != nil {
		return err
	}
	if o.Local != nil {
		if len(args) > 0 || pods.set() {
			return errors.New("--local: all of this machine is listed, which no operand or selector goes with")
		}
		if probe.dry() {
			return errNoPods
		}
		o.Request = localRequest(probe)
		o.Timeout = probe.timeout
		return nil
	}
	probe.keepGoing = true
	o.Resolver, o.Prober, err = o.connect(probe)
	return err
}

// localRequest asks for all of this machine.
func localRequest(f *probeFlags) probe.Request {
	return probe.Request{Version: Version, AllThreads: f.allThreads, All: true}
}

// selection is that of the flags and operands, which may be a node.
func (o *listOptions) selection(pods *podFlags, args []string) (target.Selection, error) {
	var nodes []string
	for _, arg := range args {
		if node := nodeName(arg); node != "" {
			nodes = append(nodes, node)
		}
	}
	switch {
	case len(nodes) == 0:
		return pods.selection(*o.config.Namespace, args)
	case len(args) > 1:
		return target.Selection{}, errors.New("node/NODE: it is listed alone")
	case len(validation.IsDNS1123Subdomain(nodes[0])) > 0:
		return target.Selection{}, fmt.Errorf("operand %q: want node/NODE", args[0])
	case pods.set():
		return target.Selection{}, errors.New("node/NODE: everything on it is listed, which no selector goes with")
	}
	return target.Selection{AllNamespaces: true, Node: nodes[0]}, nil
}

// nodeName is the node that an operand names, "" if it names none.
func nodeName(arg string) string {
	kind, name, _ := strings.Cut(arg, "/")
	switch strings.ToLower(kind) {
	case "no", "node", "nodes":
		return name
	}
	return ""
}

// Run reads what is to be listed and prints a line for each.
func (o *listOptions) Run(ctx context.Context) error {
	l := lister{prints: make(map[string]string)}
	read := o.readCluster
	if o.Local != nil {
		read = o.readLocal
	}
	if err := read(ctx, &l); err != nil {
		return err
	}
	list := &v1alpha1.ConfinementList{TypeMeta: v1alpha1.TypeMeta("ConfinementList"), Items: l.items}
	if list.Items == nil {
		list.Items = []v1alpha1.ConfinementItem{}
	}
	if err := o.Printer.PrintObj(list, o.Out); err != nil {
		return err
	}
	if l.unread > 0 {
		return fmt.Errorf("list: %d of %d were not read", l.unread, len(l.items))
	}
	return nil
}

// readLocal lists this machine.
func (o *listOptions) readLocal(ctx context.Context, l *lister) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, tookTooLong(o.Timeout))
	defer cancel()
	r, err := o.Local.Read(ctx, o.Request)
	if err != nil {
		return err
	}
	for i := range r.Problems {
		o.warn(&r.Problems[i])
	}
	return l.others("", r, nil)
}

// readCluster lists containers of pods, and a node's.
func (o *listOptions) readCluster(ctx context.Context, l *lister) error {
	containers, away, err := o.containers(ctx)
	if err != nil {
		return err
	}
	var all requests
	for _, c := range onReady(containers, away) {
		request := all.on(c.Node)
		request.Containers = append(request.Containers, c)
	}
	if o.Selection.Node != "" {
		all.on(o.Selection.Node).All = true
	}
	reports, err := o.Prober.Probe(ctx, all)
	rest, why, err := o.partial(containers, away, err)
	if err != nil {
		return err
	}
	for _, c := range rest {
		if err := l.container(c, reports[c.Node], why.unread(c)); err != nil {
			return err
		}
	}
	for _, node := range slices.Sorted(maps.Keys(reports)) {
		r := reports[node]
		if err := l.others(node, r, containers); err != nil {
			return err
		}
		for i := range r.Problems {
			o.warn(fmt.Errorf("node %s: %w", node, &r.Problems[i]))
		}
	}
	return nil
}

// containers are those to be listed. A node may have none.
func (o *listOptions) containers(ctx context.Context) (all []target.Container, away map[string]error, err error) {
	if o.Selection.Node == "" {
		return o.Resolver.ResolveAll(ctx, o.Selection)
	}
	if err := o.Resolver.CheckNode(ctx, o.Selection.Node); err != nil {
		return nil, nil, err
	}
	all, away, err = o.Resolver.ResolveAll(ctx, o.Selection)
	if errors.Is(err, target.ErrNotFound) || errors.Is(err, target.ErrNotRunning) {
		err = nil
	}
	return all, away, err
}

// lister makes the lines.
type lister struct {
	items  []v1alpha1.ConfinementItem
	unread int
	prints map[string]string // fingerprints, by what the filters are
}

// container adds a container of a pod.
func (l *lister) container(c target.Container, r *report.Report, failed error) error {
	declared := verify.Declaration(c.Declared)
	item := v1alpha1.ConfinementItem{Source: containerSource(c), Declared: &declared}
	var t *report.Target
	if r != nil {
		describeNode(&item.Source, r)
		t = r.Targets[c.ID]
	}
	if failed != nil {
		t = nil
		code := "node"
		if errors.Is(failed, target.ErrRestarted) {
			code = wire.CodeChanged
		}
		item.Problems = append(item.Problems, v1alpha1.Problem{Code: code, Message: terminal.Line(failed.Error())})
	}
	return l.add(item, r, t)
}

// others adds what was found on a node beside the containers that were asked for.
func (l *lister) others(node string, r *report.Report, asked []target.Container) error {
	known := make(map[string]bool, len(asked))
	for _, c := range asked {
		known[c.ID] = true
	}
	byPID := func(a, b *report.Target) int { return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.ID, b.ID)) }
	for _, t := range slices.SortedFunc(maps.Values(r.Targets), byPID) {
		if known[t.ID] {
			continue
		}
		item := v1alpha1.ConfinementItem{Source: v1alpha1.Source{Operand: processOperand(node, t.PID), Node: node}}
		if t.Container != "" {
			item.ContainerID = terminal.Escape(t.ID)
		}
		describeNode(&item.Source, r)
		if err := l.add(item, r, t); err != nil {
			return err
		}
	}
	return nil
}

// processOperand names a process, of this machine if there is no node.
func processOperand(node string, pid int) string {
	if node == "" {
		return fmt.Sprintf("pid:%d", pid)
	}
	return fmt.Sprintf("node/%s:%d", node, pid)
}

// add completes a line by what a report says of its target, nil for nothing.
func (l *lister) add(item v1alpha1.ConfinementItem, r *report.Report, t *report.Target) error {
	var subject *report.State
	if t != nil {
		item.PID, item.Processes, item.Threads, item.Compat = t.PID, t.Processes, t.Threads, t.Compat
		item.Comm = terminal.Escape(t.Comm)
		item.Problems = append(item.Problems, source.Problems(t.Problems)...)
		subject = t.Subject()
	}
	if subject == nil || !readable(subject) {
		l.unread++
		l.items = append(l.items, item)
		return nil
	}
	native := r.ABIs[0]
	item.Read = true
	item.Confinement = source.Confinement(subject, native.ByteOrder())
	for _, s := range t.States {
		if s.Mode != subject.Mode || !slices.EqualFunc(s.Stack, subject.Stack, slices.Equal[bpf.Filter]) {
			item.Differing += s.Threads
		}
	}
	if subject.Mode != wire.ModeStrict {
		var err error
		if item.Fingerprint, err = l.fingerprint(item.Arch, item.Filters, subject, native); err != nil {
			return err
		}
		s := survey.Of(nil, native)
		if len(subject.Surveys) > 0 {
			s = subject.Surveys[0]
		}
		countCalls(&item, s)
	}
	item.Mismatches = mismatches(item)
	l.items = append(l.items, item)
	return nil
}

// fingerprint returns that of a state's policy, "" if it has none.
func (l *lister) fingerprint(arch string, hashes []string, s *report.State, native syscalls.ABI) (string, error) {
	if s.Fingerprint != "" {
		return s.Fingerprint, nil
	}
	key := arch + " " + strings.Join(hashes, " ")
	if print, ok := l.prints[key]; ok {
		return print, nil
	}
	p, err := policy.Of(s.Stack, native.ByteOrder())
	if err != nil {
		return "", err
	}
	print, err := p.Fingerprint()
	if errors.Is(err, policy.ErrUndecided) {
		err = nil
	}
	l.prints[key] = print
	return print, err
}

// countCalls fills in what a survey of the native ABI says.
func countCalls(item *v1alpha1.ConfinementItem, s survey.Survey) {
	for _, call := range s.ABI.Table() {
		item.Syscalls++
		switch o := s.Outcome(call.Number); {
		case o.Depends, o.Undecided:
			item.Conditional++
		case o.Return.Action() == bpf.Allow, o.Return.Action() == bpf.Log:
			item.Allowed++
		}
	}
	if !s.Default.Depends && !s.Default.Undecided {
		a := actionOf(policy.Outcome{Return: s.Default.Return}, s.ABI)
		item.Default = &a
	}
}

// mismatches is what plainly does not fit a declaration.
func mismatches(item v1alpha1.ConfinementItem) (list []string) {
	d := item.Declared
	confined := item.Mode != wire.ModeDisabled.String()
	if d != nil {
		wanted := d.Type == string(corev1.SeccompProfileTypeRuntimeDefault) || d.Type == string(corev1.SeccompProfileTypeLocalhost)
		switch {
		case wanted && !confined && d.Privileged:
			list = append(list, "unconfined, as it is privileged")
		case wanted && !confined:
			list = append(list, "unconfined")
		case !wanted && confined && d.Type != "":
			list = append(list, "has a filter all the same")
		case item.FilterCount > 1:
			list = append(list, "has filters of its own")
		}
	}
	if item.Differing > 0 {
		list = append(list, fmt.Sprintf("%d of %d threads are confined in another way", item.Differing, item.Threads))
	}
	if item.Compat > 0 {
		list = append(list, fmt.Sprintf("%d of %d processes are of another ABI", item.Compat, item.Processes))
	}
	return list
}
