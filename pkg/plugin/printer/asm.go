package printer

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Assembly prints the filters of a Dump or a DumpList, disassembled. Each
// distinct filter of a container is printed once, where it is first held: those
// of the main thread come first, the oldest before the others.
type Assembly struct{}

var _ printers.ResourcePrinter = Assembly{}

// PrintObj implements printers.ResourcePrinter.
func (Assembly) PrintObj(obj runtime.Object, w io.Writer) error {
	out := &output{Writer: w}
	switch obj := obj.(type) {
	case *v1alpha1.Dump:
		out.assembly(obj)
	case *v1alpha1.DumpList:
		for i := range obj.Items {
			if i > 0 {
				out.printf("\n")
			}
			out.assembly(&obj.Items[i])
		}
	default:
		return fmt.Errorf("disassemble %T: it holds no filters", obj)
	}
	return out.err
}

func (o *output) assembly(d *v1alpha1.Dump) {
	filters, abis, err := decode(d)
	if err != nil {
		o.err = err
		return
	}
	printed := make(map[string]bool)
	for i, s := range d.States {
		whose := "main thread"
		if i > 0 {
			o.printf("\n")
			whose = count(s.Threads, "other thread")
			if len(s.Sample) > 0 {
				whose += ", such as " + thread(s.Sample[0])
			}
		}
		o.printf("; %s, %s: mode %s, filters: %s\n", container(d.Source), whose, s.Mode, filtersOf(s.Confinement))
		for n, hash := range s.Filters {
			age := ""
			if len(s.Filters) > 1 {
				switch n {
				case 0:
					age = ", the oldest"
				case len(s.Filters) - 1:
					age = ", the newest"
				}
			}
			o.printf("\n; filter %d of %d%s: %s, sha256 %s\n", n+1, len(s.Filters), age, count(len(filters[hash]), "instruction"), hash)
			if printed[hash] {
				o.printf("; printed above\n")
				continue
			}
			printed[hash] = true
			if o.err == nil {
				o.err = filters[hash].Disassemble(o.Writer, abis)
			}
		}
	}
}

// decode returns a dump's filters by hash, and the ABIs of its node.
func decode(d *v1alpha1.Dump) (map[string]bpf.Filter, []syscalls.ABI, error) {
	var abis []syscalls.ABI
	for _, name := range d.Source.ABIs {
		abi, err := syscalls.ParseABI(name)
		if err != nil {
			return nil, nil, err
		}
		abis = append(abis, abi)
	}
	if len(abis) == 0 {
		return nil, nil, bpf.ErrNoABI
	}
	filters := make(map[string]bpf.Filter)
	for _, f := range d.Filters {
		filter, err := bpf.Decode(f.Program, abis[0].ByteOrder())
		if err != nil {
			return nil, nil, fmt.Errorf("filter %s: %w", f.SHA256, err)
		}
		filters[f.SHA256] = filter
	}
	return filters, abis, nil
}
