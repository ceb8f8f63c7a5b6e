package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// licences finds the licences of the modules that a binary is linked from, in Go's
// module cache.
type licences struct {
	root  string // of the main module
	known map[string]licence
}

// licence is what a module's files say.
type licence struct {
	ids  []string // SPDX identifiers of those in the module's root, as far as known
	text []byte   // all its licence and notice files
}

func newLicences(root string) *licences {
	return &licences{root: root, known: make(map[string]licence)}
}

// standardLibrary stands for the part of Go that is linked into each binary.
const standardLibrary = "stdlib"

// modules are those linked into a binary, Go's own part first; without the main one.
func modules(info *buildinfo.BuildInfo) []debug.Module {
	found := []debug.Module{{Path: standardLibrary, Version: info.GoVersion}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		found = append(found, *m)
	}
	return found
}

// notices are the licence texts of all modules in a binary, which those who pass it
// on must pass on, too.
func (l *licences) notices(ctx context.Context, info *buildinfo.BuildInfo) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintln(&out, "The licences of the modules in this program.")
	for _, m := range modules(info) {
		found, err := l.of(ctx, m)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "\n%s\n%s %s\n\n", strings.Repeat("=", 80), m.Path, m.Version)
		out.Write(found.text)
	}
	return out.Bytes(), nil
}

func (l *licences) of(ctx context.Context, m debug.Module) (licence, error) {
	key := m.Path + " " + m.Version
	if found, ok := l.known[key]; ok {
		return found, nil
	}
	dir, err := l.folder(ctx, m)
	if err != nil {
		return licence{}, err
	}
	found, err := readLicence(dir, m.Path == standardLibrary)
	if err != nil {
		return licence{}, fmt.Errorf("licence of %s: %w", key, err)
	}
	l.known[key] = found
	return found, nil
}

// folder returns where the sources are that a module was built from.
func (l *licences) folder(ctx context.Context, m debug.Module) (string, error) {
	args := []string{"mod", "download", "-json", m.Path + "@" + m.Version}
	if m.Path == standardLibrary {
		args = []string{"env", "-json", "GOROOT"}
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = l.root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	var answer struct{ Dir, GOROOT string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return answer.Dir + answer.GOROOT, nil
}

var noticeName = regexp.MustCompile(`(?i)^(licen[cs]es?|copying|copyright|notice|patents)([.-].*)?$`)

// readLicence reads all licence and notice files of a module: those of its root, and,
// unless rootOnly, what it has copied from others into folders.
func readLicence(dir string, rootOnly bool) (licence, error) {
	var found licence
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inRoot := filepath.Dir(path) == filepath.Clean(dir)
		switch {
		case e.IsDir():
			if path != dir && (rootOnly || e.Name() == "testdata" || e.Name() == "vendor") {
				return fs.SkipDir
			}
			return nil
		case !e.Type().IsRegular() || !noticeName.MatchString(e.Name()) || filepath.Ext(path) == ".go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if inRoot {
			found.ids = append(found.ids, identify(string(text))...)
		} else {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			found.text = fmt.Appendf(found.text, "%s:\n\n", filepath.ToSlash(rel))
		}
		found.text = append(found.text, bytes.TrimRight(text, "\n")...)
		found.text = append(found.text, "\n\n"...)
		return nil
	})
	if err == nil && len(found.text) == 0 {
		err = errors.New("there is none in " + filepath.Base(dir))
	}
	slices.Sort(found.ids)
	found.ids = slices.Compact(found.ids)
	return found, err
}

// phrases tell licences apart. They are in lower case, with single spaces.
var phrases = []struct{ id, phrase string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"Apache-2.0", "apache license, version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose with or without fee"},
	{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"},
	{"BSD", "redistribution and use in source and binary forms, with or without modification, are permitted"},
}

// identify returns the SPDX identifiers of the licences in a text.
func identify(text string) (ids []string) {
	// Some quote theirs as mail does.
	text = strings.Join(strings.Fields(strings.ToLower(strings.ReplaceAll(text, "\n>", "\n"))), " ")
	for _, p := range phrases {
		switch {
		case !strings.Contains(text, p.phrase):
		case p.id != "BSD":
			ids = append(ids, p.id)
		case strings.Contains(text, "neither the name"):
			ids = append(ids, "BSD-3-Clause")
		default:
			ids = append(ids, "BSD-2-Clause")
		}
	}
	return ids
}
