package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/kubectl-seccomp/kubectl-seccomp/hack/release/krew"
)

// manifestFile is named as krew-index wants it: for the plugin.
const manifestFile = "seccomp.yaml"

// writeManifest renders the krew manifest with the sums of the archives in dir.
func (r release) writeManifest(dir string) error {
	source, err := os.ReadFile(r.template)
	if err != nil {
		return err
	}
	text, err := render(string(source), r.version, func(url string) (string, error) {
		name, ok := strings.CutPrefix(url, r.url(""))
		if !ok {
			return "", fmt.Errorf("%s is not of this release", url)
		}
		return sumOf(filepath.Join(dir, name))
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r.template, err)
	}
	m, err := krew.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", r.template, err)
	}
	if err := m.Validate(manifestFile); err != nil {
		return fmt.Errorf("%s: krew would refuse it: %w", r.template, err)
	}
	return os.WriteFile(filepath.Join(dir, manifestFile), text, 0o644)
}

// render does with a template what krew-release-bot does (its pkg/source/template.go),
// except that the sums come from a function. Comments before the document are left
// out: they are about the template.
func render(source, version string, sum func(url string) (string, error)) ([]byte, error) {
	for strings.HasPrefix(source, "#") {
		_, source, _ = strings.Cut(source, "\n")
	}
	type values struct{ TagName string }
	execute := func(t *template.Template, text, tag string) (string, error) {
		t, err := t.Parse(text)
		if err != nil {
			return "", err
		}
		var out bytes.Buffer
		err = t.Execute(&out, values{tag})
		return out.String(), err
	}
	funcs := template.FuncMap{"addURIAndSha": func(text, tag string) (string, error) {
		url, err := execute(template.New("url"), text, tag)
		if err != nil {
			return "", err
		}
		s, err := sum(url)
		return "uri: " + url + "\n    sha256: " + s, err
	}}
	out, err := execute(template.New("manifest").Funcs(funcs), source, version)
	return []byte(out), err
}
