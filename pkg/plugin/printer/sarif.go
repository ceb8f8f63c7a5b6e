package printer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// SARIF prints a Diff or a Verification as a code-scanning page takes it: SARIF 2.1.0
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html), with what GitHub
// requires beyond the standard: a help text of every rule, and of every result a
// place in a file and the one fingerprint that GitHub reads, primaryLocationLineHash.
// Runs have no automationDetails, which would count more than the category that
// whoever uploads them gives.
type SARIF struct {
	Version string // of the plugin
}

var _ printers.ResourcePrinter = SARIF{}

const (
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	homepage    = "https://github.com/kubectl-seccomp/kubectl-seccomp"
)

// PrintObj implements printers.ResourcePrinter.
func (s SARIF) PrintObj(obj runtime.Object, w io.Writer) error {
	var run sarifRun
	switch obj := obj.(type) {
	case *v1alpha1.Diff:
		run = sarifDiff(obj)
	case *v1alpha1.Verification:
		run = sarifVerification(obj)
	default:
		return fmt.Errorf("print %T as SARIF: there is no such form of it", obj)
	}
	run.Tool.Driver = sarifDriver{Name: "kubectl-seccomp", Version: s.Version, InformationURI: homepage, Rules: rulesOf(run.Results)}
	for i := range run.Results {
		r := &run.Results[i]
		r.RuleIndex = slices.IndexFunc(run.Tool.Driver.Rules, func(rule sarifRule) bool { return rule.ID == r.RuleID })
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "    ")
	return out.Encode(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}})
}

// The part of SARIF that is in use.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct {
		ID                   string    `json:"id"`
		ShortDescription     sarifText `json:"shortDescription"`
		FullDescription      sarifText `json:"fullDescription"`
		Help                 sarifText `json:"help"`
		HelpURI              string    `json:"helpUri"`
		DefaultConfiguration struct {
			Level string `json:"level"`
		} `json:"defaultConfiguration"`
		Properties struct {
			Tags []string `json:"tags"`
		} `json:"properties"`
	}
	sarifResult struct {
		RuleID              string            `json:"ruleId"`
		RuleIndex           int               `json:"ruleIndex"`
		Level               string            `json:"level"`
		Message             sarifText         `json:"message"`
		Locations           []sarifLocation   `json:"locations"`
		PartialFingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		PhysicalLocation struct {
			ArtifactLocation struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
		LogicalLocations []sarifLogicalLocation `json:"logicalLocations"`
	}
	sarifLogicalLocation struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
)

// SARIF's levels.
const (
	levelError   = "error"
	levelWarning = "warning"
	levelNote    = "note"
)

// Names of a result's fingerprint. GitHub reads the second one only, and
// upload-sarif would make it of the first line of the file, alike for all results.
const (
	fingerprintOurs   = "kubectl-seccomp/v1"
	fingerprintGitHub = "primaryLocationLineHash"
)

// newResult is what a rule finds of a source. identity is what tells it from the
// rule's other results, and is the same in the next run: no process, and no words.
func newResult(rule, level, text string, of v1alpha1.Source, identity ...string) sarifResult {
	r := sarifResult{RuleID: rule, Level: level, Message: sarifText{message(text)}, Locations: []sarifLocation{location(of)}}
	hash := sha256.New()
	for _, part := range append([]string{rule, of.Operand}, identity...) {
		fmt.Fprintf(hash, "%q\n", part)
	}
	print := hex.EncodeToString(hash.Sum(nil)[:16])
	r.PartialFingerprints = map[string]string{fingerprintOurs: print, fingerprintGitHub: print}
	return r
}

// message is a text in which nothing is a placeholder or a link to SARIF (§3.11.5,
// §3.11.6).
func message(text string) string {
	return terminal.Escape(strings.NewReplacer("{", "(", "}", ")", "](", "] (", "\n", "; ").Replace(text))
}

// location is where a source is: a file of the repository or, of a container or a
// process, a path that stands for it, since a code-scanning page shows no result
// without one.
func location(s v1alpha1.Source) (l sarifLocation) {
	l.PhysicalLocation.ArtifactLocation.URI = artifact(s)
	l.PhysicalLocation.Region.StartLine = 1
	l.LogicalLocations = []sarifLogicalLocation{{FullyQualifiedName: terminal.Escape(s.Operand), Kind: "resource"}}
	if s.Format == "" && s.Container != "" {
		l.LogicalLocations[0].FullyQualifiedName = s.Name()
	}
	return l
}

// unconfined is the operand that has a format, and is no file all the same. A file of
// this name is typed with a slash or a scheme.
const unconfined = "Unconfined"

func isFile(s v1alpha1.Source) bool { return s.Format != "" && s.Operand != unconfined }

// artifact is the URI of a source, relative to the repository if it has a place there.
func artifact(s v1alpha1.Source) string {
	if !isFile(s) {
		return (&url.URL{Path: "cluster/" + strings.ReplaceAll(s.Operand, ":", "/")}).EscapedPath()
	}
	file := s.Operand
	for _, scheme := range []string{"profile:", "bpf:"} {
		if rest, ok := strings.CutPrefix(file, scheme); ok {
			file, _, _ = strings.Cut(rest, ",")
		}
	}
	switch {
	case file == "-":
		return "stdin"
	case path.IsAbs(file):
		return (&url.URL{Scheme: "file", Path: path.Clean(file)}).String()
	}
	escaped := (&url.URL{Path: path.Clean(file)}).EscapedPath()
	// What is before a colon would be taken for a scheme.
	return strings.ReplaceAll(escaped, ":", "%3A")
}
