package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/hack/release/krew"
)

const project = "../.."

// program is a plugin that compiles in seconds without a build cache and has a
// module with a licence.
const program = `package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/pflag"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin"
)

func main() {
	if pflag.ErrHelp != nil && os.Args[1] == "--help" {
		fmt.Println("kubectl seccomp diff")
		return
	}
	fmt.Printf("{%q: %q, %q: %q, %q: %q}", "version", plugin.Version, "probeImage", plugin.ProbeImage,
		"platform", runtime.GOOS+"/"+runtime.GOARCH)
}
`

// clone makes a stand-in for a clone of the project.
func clone(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{
		"cmd/kubectl-seccomp/main.go": program,
		"pkg/plugin/plugin.go":        "package plugin\n\nvar Version, ProbeImage string\n",
		"images/probe/main.go":        "package main\n\nvar version string\n\nfunc main() { println(version) }\n",
	}
	for _, name := range []string{"LICENSE", "go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(project, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	for path, content := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// manifestFor writes the project's template with the entries of some platforms only.
func manifestFor(t *testing.T, some []platform) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(project, ".krew.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const entry = "  - selector:"
	parts := strings.Split(string(source), entry)
	text := parts[0]
	for _, part := range parts[1:] {
		if slices.ContainsFunc(some, func(p platform) bool { return strings.Contains(part, p.archive("{{ .TagName }}")) }) {
			text += entry + part
		}
	}
	path := filepath.Join(t.TempDir(), "krew.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func some(t *testing.T, names ...string) []platform {
	t.Helper()
	var found []platform
	for _, p := range platforms {
		if slices.Contains(names, p.String()) {
			found = append(found, p)
		}
	}
	if len(found) != len(names) {
		t.Fatalf("there are only %v of %v", found, names)
	}
	return found
}

var tools string // the folder with hack/image, compiled

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if tools, err = os.MkdirTemp("", "tools-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(tools)
		build := exec.Command("go", "build", "-C", "../image", "-o", tools+string(filepath.Separator), ".")
		if out, err := build.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("hack/image: %v\n%s", err, out))
		}
		return m.Run()
	}())
}

// newRelease is a release of the sources in root for some platforms.
func newRelease(t *testing.T, root, imageArchs string, platforms []platform) (release, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	return release{
		root: root, imageTool: []string{filepath.Join(tools, "image")}, imageArchs: imageArchs, template: manifestFor(t, platforms),
		platforms: platforms, version: "v1.2.3-rc.1", date: time.Unix(1700000000, 0).UTC(), log: log,
	}, log
}

// read returns the files of a folder.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(content)
	}
	return files
}

// TestReproducible releases two clones, the second time without the first one's build
// cache and under other settings of the caller's.
func TestReproducible(t *testing.T) {
	chosen := some(t, "darwin/arm64", "windows/amd64", runtime.GOOS+"/"+runtime.GOARCH)
	build := func() map[string]string {
		dir := filepath.Join(t.TempDir(), "out")
		if err := os.MkdirAll(filepath.Join(dir, "old"), 0o755); err != nil { // is replaced
			t.Fatal(err)
		}
		r, log := newRelease(t, clone(t), "amd64", chosen)
		if err := r.into(t.Context(), dir); err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
		check := exec.Command("sha256sum", "--check", "--strict", sumsFile)
		check.Dir = dir
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("sha256sum: %v\n%s", err, out)
		}
		return read(t, dir)
	}
	first := build()
	t.Setenv("GOCACHE", t.TempDir())
	t.Setenv("GOFLAGS", "-buildvcs=auto -tags=other")
	t.Setenv("GOAMD64", "v3")
	second := build()

	want := []string{
		"SHA256SUMS", "kubectl-seccomp-probe_v1.2.3-rc.1.tar", "kubectl-seccomp_v1.2.3-rc.1.spdx.json",
		"kubectl-seccomp_v1.2.3-rc.1_darwin_arm64.tar.gz", "kubectl-seccomp_v1.2.3-rc.1_linux_" + runtime.GOARCH + ".tar.gz",
		"kubectl-seccomp_v1.2.3-rc.1_windows_amd64.zip", "seccomp.yaml",
	}
	var names []string
	for name, content := range first {
		names = append(names, name)
		if second[name] != content {
			t.Errorf("two builds of %s differ: %d and %d bytes", name, len(content), len(second[name]))
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Errorf("released are %v, want %v", names, want)
	}
	checkSBOM(t, first["kubectl-seccomp_v1.2.3-rc.1.spdx.json"])
}

// checkSBOM checks that a document is one graph, and what it says of some parts.
func checkSBOM(t *testing.T, text string) {
	t.Helper()
	var doc spdxDocument
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	packages := make(map[string]spdxPackage)
	var pflag spdxPackage // of whatever version go.mod has
	for _, p := range doc.Packages {
		if _, twice := packages[p.ID]; twice {
			t.Errorf("package %s is there twice", p.ID)
		}
		packages[p.ID] = p
		if p.Name == "github.com/spf13/pflag" {
			pflag = p
		}
	}
	reached := map[string]bool{documentID: true}
	for _, r := range doc.Relationships {
		if !reached[r.Element] {
			t.Errorf("%s depends on something, and nothing leads to it", r.Element)
		}
		reached[r.Related] = true
	}
	for id := range packages {
		if !reached[id] {
			t.Errorf("nothing leads to %s", id)
		}
	}
	if len(reached) != len(packages)+1 {
		t.Errorf("%d packages, and relationships of %d", len(packages), len(reached)-1)
	}
	for id, licence := range map[string]string{
		pflag.ID: "BSD-3-Clause",
		"SPDXRef-Module-stdlib-" + runtime.Version():           "BSD-3-Clause",
		"SPDXRef-File-kubectl-seccomp-probe-v1.2.3-rc.1.tar":   "Apache-2.0",
		"SPDXRef-File-kubectl-seccomp-v1.2.3-rc.1.darwin.none": "",
	} {
		if got := packages[id].LicenceDeclared; got != licence {
			t.Errorf("%s has licence %q, want %q", id, got, licence)
		}
	}
	if !strings.HasPrefix(pflag.SourceInfo, "go.sum h1:") {
		t.Errorf("pflag's sum is %q", pflag.SourceInfo)
	}
}

// TestPlugin releases the plugin itself for this machine, runs it as installed by
// krew, and checks that the licence of each module in it is known.
func TestPlugin(t *testing.T) {
	chosen := some(t, runtime.GOOS+"/"+runtime.GOARCH)
	r, log := newRelease(t, project, runtime.GOARCH, chosen)
	dir := filepath.Join(t.TempDir(), "out")
	if err := r.into(t.Context(), dir); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if want := "installed " + chosen[0].archive(r.version) + ", run\n"; !strings.Contains(log.String(), want) {
		t.Errorf("the log lacks %q:\n%s", want, log)
	}
	if !strings.Contains(log.String(), "image ghcr.io/kubectl-seccomp/probe:v1.2.3-rc.1@sha256:") {
		t.Errorf("the log does not name the image:\n%s", log)
	}

	var doc spdxDocument
	if err := json.Unmarshal([]byte(read(t, dir)["kubectl-seccomp_v1.2.3-rc.1.spdx.json"]), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Packages) < 30 {
		t.Errorf("only %d packages in the SBOM", len(doc.Packages))
	}
	for _, p := range doc.Packages {
		if p.LicenceDeclared == noAssertion {
			t.Errorf("the licence of %s %s is not known", p.Name, p.Version)
		}
	}
}

// TestTry finds what is wrong with an archive.
func TestTry(t *testing.T) {
	chosen := some(t, runtime.GOOS+"/"+runtime.GOARCH)
	r, log := newRelease(t, clone(t), "amd64", chosen)
	work, dir := t.TempDir(), t.TempDir()
	plugin, err := r.compile(t.Context(), work, chosen[0], "image")
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if err := r.pack(dir, plugin, []byte("notices")); err != nil {
		t.Fatal(err)
	}
	if err := r.writeManifest(dir); err != nil {
		t.Fatal(err)
	}
	if err := r.try(t.Context(), work, dir, "image"); err != nil {
		t.Fatal(err)
	}
	if err := r.try(t.Context(), work, dir, "another"); err == nil || !strings.Contains(err.Error(), "version says") {
		t.Errorf("another image: got %v", err)
	}
	archive := filepath.Join(dir, chosen[0].archive(r.version))
	if err := os.WriteFile(archive, []byte("\x1f\x8b\x08 none"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.try(t.Context(), work, dir, "image"); err == nil || !strings.Contains(err.Error(), "the manifest says") {
		t.Errorf("another archive: got %v", err)
	}
}

func TestBadInput(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, `--version is ""`},
		{[]string{"--version", "1.2.3"}, `--version is "1.2.3"`},
		{[]string{"--version", "v1.2"}, `--version is "v1.2"`},
		{[]string{"--version", "v1.2.3+build"}, `--version is "v1.2.3+build"`},
		{[]string{"--version", "v1.2.3", "now"}, `unexpected argument "now"`},
	} {
		if err := run(t.Context(), test.args, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want it to contain %q", test.args, err, test.want)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "today")
	if _, err := sourceDate(t.Context()); err == nil || !strings.Contains(err.Error(), `SOURCE_DATE_EPOCH is "today"`) {
		t.Errorf("got %v", err)
	}
}

// TestManifest holds the manifest in the tree to krew's rules, and to the template.
func TestManifest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(project, "plugins/krew.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := krew.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(manifestFile); err != nil {
		t.Error(err)
	}
	if err := m.Style(); err != nil {
		t.Error(err)
	}

	template, err := os.ReadFile(filepath.Join(project, ".krew.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := render(string(template), m.Spec.Version, func(url string) (string, error) {
		for _, p := range m.Spec.Platforms {
			if p.URI == url {
				return p.SHA256, nil
			}
		}
		return "none", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasSuffix(text, rendered) {
		t.Errorf("plugins/krew.yaml is not what .krew.yaml gives:\n%s", rendered)
	}

	r := release{version: m.Spec.Version}
	for _, p := range platforms {
		spec, ok := m.For(p.Machine)
		if want := slices.Contains(krew.Machines, p.Machine); ok != want {
			t.Errorf("%s: in the manifest %t, want %t", p, ok, want)
		} else if ok && (spec.URI != r.url(p.archive(m.Spec.Version)) || spec.Bin != p.program()) {
			t.Errorf("%s installs %s of %s", p, spec.Bin, spec.URI)
		}
	}
	for _, machine := range krew.Machines {
		if _, ok := m.For(machine); !ok && machine.String() != "darwin/386" { // Go has dropped it
			t.Errorf("nothing is released for %s", machine)
		}
	}
}

func TestIdentify(t *testing.T) {
	const bsd = "Redistribution and use in source and binary\n  forms, with or without modification, are permitted provided …"
	for text, want := range map[string]string{
		"                                 Apache License\n                           Version 2.0, January 2004": "Apache-2.0",
		"Permission is hereby granted, free of charge, to any person obtaining a copy of this software and":     "MIT",
		bsd:                              "BSD-2-Clause",
		bsd + " * Neither the name of …": "BSD-3-Clause",
		"> Redistribution and use in source and binary forms, with or without modification, are\n> permitted": "BSD-2-Clause",
		"Mozilla Public License, version 2.0": "MPL-2.0",
		"All rights reserved.":                "",
	} {
		if got := strings.Join(identify(text), " "); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
