package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/saved"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// ErrVersion is a saved object of an API version that this build does not know.
var ErrVersion = saved.ErrVersion

// dumps are what `dump -o json` printed before.
type dumps []*Source

// newDumps reads a Dump or a DumpList. Of what it says only the filters are
// believed to mean something: what they do is worked out again.
func newDumps(operand, file string, meta metav1.TypeMeta, data []byte) (Content, error) {
	fail := func(format string, args ...any) (Content, error) {
		return nil, fmt.Errorf("%s: "+format, append([]any{saved.Label(file)}, args...)...)
	}
	if meta.APIVersion != v1alpha1.GroupVersion.String() {
		return fail("apiVersion %q: %w: this build reads %s, a newer one may read this file", meta.APIVersion, ErrVersion, v1alpha1.GroupVersion)
	}
	var list v1alpha1.DumpList
	switch meta.Kind {
	case "Dump":
		var d v1alpha1.Dump
		if err := saved.Unmarshal(data, &d); err != nil {
			return fail("%w", err)
		}
		list.Items = []v1alpha1.Dump{d}
	case "DumpList":
		if err := saved.Unmarshal(data, &list); err != nil {
			return fail("%w", err)
		}
	default:
		return fail("a saved %s holds no filters: want a Dump", failure.Quote(meta.Kind))
	}
	if len(list.Items) == 0 {
		return fail("items: the list holds no dump")
	}
	var out dumps
	for i := range list.Items {
		s, err := restore(operand, &list.Items[i])
		if err != nil {
			if meta.Kind == "DumpList" {
				return fail("items[%d].%w", i, err)
			}
			return fail("%w", err)
		}
		out = append(out, s)
	}
	return out, nil
}

// modes are those of a state.
var modes = []string{"disabled", "strict", "filter"}

// restore makes a source of a saved dump. Its errors begin with the path of what
// is wrong.
func restore(operand string, d *v1alpha1.Dump) (*Source, error) {
	saved.Escape(d)
	abis, err := parseABIs(d.Source.ABIs)
	machine := syscalls.OfMachine(d.Source.Arch)
	switch {
	case len(machine) == 0:
		return nil, fmt.Errorf("source.arch %q: there is no such architecture", d.Source.Arch)
	case err != nil:
		return nil, fmt.Errorf("source.abis: %w", err)
	case len(abis) == 0 || abis[0].ByteOrder() != machine[0].ByteOrder():
		return nil, fmt.Errorf("source.abis: %q is no ABI of %s", strings.Join(d.Source.ABIs, ", "), d.Source.Arch)
	case len(d.States) == 0:
		return nil, errors.New("states: there are none")
	}
	programs := make(map[string]bpf.Filter)
	for i, f := range d.Filters {
		program, err := decode(f.Program, abis[0].ByteOrder())
		if err != nil {
			return nil, fmt.Errorf("filters[%d].program: %w", i, err)
		}
		if sum := sha256.Sum256(f.Program); hex.EncodeToString(sum[:]) != f.SHA256 {
			return nil, fmt.Errorf("filters[%d].program: its SHA-256 is not the one that is stated", i)
		}
		programs[f.SHA256] = program
	}
	s := &Source{Dump: *d, ABIs: abis, Stacks: make([]bpf.Stack, len(d.States))}
	for i := range d.States {
		state := &s.Dump.States[i]
		state.Syscalls, state.Truncated, state.Findings = nil, false, nil
		for n, hash := range state.Filters {
			program, ok := programs[hash]
			if !ok {
				return nil, fmt.Errorf("states[%d].filters[%d]: there is no filter %q", i, n, hash)
			}
			s.Stacks[i] = append(s.Stacks[i], program)
		}
		switch {
		case len(state.Filters) > 0 && len(state.Filters) != state.FilterCount:
			return nil, fmt.Errorf("states[%d]: it has %d filters, and not the %d of filterCount", i, len(state.Filters), state.FilterCount)
		case !slices.Contains(modes, state.Mode):
			return nil, fmt.Errorf("states[%d].mode %q: want one of %s", i, state.Mode, strings.Join(modes, ", "))
		case (state.Mode == "filter") != (state.FilterCount > 0):
			return nil, fmt.Errorf("states[%d].mode %q: it does not go with %d filters", i, state.Mode, state.FilterCount)
		case i == 0 && state.FilterCount > 0 && len(state.Filters) == 0:
			return nil, errors.New("states[0]: the filters of the subject were not read")
		}
	}
	s.Dump.Source.Operand = terminal.Escape(operand)
	if s.Dump.Source.Format == "" {
		s.Dump.Source.Format = formatDump
	}
	return s, nil
}

func (d dumps) Machine() (profile.Target, bool) { return d[0].Machine(), true }

// On returns the dumps: they are of the machine that they were taken on.
func (d dumps) On(profile.Target) ([]*Source, error) { return d, nil }
