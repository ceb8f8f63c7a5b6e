package plugin

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// explainOptions is what `explain` does.
type explainOptions struct {
	*common
	*operands
	Printer printers.ResourcePrinter
	ABI     syscalls.ABI // zero: the first of the source's that has the syscall
	Syscall string
	Args    []string
	View    string
}

func newExplainCommand(c *common, name string) *cobra.Command {
	flags, output := new(sourceFlags), newOutputFlags()
	var abi, view string
	cmd := &cobra.Command{
		Use:                   "explain SOURCE SYSCALL [ARG...] [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Explain what seccomp does with one syscall, and why",
		Long: `Explain what the filters of a source do with a syscall: the action, the filter
and the instruction that decide it, the conditions for each action there is, what
stands out, such as another way to the same, and what is known about the syscall.

SOURCE is

` + operandHelp + `
SYSCALL is a name or a number. An ARG is a value, in the order of the parameters,
or NAME=VALUE with the kernel's name of a parameter or arg0 to arg5; arguments that
are not given are 0. A VALUE is numbers and names of flags, joined by "|"; one
below 0 needs the NAME. Without any ARG, all that can happen is shown.

With --view kernel, a call gets what the filters let it get with any value of what
the kernel ignores of its arguments, such as the upper half of an int.`,
		Example: examples(name,
			`# May the pod web make a user namespace? Who says so?`,
			`kubectl seccomp explain web clone flags=CLONE_NEWUSER`,
			`# What becomes of socket, whatever its arguments?`,
			`kubectl seccomp explain web socket`,
			`# Can it get around that with what the kernel does not look at?`,
			`kubectl seccomp explain web socket AF_VSOCK --view kernel`,
			`# By position, for 32-bit programs, under a profile`,
			`kubectl seccomp explain ./profile.json socket AF_VSOCK SOCK_STREAM --abi 386`),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) >= 2 {
				return nil
			}
			return fmt.Errorf("%s takes a source, a syscall and perhaps arguments of it; see `%s --help`", cmd.Name(), cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o := &explainOptions{common: c, View: view}
			if err := o.Complete(flags, output, abi, args); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&abi, "abi", "", "ABI of the call; default: the first of the machine's that has the syscall")
	addView(cmd.Flags(), &view)
	output.add(cmd)
	return cmd
}

// Complete turns flags and operands into what is to be done.
func (o *explainOptions) Complete(flags *sourceFlags, output *outputFlags, abi string, args []string) (err error) {
	o.Syscall, o.Args = args[1], args[2:]
	if err := completeView(&o.View); err != nil {
		return err
	}
	if abi != "" {
		if o.ABI, err = syscalls.ParseABI(abi); err != nil {
			return fmt.Errorf("--abi: %w", err)
		}
	}
	if o.Printer, err = output.printer(map[string]printers.ResourcePrinter{"": printer.Human{Color: output.color}}); err != nil {
		return err
	}
	o.operands, err = o.newOperands(flags, args[0])
	return err
}

// Run reads the source and prints what it does with the syscall.
func (o *explainOptions) Run(ctx context.Context) error {
	sources, err := o.read(ctx)
	if err != nil {
		return err
	}
	s, err := o.alike(sources[0])
	if err != nil {
		return err
	}
	for _, s := range sources[0] {
		o.warnOf(s)
	}
	abis := s.ABIs
	if o.ABI != 0 {
		if !slices.Contains(abis, o.ABI) {
			return fmt.Errorf("--abi %v: %s has only %v", o.ABI, s.Name(), abis)
		}
		abis = []syscalls.ABI{o.ABI}
	}
	abi, nr, err := findSyscall(o.Syscall, abis)
	if err != nil {
		return err
	}
	call, err := parseCall(abi, nr, o.Args)
	if err != nil {
		return err
	}
	e, err := explain(s, o.View, abi, call, len(o.Args) > 0)
	if err != nil {
		return err
	}
	return o.Printer.PrintObj(e, o.Out)
}

// explain tells what is done with a syscall and, if asked for or the same for
// all, with one call of it.
func explain(s *source.Source, view string, abi syscalls.ABI, call bpf.Data, asked bool) (*v1alpha1.Explanation, error) {
	if s.Dump.States[0].Mode == wire.ModeStrict.String() {
		return nil, fmt.Errorf("explain %s: its main thread is in seccomp's strict mode, which has no filters", s.Name())
	}
	p, err := policyIn(view, s, 0)
	if err != nil {
		return nil, err
	}
	partition, err := p.Partition(policy.Options{ABIs: s.ABIs})
	if err != nil {
		return nil, err
	}
	name, _ := abi.Name(call.NR)
	e := &v1alpha1.Explanation{
		TypeMeta: v1alpha1.TypeMeta("Explanation"), Source: s.Dump.Source,
		ABI: abi.String(), Syscall: name, NR: fmt.Sprintf("%#x", call.NR), View: view,
		Decisions: []v1alpha1.Decision{}, Background: backgroundOf(name),
	}
	for _, param := range abi.Params(name) {
		e.Parameters = append(e.Parameters, v1alpha1.Parameter{Name: param.Name, Type: param.Type})
	}
	if name != "" {
		if e.Findings, err = findings(s, p, func(a, syscall string) bool { return a == e.ABI && syscall == name }); err != nil {
			return nil, err
		}
	}
	rule, ok := partition.Find(call.Arch, call.NR)
	e.Truncated = !ok
	asked = asked || len(rule.Decisions) == 1
	for _, d := range rule.Decisions {
		out := v1alpha1.Decision{Action: actionOf(d.Outcome, abi), Holds: asked && d.Condition.Holds(&call)}
		out.Condition, out.Outline = words(d.Condition)
		e.Decisions = append(e.Decisions, out)
	}
	if !asked {
		return e, nil
	}
	e.Verdict, err = decide(s, p, view, abi, call)
	return e, err
}

// decide runs the filters with a call or, in a view, with one that the kernel
// cannot tell from it. What they do must be what the policy says.
func decide(s *source.Source, p *policy.Policy, view string, abi syscalls.ABI, call bpf.Data) (*v1alpha1.Verdict, error) {
	stack := s.Stacks[0]
	by, err := p.Show(&call)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name(), err)
	}
	run := stack.Run(&by, s.Order())
	outcome := policy.Outcome{Return: run.Ret}
	if view != "" {
		outcome = p.Outcome(&call)
	}
	v := &v1alpha1.Verdict{Witness: *newWitness(policy.Scope{ABI: abi}, call), Action: actionOf(outcome, abi)}
	if by != call {
		v.ReachedBy = newWitness(policy.Scope{ABI: abi}, by)
	}
	if outcome.Undecided || run.Filter < 0 {
		return v, nil
	}
	var text bytes.Buffer
	if err := stack[run.Filter].Disassemble(&text, s.ABIs); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	first, end := max(run.PC-linesBefore, 0), min(run.PC+linesAfter+1, len(lines))
	v.DecidedBy = &v1alpha1.Instruction{
		Filter: run.Filter, Filters: len(stack), PC: run.PC, First: first, Listing: lines[first:end],
	}
	return v, nil
}

// How much of a filter is shown around the instruction that decided.
const (
	linesBefore = 4
	linesAfter  = 1
)

func backgroundOf(name string) *v1alpha1.Background {
	b, ok := syscalls.BackgroundOf(name)
	if !ok {
		return nil
	}
	return &v1alpha1.Background{What: b.What, Risk: b.Risk, Capability: b.Capability, For: b.For, Since: b.Since, Twins: b.Twins, Source: b.Source}
}
