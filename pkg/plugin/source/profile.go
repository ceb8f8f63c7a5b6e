package source

import (
	"fmt"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/saved"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A profileFile is a seccomp profile.
type profileFile struct {
	operand, file string
	profile       *profile.Profile
}

func newProfile(operand, file string, data []byte) (Content, error) {
	p, err := profile.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", saved.Label(file), err)
	}
	return &profileFile{operand, file, p}, nil
}

func (p *profileFile) Machine() (profile.Target, bool) { return profile.Target{}, false }

func (p *profileFile) On(m profile.Target) ([]*Source, error) {
	s, err := newSource(v1alpha1.Source{Operand: p.operand, Format: p.profile.Format().String()}, m)
	if err != nil {
		return nil, err
	}
	loaded, err := p.profile.Load(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", saved.Label(p.file), err)
	}
	s.Dump.Source.Reader = m.Runtime.String() + " with " + m.OCIRuntime.String()
	if p.profile.Format() == profile.OCIConfig {
		s.Dump.Source.Reader = m.OCIRuntime.String()
	}
	s.hold(loaded.Stack())
	s.Warnings = warnings(saved.Label(p.file), loaded.Warnings)
	for _, d := range loaded.Dependent {
		s.Dump.Dependent = append(s.Dump.Dependent, v1alpha1.Dependent{
			ABI: d.ABI.String(), Syscall: terminal.Escape(d.Name), Reason: terminal.Escape(d.Reason),
		})
	}
	s.Warnings = append(s.Warnings, dependents(saved.Label(p.file), loaded.Dependent)...)
	return []*Source{s}, nil
}

// warnings has the first of those that are about the same place in a profile and
// of one kind, and how many more there are.
func warnings(file string, list []profile.Warning) (errs []error) {
	type key struct {
		code profile.Code
		path string
	}
	count := make(map[key]int)
	for _, w := range list {
		count[key{w.Code, w.Path}]++
	}
	for _, w := range list {
		k := key{w.Code, w.Path}
		switch n := count[k]; n {
		case 0: // said
		case 1:
			errs = append(errs, fmt.Errorf("%s: %s", file, w))
		default:
			errs = append(errs, fmt.Errorf("%s: %s; and %d more of the kind there", file, w, n-1))
		}
		count[k] = 0
	}
	return errs
}

// dependents says, once for each reason, which calls' meaning is left to the
// compiler.
func dependents(file string, list []profile.Dependent) (warnings []error) {
	var reasons []string
	calls := make(map[string][]string)
	for _, d := range list {
		if calls[d.Reason] == nil {
			reasons = append(reasons, d.Reason)
		}
		calls[d.Reason] = append(calls[d.Reason], d.ABI.String()+":"+d.Name)
	}
	for _, reason := range reasons {
		names := calls[reason]
		more := ""
		if n := len(names) - maxNamed; n > 0 {
			names, more = names[:maxNamed], fmt.Sprintf(" and %d more", n)
		}
		warnings = append(warnings, fmt.Errorf("%s: only a live filter tells what happens to %s%s: %s", file, strings.Join(names, ", "), more, reason))
	}
	return warnings
}

// maxNamed is the most calls that are named in one warning.
const maxNamed = 8

// parseABIs returns the ABIs of a list of names.
func parseABIs(names []string) (list []syscalls.ABI, err error) {
	for _, name := range names {
		abi, err := syscalls.ParseABI(name)
		if err != nil {
			return nil, err
		}
		list = append(list, abi)
	}
	return list, nil
}
