package krew

import (
	"errors"
	"regexp"
	"strings"
)

// Lengths in characters.
const (
	maxShortDescription = 50
	maxLine             = 80
)

var (
	kebabCase = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	usage     = regexp.MustCompile(`(?mi)^\s*\$ |kubectl +\S|usage:`)
)

// Style returns what the reviewers of krew-index would ask to change, though krew
// takes it.
func (m *Manifest) Style() error {
	var problems problems
	s := m.Spec
	problems.add(!kebabCase.MatchString(m.Metadata.Name), "metadata.name is %q: want lower case, and hyphens between words", m.Metadata.Name)
	problems.add(len([]rune(s.ShortDescription)) > maxShortDescription, "spec.shortDescription has more than %d characters", maxShortDescription)
	problems.add(strings.Contains(strings.ToLower(s.ShortDescription), "kubernetes"), "spec.shortDescription says Kubernetes, as each plugin's could")
	problems.add(strings.HasSuffix(s.ShortDescription, "."), "spec.shortDescription ends in a full stop")
	problems.add(strings.Count(strings.TrimSpace(s.Description), "\n") == 0, "spec.description has one line only")
	problems.add(usage.MatchString(s.Description), "spec.description has examples of use: --help is for them")
	problems.add(s.Homepage == "", "spec.homepage is empty")
	for _, field := range []struct{ name, text string }{{"description", s.Description}, {"caveats", s.Caveats}} {
		for line := range strings.Lines(field.text) {
			problems.add(len([]rune(strings.TrimRight(line, "\n"))) > maxLine, "spec.%s is not wrapped at %d: %q", field.name, maxLine, line)
		}
	}
	for i, p := range s.Platforms {
		problems.add(p.Files != nil, "spec.platforms[%d]: files is best left out, so that all of the archive is installed", i)
	}
	return errors.Join(problems...)
}
