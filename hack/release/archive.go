package main

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive, in its root folder.
type entry struct {
	name    string
	mode    int64
	content []byte
}

// pack writes the archive with a plugin, the project's licence and those of the
// modules in it into dir.
func (r release) pack(dir string, plugin built, notices []byte) error {
	program, err := os.ReadFile(plugin.path)
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return err
	}
	entries := []entry{
		{"LICENSE", 0o644, licence},
		{"LICENSES-OF-MODULES.txt", 0o644, notices},
		{plugin.program(), 0o755, program},
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })

	name := plugin.archive(r.version)
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	write := writeTarGz
	if strings.HasSuffix(name, ".zip") {
		write = writeZip
	}
	if err := write(f, entries, r.date); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// writeTarGz writes an archive with nothing of this machine in its headers.
func writeTarGz(out io.Writer, entries []entry, date time.Time) error {
	z, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		err := w.WriteHeader(&tar.Header{
			Format: tar.FormatUSTAR, Typeflag: tar.TypeReg,
			Name: e.name, Mode: e.mode, Size: int64(len(e.content)), ModTime: date,
		})
		if err != nil {
			return err
		}
		if _, err := w.Write(e.content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return z.Close()
}

// writeZip does the same in the format for Windows.
func writeZip(out io.Writer, entries []entry, date time.Time) error {
	w := zip.NewWriter(out)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: date}
		header.SetMode(os.FileMode(e.mode))
		f, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := f.Write(e.content); err != nil {
			return err
		}
	}
	return w.Close()
}

const sumsFile = "SHA256SUMS"

// writeSums writes the SHA-256 of each file in dir, as sha256sum prints it.
func writeSums(dir string) error {
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, f := range files {
		sum, err := sumOf(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, f.Name())
	}
	return os.WriteFile(filepath.Join(dir, sumsFile), []byte(sums.String()), 0o644)
}

// sumOf returns a file's SHA-256 in hexadecimal.
func sumOf(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(content)), nil
}
