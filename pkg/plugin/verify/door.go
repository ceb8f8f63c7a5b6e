package verify

import (
	"cmp"
	"maps"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	pol "github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
)

// doors says which calls that filters restrict can be made as those of another
// ABI; "" if none.
func doors(s *source.Source) (string, error) {
	p, err := s.Policy(0)
	if err != nil {
		return "", err
	}
	findings, err := p.Lint(s.ABIs)
	if err != nil {
		return "", err
	}
	names := make(map[string]bool)
	text := ""
	for _, f := range findings {
		switch f.Check {
		case pol.ArchUnchecked:
			text = cmp.Or(text, f.Detail)
		case pol.OtherABI, pol.Multiplexer:
			names[f.Call] = true
		}
	}
	if text != "" || len(names) == 0 {
		return text, nil
	}
	return "restricted for some arguments, and open to every call of another ABI of the machine: " + listed(slices.Sorted(maps.Keys(names))), nil
}
