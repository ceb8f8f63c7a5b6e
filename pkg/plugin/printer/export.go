package printer

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Raw writes one filter of a dump's subject as the kernel has it in memory: an
// array of struct sock_filter.
type Raw struct {
	// Filter is which one, from 1, the oldest; 0 for the only one.
	Filter int
}

// Profile writes an OCI profile that gives exactly the policy of a dump's subject
// when an OCI runtime loads it, or an error that says why there is none.
type Profile struct {
	OCIRuntime profile.OCIRuntime
}

// DOT draws the policy of a dump's subject in Graphviz's language.
type DOT struct{}

var (
	_ printers.ResourcePrinter = Raw{}
	_ printers.ResourcePrinter = Profile{}
	_ printers.ResourcePrinter = DOT{}
)

// PrintObj implements printers.ResourcePrinter.
func (r Raw) PrintObj(obj runtime.Object, w io.Writer) error {
	d, stack, abis, err := subject(obj)
	if err != nil {
		return err
	}
	n := r.Filter
	switch {
	case len(stack) == 0:
		return fmt.Errorf("write a filter of %s: it has none", container(d.Source))
	case n == 0 && len(stack) > 1:
		return fmt.Errorf("write a filter of %s: it has %d: choose one with --filter, from 1, the oldest, to %d", container(d.Source), len(stack), len(stack))
	case n > len(stack):
		return fmt.Errorf("write filter %d of %s: it has only %d", n, container(d.Source), len(stack))
	case terminal.IsTerminal(w):
		return fmt.Errorf("write a filter of %s: it is binary and would go to a terminal: redirect the output", container(d.Source))
	}
	_, err = w.Write(stack[max(n, 1)-1].Encode(abis[0].ByteOrder()))
	return err
}

// PrintObj implements printers.ResourcePrinter.
func (p Profile) PrintObj(obj runtime.Object, w io.Writer) error {
	d, stack, abis, err := subject(obj)
	if err != nil {
		return err
	}
	of, err := policy.Of(stack, abis[0].ByteOrder())
	if err != nil {
		return err
	}
	out, err := profile.FromPolicy(of, profile.Target{Arch: d.Source.Arch, OCIRuntime: p.OCIRuntime})
	if err != nil {
		return fmt.Errorf("%s: %w", container(d.Source), err)
	}
	_, err = w.Write(out.JSON())
	return err
}

// PrintObj implements printers.ResourcePrinter.
func (DOT) PrintObj(obj runtime.Object, w io.Writer) error {
	d, stack, abis, err := subject(obj)
	if err != nil {
		return err
	}
	of, err := policy.Of(stack, abis[0].ByteOrder())
	if err != nil {
		return err
	}
	if err := of.WriteDOT(w, abis[0]); err != nil {
		return fmt.Errorf("%s: %w", container(d.Source), err)
	}
	return nil
}

// subject returns the filters of a dump's first state, the oldest first.
func subject(obj runtime.Object) (*v1alpha1.Dump, bpf.Stack, []syscalls.ABI, error) {
	var d *v1alpha1.Dump
	switch obj := obj.(type) {
	case *v1alpha1.Dump:
		d = obj
	case *v1alpha1.DumpList:
		return nil, nil, nil, fmt.Errorf("this output is of one container, and there are %d: name one of them, such as %s", len(obj.Items), obj.Items[0].Source.Name())
	default:
		return nil, nil, nil, fmt.Errorf("export %T: it holds no filters", obj)
	}
	if d.States[0].Mode == "strict" {
		return nil, nil, nil, fmt.Errorf("export %s: its main thread is in seccomp's strict mode, which has no filters", container(d.Source))
	}
	filters, abis, err := decode(d)
	if err != nil {
		return nil, nil, nil, err
	}
	var stack bpf.Stack
	for _, hash := range d.States[0].Filters {
		stack = append(stack, filters[hash])
	}
	return d, stack, abis, nil
}
