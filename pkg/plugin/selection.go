package plugin

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// selection says which calls are listed, and how they are looked at.
type selection struct {
	v1alpha1.Selection
}

func (s *selection) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&s.ABIs, "abi", nil, "Show only calls of these ABIs")
	flags.StringSliceVar(&s.Syscalls, "syscall", nil, "Show only these syscalls")
	flags.BoolVar(&s.Risky, "risky", false, "Show only syscalls with a known risk, and the risk")
	flags.BoolVar(&s.Reduced, "reduce", false, "Show whether calls are denied, mediated or executed, and not in which manner")
	addView(flags, &s.View)
}

const viewWritten = "written"

func addView(flags *pflag.FlagSet, view *string) {
	flags.StringVar(view, "view", viewWritten, "What arguments are: whole registers as filters are written, or what the kernel looks at: written, kernel")
}

// completeView checks what --view says and brings it into the form that is
// printed.
func completeView(view *string) error {
	switch *view {
	case viewWritten:
		*view = ""
	case v1alpha1.ViewKernel:
	default:
		return fmt.Errorf("--view %s: want written or kernel", failure.Quote(*view))
	}
	return nil
}

// policyIn is a policy of a source, in the view that is asked for.
func policyIn(view string, from *source.Source, state int) (*policy.Policy, error) {
	p, err := from.Policy(state)
	if err == nil && view == v1alpha1.ViewKernel {
		p = p.KernelView()
	}
	return p, err
}

// complete checks what the flags say and brings it into the form that is printed.
func (s *selection) complete() error {
	for i, name := range s.ABIs {
		abi, err := syscalls.ParseABI(name)
		if err != nil {
			return fmt.Errorf("--abi: %w", err)
		}
		s.ABIs[i] = abi.String()
	}
	for _, name := range s.Syscalls {
		if !slices.ContainsFunc(syscalls.ABIs(), func(abi syscalls.ABI) bool { _, ok := abi.Number(name); return ok }) {
			return fmt.Errorf("--syscall %s: there is none of that name in Linux %s", failure.Quote(name), syscalls.KernelVersion)
		}
	}
	return completeView(&s.View)
}

// all tells whether everything is listed, as it is written.
func (s *selection) all() bool {
	return len(s.ABIs) == 0 && len(s.Syscalls) == 0 && !s.Risky && !s.Reduced && s.View == ""
}

// shown is the selection as it is printed: nil for everything.
func (s *selection) shown() *v1alpha1.Selection {
	if s.all() {
		return nil
	}
	out := s.Selection
	return &out
}

// policyOf is a policy of a source, in the view that is asked for.
func (s *selection) policyOf(from *source.Source, state int) (*policy.Policy, error) {
	return policyIn(s.View, from, state)
}

// has tells whether calls of an ABI, by the name it is printed with, and of a
// syscall are listed; of numbers without a name if syscall is "".
func (s *selection) has(abi, syscall string) bool {
	if len(s.ABIs) > 0 && !slices.Contains(s.ABIs, abi) {
		return false
	}
	if len(s.Syscalls) > 0 && !slices.Contains(s.Syscalls, syscall) {
		return false
	}
	if s.Risky {
		b, _ := syscalls.BackgroundOf(syscall)
		return b.Risk != ""
	}
	return true
}

// action is an action as it is listed.
func (s *selection) action(o policy.Outcome, abi syscalls.ABI) v1alpha1.Action {
	if !s.Reduced || o.Undecided {
		return actionOf(o, abi)
	}
	switch policy.AccessOf(o.Return.Action()) {
	case policy.Executed:
		return v1alpha1.Action{Action: v1alpha1.ActionExecuted}
	case policy.Mediated:
		return v1alpha1.Action{Action: v1alpha1.ActionMediated}
	}
	return v1alpha1.Action{Action: v1alpha1.ActionDenied}
}

// risks are those of the syscalls that are listed, if they are asked for.
func (s *selection) risks(names []string) (list []v1alpha1.Risk) {
	if !s.Risky {
		return nil
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if b, _ := syscalls.BackgroundOf(name); b.Risk != "" {
			list = append(list, v1alpha1.Risk{Syscall: name, Risk: b.Risk})
		}
	}
	return list
}
