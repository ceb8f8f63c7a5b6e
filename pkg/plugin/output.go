package plugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// outputFlags are those that say how a result is printed.
type outputFlags struct {
	format   string
	data     genericclioptions.JSONYamlPrintFlags
	template *genericclioptions.KubeTemplatePrintFlags
	color    terminal.Color
}

func newOutputFlags() *outputFlags {
	return &outputFlags{template: genericclioptions.NewKubeTemplatePrintFlags(), color: "auto"}
}

// add registers the flags; own are the command's formats beside the usual ones.
func (f *outputFlags) add(cmd *cobra.Command, own ...string) {
	formats := slices.Concat(own, f.data.AllowedFormats(), f.template.AllowedFormats())
	cmd.Flags().StringVarP(&f.format, "output", "o", "", "Output format: "+strings.Join(formats, ", "))
	cmd.Flags().Var(&f.color, "color", "Colour the output: auto, always, never")
	f.template.AddFlags(cmd)
}

// printer returns the printer that the flags ask for: one of own, by name, or
// one for any kind.
func (f *outputFlags) printer(own map[string]printers.ResourcePrinter) (printers.ResourcePrinter, error) {
	format := f.format
	if format == "" && *f.template.TemplateArgument != "" {
		format = "go-template"
	}
	if p, ok := own[format]; ok {
		return p, nil
	}
	p, err := f.data.ToPrinter(format)
	if !genericclioptions.IsNoCompatiblePrinterError(err) {
		return p, err
	}
	p, err = f.template.ToPrinter(format)
	if !genericclioptions.IsNoCompatiblePrinterError(err) {
		return p, err
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(own)), func(s string) bool { return s == "" })
	formats := slices.Concat(names, f.data.AllowedFormats(), f.template.AllowedFormats())
	return nil, fmt.Errorf("output format %q: want one of %s", f.format, strings.Join(formats, ", "))
}

// humanAndWide are the printers of a command whose output for people has a wide form.
func humanAndWide(human printer.Human) map[string]printers.ResourcePrinter {
	wide := human
	wide.Wide = true
	return map[string]printers.ResourcePrinter{"": human, "wide": wide}
}
