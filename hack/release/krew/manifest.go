// Package krew holds a plugin manifest against krew's rules and installs an archive
// as krew does. Krew's own code for both is internal to it.
//
// Sources: krew's internal/index/validation/validate.go,
// cmd/validate-krew-manifest/main.go, internal/download/downloader.go and
// internal/installation/{install,move}.go; and, for Style, what reviewers of
// krew-index ask for.
package krew

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

// Manifest is a plugin manifest of krew.
type Manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string     `json:"version"`
		Homepage         string     `json:"homepage"`
		ShortDescription string     `json:"shortDescription"`
		Description      string     `json:"description"`
		Caveats          string     `json:"caveats"`
		Platforms        []Platform `json:"platforms"`
	} `json:"spec"`
}

// Platform is one archive, and the machines that it is for.
type Platform struct {
	URI      string                `json:"uri"`
	SHA256   string                `json:"sha256"`
	Bin      string                `json:"bin"` // the program's path below the folder of installation
	Files    []FileOperation       `json:"files"`
	Selector *metav1.LabelSelector `json:"selector"`
}

// FileOperation says which of an archive's files are installed where.
type FileOperation struct {
	From string `json:"from"` // a pattern of filepath.Match, below the archive's root
	To   string `json:"to"`   // below the folder of installation
}

// Machine is an operating system and an architecture, as Go names them.
type Machine struct{ OS, Arch string }

func (m Machine) String() string { return m.OS + "/" + m.Arch }

// Machines are those that krew knows.
var Machines = []Machine{
	{"windows", "386"}, {"windows", "amd64"}, {"windows", "arm64"},
	{"linux", "386"}, {"linux", "amd64"}, {"linux", "arm"}, {"linux", "arm64"}, {"linux", "ppc64le"},
	{"darwin", "386"}, {"darwin", "amd64"}, {"darwin", "arm64"},
}

// Parse reads a manifest. A field that there is none of is an error.
func Parse(text []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := yaml.UnmarshalStrict(text, m); err != nil {
		return nil, fmt.Errorf("krew manifest: %w", err)
	}
	return m, nil
}

// For returns the platform that krew would install on a machine.
func (m *Manifest) For(machine Machine) (Platform, bool) {
	for _, p := range m.Spec.Platforms {
		if p.selects(machine) {
			return p, true
		}
	}
	return Platform{}, false
}

// selects reports whether the platform is for a machine; one whose selector cannot
// be read is for none.
func (p Platform) selects(machine Machine) bool {
	if p.Selector == nil {
		return false
	}
	selector, err := metav1.LabelSelectorAsSelector(p.Selector)
	return err == nil && selector.Matches(labels.Set{"os": machine.OS, "arch": machine.Arch})
}

var (
	safeName     = regexp.MustCompile(`^[\w-]+$`)
	windowsNames = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[1-9]|lpt[1-9])$`)
	sha256Sum    = regexp.MustCompile(`^[a-f0-9]{64}$`)
)

// Validate returns all that krew, or the checks of krew-index, refuse about the
// manifest in a file of the given name.
func (m *Manifest) Validate(file string) error {
	var problems problems
	name, isYAML := strings.CutSuffix(path.Base(file), ".yaml")
	problems.add(!isYAML, "file %s: the extension must be .yaml", file)
	problems.add(m.Metadata.Name != name, "metadata.name is %q: the file's name says %q", m.Metadata.Name, name)
	problems.add(!safeName.MatchString(name) || windowsNames.MatchString(name), "the name %q is not allowed", name)
	problems.add(m.APIVersion != "krew.googlecontainertools.github.com/v1alpha2", "apiVersion is %q", m.APIVersion)
	problems.add(m.Kind != "Plugin", "kind is %q: want Plugin", m.Kind)

	s := m.Spec
	_, err := version.ParseSemantic(s.Version)
	problems.add(err != nil || !strings.HasPrefix(s.Version, "v"), "spec.version is %q: want v and a semantic version", s.Version)
	problems.add(s.ShortDescription == "", "spec.shortDescription is empty")
	problems.add(strings.ContainsAny(s.ShortDescription, "\r\n"), "spec.shortDescription has more than one line")
	problems.add(s.Description == "", "spec.description is empty")
	problems.add(len(s.Platforms) == 0, "spec.platforms is empty")
	for i, p := range s.Platforms {
		for _, err := range p.problems() {
			problems.add(true, "spec.platforms[%d]: %w", i, err)
		}
	}
	for _, machine := range Machines {
		n := 0
		for _, p := range s.Platforms {
			if p.selects(machine) {
				n++
			}
		}
		problems.add(n > 1, "%d of spec.platforms are for %s: at most one can be", n, machine)
	}
	return errors.Join(problems...)
}

func (p Platform) problems() []error {
	var problems problems
	problems.add(p.URI == "", "uri is empty")
	problems.add(!sha256Sum.MatchString(p.SHA256), "sha256 is %q: want 64 lower-case hexadecimal digits", p.SHA256)
	problems.add(p.Bin == "", "bin is empty")
	problems.add(p.Files != nil && len(p.Files) == 0, "files is empty: leave it out, or list some")
	for _, f := range p.Files {
		problems.add(f.From == "" || f.To == "", "files: each needs both from and to")
	}
	if p.Selector == nil || p.Selector.MatchLabels == nil && len(p.Selector.MatchExpressions) == 0 {
		problems.add(true, "selector is empty")
		return problems
	}
	problems.add(p.Selector.MatchLabels != nil && len(p.Selector.MatchLabels) == 0, "selector.matchLabels is empty")
	problems.add(p.Selector.MatchExpressions != nil && len(p.Selector.MatchExpressions) == 0, "selector.matchExpressions is empty")
	var keys []string
	for key := range p.Selector.MatchLabels {
		keys = append(keys, key)
	}
	for _, e := range p.Selector.MatchExpressions {
		keys = append(keys, e.Key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		problems.add(key != "os" && key != "arch", "selector: key %q is none of os and arch", key)
	}
	problems.add(!slices.ContainsFunc(Machines, p.selects), "selector: no machine that krew knows matches")
	return problems
}

type problems []error

func (p *problems) add(is bool, format string, args ...any) {
	if is {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}
