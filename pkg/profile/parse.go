package profile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// MaxSize is how many bytes of a profile Parse takes.
const MaxSize = 1 << 20

// A Format is a dialect of seccomp profiles. It tells what a profile was written
// for, not who reads it.
type Format uint8

const (
	// OCI is linux.seccomp of the OCI runtime specification: what a Localhost
	// profile should be.
	OCI Format = iota + 1
	// OCIConfig is a whole config.json of the OCI runtime specification.
	OCIConfig
	// Docker is the format of Docker's --security-opt seccomp=.
	Docker
	// ContainersCommon is that of CRI-O and Podman.
	ContainersCommon
	// CustomResource is a SeccompProfile of the security-profiles-operator.
	CustomResource
)

func (f Format) String() string {
	switch f {
	case OCI:
		return "OCI seccomp profile"
	case OCIConfig:
		return "OCI config.json"
	case Docker:
		return "Docker seccomp profile"
	case ContainersCommon:
		return "containers/common seccomp profile"
	case CustomResource:
		return "SeccompProfile"
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// A Profile is a seccomp profile as it was written.
type Profile struct {
	format Format
	text   []byte // what was parsed, as JSON
	lines  bool   // whether text is what the author wrote
	root   *node  // the object with defaultAction and syscalls; nil for a config.json without seccomp
	base   *node  // baseProfileName, nil if there is none
}

// Format tells what the profile was written for.
func (p *Profile) Format() Format { return p.format }

// Parse reads a profile. Which of the formats it is follows from what is in it, in
// this order:
//
//   - an object with kind is a [CustomResource], or else no profile;
//   - one with ociVersion or linux is an [OCIConfig];
//   - one with errno or defaultErrno is [ContainersCommon];
//   - one with archMap, or an entry that has name, includes or excludes, is
//     [Docker];
//   - one with defaultAction or syscalls is [OCI].
//
// All are JSON, and a custom resource may be YAML. An action, operator or
// architecture that does not exist, and an argument index above 5, is an error
// even where a reader might never look at it. The error is an *[Error].
func Parse(data []byte) (*Profile, error) {
	if len(data) > MaxSize {
		return nil, &Error{Err: because(ErrTooLarge, "%d bytes, more than the %d that are taken", len(data), MaxSize)}
	}
	p := &Profile{text: data, lines: true}
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		text, err := fromYAML(data)
		if err != nil {
			return nil, err
		}
		p.text, p.lines = text, false
	}
	root, err := parseJSON(p.text)
	if err != nil {
		return nil, err
	}
	if err := p.detect(root); err != nil {
		return nil, err
	}
	if p.root == nil {
		return p, nil
	}
	return p, p.check()
}

// fromYAML returns the JSON of a YAML document, which must be an object with a
// kind.
func fromYAML(data []byte) ([]byte, error) {
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, &Error{Err: because(ErrNotProfile, "neither JSON nor YAML: %s", oneLine(err.Error()))}
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil || object == nil {
		return nil, &Error{Err: because(ErrNotProfile, "not a seccomp profile: want a JSON object")}
	}
	if _, ok := object["kind"]; !ok {
		return nil, &Error{Err: because(ErrNotProfile, "is YAML, which only a SeccompProfile can be: a seccomp profile is JSON")}
	}
	return text, nil
}

// detect finds out the format.
func (p *Profile) detect(root *node) error {
	switch {
	case root.kind != '{':
		return p.errorf(root, ErrNotProfile, "not a seccomp profile: want a JSON object")
	case root.has("kind"):
		return p.detectResource(root)
	case root.has("ociVersion", "linux"):
		p.format, p.root = OCIConfig, root.get("linux").get("seccomp")
		if p.root != nil && p.root.kind == 0 && p.root.value == nil {
			p.root = nil // null
		}
	case root.has("defaultErrno") || anyEntry(root, "errno"):
		p.format, p.root = ContainersCommon, root
	case root.has("archMap") || anyEntry(root, "name", "includes", "excludes"):
		p.format, p.root = Docker, root
	case root.has("defaultAction", "syscalls"):
		p.format, p.root = OCI, root
	default:
		return p.errorf(root, ErrNotProfile, "not a seccomp profile: it has neither defaultAction nor syscalls")
	}
	return nil
}

func anyEntry(root *node, keys ...string) bool {
	list := root.get("syscalls")
	if list == nil {
		return false
	}
	for _, entry := range list.items {
		if entry.has(keys...) {
			return true
		}
	}
	return false
}

const resourceGroup = "security-profiles-operator.x-k8s.io/"

func (p *Profile) detectResource(root *node) error {
	kind, _ := root.get("kind").text()
	version, _ := root.get("apiVersion").text()
	if kind != "SeccompProfile" || !strings.HasPrefix(version, resourceGroup) {
		return p.errorf(root, ErrNotProfile, "not a seccomp profile but kind %s of apiVersion %s: want a SeccompProfile of %sv1beta1", quote(kind), quote(version), resourceGroup)
	}
	p.format, p.root = CustomResource, root.get("spec")
	if p.root == nil || p.root.kind != '{' {
		return p.errorf(root, ErrNotProfile, "SeccompProfile without a spec")
	}
	if base := p.root.get("baseProfileName"); base != nil && !base.empty() {
		p.base = base
	}
	return nil
}

// errorf returns an error about n; nil stands for the profile as a whole.
func (p *Profile) errorf(n *node, is error, format string, args ...any) error {
	e := &Error{Err: because(is, format, args...)}
	e.Line, e.Column, e.Path = p.where(n)
	return e
}

func (p *Profile) where(n *node) (line, column int, path string) {
	if n == nil {
		return 0, 0, ""
	}
	if p.lines {
		line, column = position(p.text, n.start)
	}
	return line, column, n.path()
}

// oneLine makes a library's message fit for ours, whatever it quotes.
func oneLine(s string) string {
	return clip(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " ")))
}
