package krew

import (
	"strings"
	"testing"
)

const valid = `apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: example
spec:
  version: v1.2.3-rc.1
  homepage: https://example.com
  shortDescription: Show what is there
  description: |
    Shows what is there,
    and what is not.
  platforms:
  - selector:
      matchLabels:
        os: linux
        arch: amd64
    uri: https://example.com/linux_amd64.tar.gz
    sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    bin: kubectl-example
  - selector:
      matchExpressions:
      - {key: os, operator: In, values: [darwin, windows]}
    uri: https://example.com/other.zip
    sha256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    files:
    - {from: kubectl-example.exe, to: .}
    bin: kubectl-example.exe
`

func TestValid(t *testing.T) {
	m, err := Parse([]byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate("plugins/example.yaml"); err != nil {
		t.Error(err)
	}
	for machine, want := range map[Machine]string{
		{"linux", "amd64"}:  "https://example.com/linux_amd64.tar.gz",
		{"darwin", "arm64"}: "https://example.com/other.zip",
		{"linux", "arm64"}:  "",
	} {
		if p, ok := m.For(machine); p.URI != want || ok != (want != "") {
			t.Errorf("%s gets %q, want %q", machine, p.URI, want)
		}
	}
}

// TestRules breaks one rule at a time.
func TestRules(t *testing.T) {
	const linuxSelector = "  - selector:\n      matchLabels:\n        os: linux\n        arch: amd64\n"
	for _, test := range []struct{ name, file, old, new, want string }{
		{"extension", "example.yml", "", "", "the extension must be .yaml"},
		{"name of the file", "other.yaml", "", "", `metadata.name is "example": the file's name says "other"`},
		{"characters of the name", "a b.yaml", "name: example", "name: a b", `the name "a b" is not allowed`},
		{"device of Windows", "com1.yaml", "name: example", "name: com1", `the name "com1" is not allowed`},
		{"apiVersion", "", "v1alpha2", "v1alpha3", `apiVersion is "krew.googlecontainertools.github.com/v1alpha3"`},
		{"kind", "", "kind: Plugin", "kind: Plug", `kind is "Plug"`},
		{"version without v", "", "v1.2.3-rc.1", "1.2.3", `spec.version is "1.2.3"`},
		{"version in two parts", "", "v1.2.3-rc.1", "v1.2", `spec.version is "v1.2"`},
		{"no short description", "", "Show what is there", `""`, "spec.shortDescription is empty"},
		{"two lines", "", "shortDescription: Show what is there", "shortDescription: \"a\\nb\"", "more than one line"},
		{"no platform", "", valid[strings.Index(valid, "  platforms:"):], "  platforms: []\n", "spec.platforms is empty"},
		{"no uri", "", "uri: https://example.com/other.zip", `uri: ""`, "spec.platforms[1]: uri is empty"},
		{"upper case", "", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n    bin", "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n    bin", "spec.platforms[0]: sha256 is"},
		{"no bin", "", "bin: kubectl-example\n", "bin: \"\"\n", "spec.platforms[0]: bin is empty"},
		{"files empty", "", "files:\n    - {from: kubectl-example.exe, to: .}", "files: []", "files is empty"},
		{"files without to", "", ", to: .", "", "each needs both from and to"},
		{"no selector", "", linuxSelector + "    uri", "  - uri", "spec.platforms[0]: selector is empty"},
		{"empty labels", "", "matchLabels:\n        os: linux\n        arch: amd64", "matchLabels: {}", "selector.matchLabels is empty"},
		{"another key", "", "os: linux", "os: linux\n        kernel: any", `key "kernel" is none of os and arch`},
		{"unknown machine", "", "arch: amd64", "arch: mips", "no machine that krew knows matches"},
		{"two for one machine", "", "values: [darwin, windows]", "values: [darwin, windows, linux]", "2 of spec.platforms are for linux/amd64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(valid, test.old) {
				t.Fatalf("the manifest does not have %q", test.old)
			}
			m, err := Parse([]byte(strings.Replace(valid, test.old, test.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			file := test.file
			if file == "" {
				file = "example.yaml"
			}
			if err := m.Validate(file); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to contain %q", err, test.want)
			}
		})
	}
	if _, err := Parse([]byte(valid + "  icon: none\n")); err == nil {
		t.Error("a field that there is none of is accepted")
	}
}

func TestStyle(t *testing.T) {
	m, err := Parse([]byte(strings.Replace(valid, "    files:\n    - {from: kubectl-example.exe, to: .}\n", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Style(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	for want, change := range map[string]func(m *Manifest){
		"lower case":              func(m *Manifest) { m.Metadata.Name = "My_Plugin" },
		"more than 50 characters": func(m *Manifest) { m.Spec.ShortDescription = strings.Repeat("é", 51) },
		"says Kubernetes":         func(m *Manifest) { m.Spec.ShortDescription = "Show Kubernetes pods" },
		"full stop":               func(m *Manifest) { m.Spec.ShortDescription += "." },
		"one line only":           func(m *Manifest) { m.Spec.Description = "Shows things.\n" },
		"examples of use":         func(m *Manifest) { m.Spec.Description += "kubectl example pod\n" },
		"homepage is empty":       func(m *Manifest) { m.Spec.Homepage = "" },
		"description is not wrap": func(m *Manifest) { m.Spec.Description += strings.Repeat("word ", 17) + "\n" },
		"caveats is not wrapped":  func(m *Manifest) { m.Spec.Caveats = strings.Repeat("word ", 17) + "\n" },
		"files is best left out":  func(m *Manifest) { m.Spec.Platforms[1].Files = []FileOperation{{"*", "."}} },
	} {
		changed := *m
		changed.Spec.Platforms = append([]Platform(nil), m.Spec.Platforms...)
		change(&changed)
		if err := changed.Style(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to contain %q", err, want)
		}
	}
}
