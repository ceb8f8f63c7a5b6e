package plugin

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

// podFlags say of which pods all containers are meant.
type podFlags struct {
	labels, fields string
	all            bool
}

func (f *podFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.labels, "selector", "l", "", "Only pods with these labels: a label selector")
	flags.StringVar(&f.fields, "field-selector", "", "Only pods with these fields: a field selector")
	flags.BoolVarP(&f.all, "all-namespaces", "A", false, "Pods of all namespaces")
}

// set tells whether one of the flags is.
func (f *podFlags) set() bool { return f.labels != "" || f.fields != "" || f.all }

// selection is what flags and operands mean together; namespace is that of
// --namespace.
func (f *podFlags) selection(namespace string, args []string) (s target.Selection, err error) {
	if f.all && namespace != "" {
		return s, errors.New("--namespace and --all-namespaces: use one or the other")
	}
	if len(args) > 0 && f.set() {
		return s, errors.New("operands name pods, and --selector, --field-selector and --all-namespaces select them: use one or the other")
	}
	if _, err := labels.Parse(f.labels); err != nil {
		return s, fmt.Errorf("--selector %q: %w", f.labels, err)
	}
	if _, err := fields.ParseSelector(f.fields); err != nil {
		return s, fmt.Errorf("--field-selector %q: %w", f.fields, err)
	}
	s = target.Selection{AllNamespaces: f.all, Labels: f.labels, Fields: f.fields}
	for _, arg := range args {
		o, err := target.Parse(arg)
		if err != nil {
			return s, err
		}
		if o.RuntimeDefault || o.PID != 0 {
			return s, fmt.Errorf("operand %q: want pods: NAME, TYPE/NAME or NAMESPACE/TYPE/NAME", arg)
		}
		s.Operands = append(s.Operands, o)
	}
	return s, nil
}
