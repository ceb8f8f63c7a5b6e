package krew

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Install installs an archive below root, which must exist, as krew would on a
// machine that the platform is for, and returns the path of the link to the program,
// in root/bin. It wants a licence in the archive as the checks of krew-index do.
func Install(root, name, version string, p Platform, machine Machine, archive []byte) (link string, err error) {
	if sum := fmt.Sprintf("%x", sha256.Sum256(archive)); sum != p.SHA256 {
		return "", fmt.Errorf("the archive's SHA-256 is %s: the manifest says %s", sum, p.SHA256)
	}
	unpacked, err := os.MkdirTemp(root, "unpacked-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(unpacked)
	if err := unpack(unpacked, archive); err != nil {
		return "", err
	}
	store := filepath.Join(root, "store", name, version)
	if err := os.MkdirAll(store, 0o755); err != nil {
		return "", err
	}
	files := p.Files
	if files == nil {
		files = []FileOperation{{From: "*", To: "."}}
	}
	for _, f := range files {
		if err := move(unpacked, store, f); err != nil {
			return "", err
		}
	}
	if err := findLicence(store); err != nil {
		return "", err
	}

	bin := filepath.Join(store, filepath.FromSlash(p.Bin))
	if !below(store, bin) {
		return "", fmt.Errorf("bin %q is outside of the folder of installation", p.Bin)
	}
	if _, err := os.Stat(bin); err != nil {
		return "", fmt.Errorf("bin %q is not in the archive: %w", p.Bin, err)
	}
	link = filepath.Join(root, "bin", LinkName(name, machine))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return "", err
	}
	return link, os.Symlink(bin, link)
}

// LinkName is the name by which kubectl finds a plugin.
func LinkName(plugin string, machine Machine) string {
	name := "kubectl-" + strings.ReplaceAll(plugin, "-", "_")
	if machine.OS == "windows" {
		name += ".exe"
	}
	return name
}

func unpack(dir string, archive []byte) error {
	// DetectContentType looks at no more than what krew hands it.
	switch kind := http.DetectContentType(archive); kind {
	case "application/zip":
		return unpackZip(dir, archive)
	case "application/x-gzip":
		return unpackTarGz(dir, archive)
	default:
		return fmt.Errorf("the archive looks like %s: want zip or gzip", kind)
	}
}

func unpackZip(dir string, archive []byte) error {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	for _, f := range r.File {
		content, err := f.Open()
		if err != nil {
			return fmt.Errorf("zip: %s: %w", f.Name, err)
		}
		err = unpackEntry(dir, f.Name, f.Mode(), content)
		content.Close()
		if err != nil {
			return fmt.Errorf("zip: %w", err)
		}
	}
	return nil
}

func unpackTarGz(dir string, archive []byte) error {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return fmt.Errorf("gzip: %w", err)
	}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("tar: %w", err)
		}
		if err := unpackEntry(dir, header.Name, header.FileInfo().Mode(), r); err != nil {
			return fmt.Errorf("tar: %w", err)
		}
	}
}

func unpackEntry(dir, name string, mode fs.FileMode, content io.Reader) error {
	if strings.Contains(name, "..") || strings.HasPrefix(name, "/") || strings.HasPrefix(name, `\`) {
		return fmt.Errorf("suspicious entry %q", name)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	switch {
	case mode.IsDir():
		return os.MkdirAll(path, mode.Perm())
	case !mode.IsRegular():
		return fmt.Errorf("entry %q is neither a file nor a folder", name)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

func move(from, to string, f FileOperation) error {
	if f.To != filepath.Clean(f.To) {
		return fmt.Errorf("files: to is %q, which is not clean", f.To)
	}
	matches, err := filepath.Glob(filepath.Join(from, filepath.FromSlash(f.From)))
	if err != nil || len(matches) == 0 {
		return fmt.Errorf("files: nothing in the archive matches %q (%v)", f.From, err)
	}
	for _, match := range matches {
		target := filepath.Join(to, filepath.FromSlash(f.To), filepath.Base(match))
		// A single file that is named outright may get a name.
		if len(matches) == 1 && f.From == filepath.Base(match) && f.To != "." {
			target = filepath.Join(to, filepath.FromSlash(f.To))
		}
		if !below(from, match) || !below(to, target) {
			return fmt.Errorf("files: %q to %q leaves its folder", f.From, f.To)
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.Rename(match, target); err != nil {
			return err
		}
	}
	return nil
}

func below(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

var licenceName = regexp.MustCompile(`(?i)^(licen[cs]es?|copying)(\.(txt|md))?$`)

// findLicence fails if no file below dir has a licence's name and some text.
func findLicence(dir string) error {
	found := errors.New("found")
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !licenceName.MatchString(entry.Name()) {
			return err
		}
		if info, err := entry.Info(); err != nil || info.Size() == 0 {
			return err
		}
		return found
	})
	switch {
	case errors.Is(err, found):
		return nil
	case err != nil:
		return err
	}
	return errors.New("no licence in the archive: want LICENSE or COPYING, alone or with .txt or .md")
}
