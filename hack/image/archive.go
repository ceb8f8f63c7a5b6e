package main

import (
	"archive/tar"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// writeArchive writes index as an OCI image layout in a tarball at path, and
// returns the file's SHA-256 and size. What was at path before stays until the
// new file is whole.
func writeArchive(path string, index v1.ImageIndex, ref string) (digest []byte, size int64, err error) {
	dir, err := os.MkdirTemp("", "layout-")
	if err != nil {
		return nil, 0, err
	}
	defer os.RemoveAll(dir)
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return nil, 0, err
	}
	err = l.AppendIndex(index, layout.WithAnnotations(map[string]string{
		// containerd names the image after the first; the second is what the
		// image spec has, and what other tools read.
		"io.containerd.image.name":          ref,
		"org.opencontainers.image.ref.name": ref,
	}))
	if err != nil {
		return nil, 0, err
	}

	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return nil, 0, err
	}
	defer os.Remove(f.Name()) // fails, as it should, once it is renamed
	hash := sha256.New()
	if err := archiveFolder(io.MultiWriter(f, hash), dir); err != nil {
		f.Close()
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return nil, 0, err
	}
	if err := f.Close(); err != nil {
		return nil, 0, err
	}
	return hash.Sum(nil), info.Size(), os.Rename(f.Name(), path)
}

// archiveFolder writes the files below dir, sorted by name, with nothing of
// this machine in their headers.
func archiveFolder(out io.Writer, dir string) error {
	w := tar.NewWriter(out)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return addFile(w, filepath.ToSlash(name), 0o644, content, time.Unix(0, 0))
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func addFile(w *tar.Writer, name string, mode int64, content []byte, modified time.Time) error {
	err := w.WriteHeader(&tar.Header{
		Format: tar.FormatUSTAR, Typeflag: tar.TypeReg,
		Name: name, Mode: mode, Size: int64(len(content)), ModTime: modified,
	})
	if err != nil {
		return fmt.Errorf("tar header of %s: %w", name, err)
	}
	_, err = w.Write(content)
	return err
}
