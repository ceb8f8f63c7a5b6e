package main

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// The parts of an SPDX 2.3 document that are used here
// (spdx.github.io/spdx-spec/v2.3).
type spdxDocument struct {
	SPDXVersion   string             `json:"spdxVersion"`
	DataLicense   string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID               string         `json:"SPDXID"`
	Name             string         `json:"name"`
	Version          string         `json:"versionInfo"`
	FileName         string         `json:"packageFileName,omitempty"`
	Location         string         `json:"downloadLocation"`
	FilesAnalyzed    bool           `json:"filesAnalyzed"`
	Checksums        []spdxChecksum `json:"checksums,omitempty"`
	SourceInfo       string         `json:"sourceInfo,omitempty"`
	LicenceConcluded string         `json:"licenseConcluded"`
	LicenceDeclared  string         `json:"licenseDeclared"`
	Copyright        string         `json:"copyrightText"`
	References       []spdxRef      `json:"externalRefs,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	noAssertion = "NOASSERTION"
	documentID  = "SPDXRef-DOCUMENT"
)

var notForID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func spdxID(kind, name string) string {
	return "SPDXRef-" + kind + "-" + notForID.ReplaceAllString(name, "-")
}

// writeSBOM writes into dir which modules are linked into each archive's plugin and
// into the programs of the image, as the binaries themselves say.
func (r release) writeSBOM(ctx context.Context, dir string, plugins []built, probe image, l *licences) error {
	name := "kubectl-seccomp_" + r.version + ".spdx.json"
	doc := spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: documentID,
		Name: "kubectl-seccomp " + r.version, Namespace: r.url(name),
		Creation: spdxCreation{
			Created:  r.date.Format(time.RFC3339),
			Creators: []string{"Organization: kubectl-seccomp", "Tool: hack/release"},
		},
	}
	linked := make(map[debug.Module]bool)
	add := func(file, purl string, programs ...*buildinfo.BuildInfo) error {
		sum, err := sumOf(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		p := spdxPackage{
			ID: spdxID("File", file), Name: file, Version: r.version, FileName: file, Location: r.url(file),
			Checksums:        []spdxChecksum{{"SHA256", sum}},
			LicenceConcluded: noAssertion, LicenceDeclared: "Apache-2.0", Copyright: noAssertion,
			References: []spdxRef{{"PACKAGE-MANAGER", "purl", purl}},
		}
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, spdxRelationship{documentID, "DESCRIBES", p.ID})
		for _, m := range union(programs) {
			linked[m] = true
			doc.Relationships = append(doc.Relationships, spdxRelationship{p.ID, "DEPENDS_ON", moduleID(m)})
		}
		return nil
	}
	for _, p := range plugins {
		if err := add(p.archive(r.version), "pkg:github/kubectl-seccomp/kubectl-seccomp@"+r.version, p.info); err != nil {
			return err
		}
	}
	purl := "pkg:oci/probe@" + url.QueryEscape(probe.digest) + "?repository_url=" + repository + "/probe&tag=" + r.version
	if err := add(r.imageArchive(), purl, probe.programs...); err != nil {
		return err
	}
	for _, m := range sorted(linked) {
		found, err := l.of(ctx, m)
		if err != nil {
			return err
		}
		doc.Packages = append(doc.Packages, modulePackage(m, found))
	}

	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), append(text, '\n'), 0o644)
}

func moduleID(m debug.Module) string { return spdxID("Module", m.Path+"-"+m.Version) }

func modulePackage(m debug.Module, l licence) spdxPackage {
	p := spdxPackage{
		ID: moduleID(m), Name: m.Path, Version: m.Version, Location: noAssertion,
		LicenceConcluded: noAssertion, LicenceDeclared: noAssertion, Copyright: noAssertion,
		References: []spdxRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.Path + "@" + url.QueryEscape(m.Version)}},
	}
	if m.Sum != "" {
		p.SourceInfo = "go.sum " + m.Sum
	}
	if len(l.ids) > 0 {
		p.LicenceDeclared = strings.Join(l.ids, " AND ")
	}
	return p
}

// union returns the modules of all programs, sorted.
func union(programs []*buildinfo.BuildInfo) []debug.Module {
	all := make(map[debug.Module]bool)
	for _, info := range programs {
		for _, m := range modules(info) {
			all[m] = true
		}
	}
	return sorted(all)
}

func sorted(set map[debug.Module]bool) []debug.Module {
	var list []debug.Module
	for m := range set {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b debug.Module) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
	})
	return list
}
