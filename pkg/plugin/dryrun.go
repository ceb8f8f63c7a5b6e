package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// errDryRun ends a command that has printed what it would create.
var errDryRun = errors.New("dry run")

// errNoPods is --dry-run without anything in the cluster.
var errNoPods = errors.New("--dry-run: nothing is read in the cluster, so that no pod would be created")

// dryProber prints the objects that a prober would create, and creates none.
type dryProber struct {
	options probepod.Options
	printer printers.ResourcePrinter
	out     io.Writer
}

// Probe returns errDryRun once it has printed.
func (p *dryProber) Probe(_ context.Context, requests []probepod.Request) (map[string]*report.Report, error) {
	if len(requests) == 0 {
		return nil, errNoPods
	}
	objects, err := probepod.Objects(p.options, requests)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		if err := p.printer.PrintObj(object, p.out); err != nil {
			return nil, err
		}
	}
	return nil, errDryRun
}

// dryPrinter is the printer of --dry-run for an output format.
func dryPrinter(format string) (printers.ResourcePrinter, error) {
	switch format {
	case "yaml":
		return &printers.YAMLPrinter{}, nil
	case "json":
		return &printers.JSONPrinter{}, nil
	}
	return nil, fmt.Errorf("--dry-run=client: it prints the pods that would be created: want -o yaml or -o json with it, not %q", format)
}
