package printer

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// Names prints what a kind calls the things that it lists, a line each, and
// nothing else.
type Names struct{}

var _ printers.ResourcePrinter = Names{}

// lister is a kind of the API version that lists things with names.
type lister interface {
	// Names are in a form that a command takes.
	Names() []string
}

// PrintObj implements printers.ResourcePrinter.
func (Names) PrintObj(obj runtime.Object, w io.Writer) error {
	list, ok := obj.(lister)
	if !ok {
		return fmt.Errorf("print the names of %T: it has none", obj)
	}
	out := &output{Writer: w}
	for _, name := range list.Names() {
		out.printf("%s\n", terminal.Escape(name))
	}
	return out.err
}
