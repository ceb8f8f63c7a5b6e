package plugin

import (
	"errors"
	"fmt"
	"maps"
	"os"
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
	// noHeaders leaves out the headings of columns.
	noHeaders bool
}

func newOutputFlags() *outputFlags {
	return &outputFlags{template: genericclioptions.NewKubeTemplatePrintFlags(), color: "auto"}
}

// Formats of every kind, beside those that are cli-runtime's.
const (
	formatName        = "name"
	formatColumns     = "custom-columns"
	formatColumnsFile = "custom-columns-file"
)

// formats are those of a command with formats of its own.
func (f *outputFlags) formats(own []string) []string {
	return slices.Concat(own, f.data.AllowedFormats(), []string{formatName}, f.template.AllowedFormats(), []string{formatColumns, formatColumnsFile})
}

// add registers the flags; own are the command's formats beside the usual ones.
func (f *outputFlags) add(cmd *cobra.Command, own ...string) {
	cmd.Flags().StringVarP(&f.format, "output", "o", "", "Output format: "+strings.Join(f.formats(own), ", "))
	completeFlags(cmd, cmd.Flags(), map[string]func(string) []string{"output": func(string) []string { return f.formats(own) }})
	cmd.Flags().BoolVar(&f.noHeaders, "no-headers", false, "Leave out the headings of columns")
	cmd.Flags().Var(&f.color, "color", "Colour the output: auto, always, never")
	f.template.AddFlags(cmd)
}

// printer returns the printer that the flags ask for: one of own, by name, or
// one for any kind.
func (f *outputFlags) printer(own map[string]printers.ResourcePrinter) (printers.ResourcePrinter, error) {
	p, err := f.choose(own)
	if err != nil || !f.noHeaders {
		return p, err
	}
	table, ok := p.(interface {
		WithoutHeaders() printers.ResourcePrinter
	})
	if !ok {
		return nil, fmt.Errorf("--no-headers: output format %q has no columns with headings", f.format)
	}
	return table.WithoutHeaders(), nil
}

func (f *outputFlags) choose(own map[string]printers.ResourcePrinter) (printers.ResourcePrinter, error) {
	format := f.format
	if format == "" && *f.template.TemplateArgument != "" {
		format = "go-template"
	}
	if p, ok := own[format]; ok {
		return p, nil
	}
	if p, ok, err := f.columns(format); ok {
		return p, err
	}
	if format == formatName {
		return printer.Names{}, nil
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
	return nil, fmt.Errorf("output format %q: want one of %s", f.format, strings.Join(f.formats(names), ", "))
}

// columns is the printer of columns of the user's choice, ok whether format asks for
// it. What they are is behind "=", or in the flag template.
func (f *outputFlags) columns(format string) (p printers.ResourcePrinter, ok bool, err error) {
	format, text, named := strings.Cut(format, "=")
	if !named {
		text = *f.template.TemplateArgument
	}
	switch format {
	case formatColumns:
		p, err = printer.ParseColumns(text)
	case formatColumnsFile:
		if text == "" {
			return nil, true, errors.New("custom-columns-file: want a file behind it: custom-columns-file=FILE")
		}
		var content []byte
		if content, err = os.ReadFile(text); err == nil {
			p, err = printer.ParseColumnsFile(content)
		}
	default:
		return nil, false, nil
	}
	return p, true, err
}

// humanAndWide are the printers of a command whose output for people has a wide form.
func humanAndWide(human printer.Human) map[string]printers.ResourcePrinter {
	wide := human
	wide.Wide = true
	return map[string]printers.ResourcePrinter{"": human, "wide": wide}
}

// humanAndReports are those, and the printers for where changes are reviewed.
func humanAndReports(human printer.Human) map[string]printers.ResourcePrinter {
	own := humanAndWide(human)
	own["markdown"] = printer.Markdown{}
	own["sarif"] = printer.SARIF{Version: Version}
	return own
}
