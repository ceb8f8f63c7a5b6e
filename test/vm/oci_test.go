//go:build linux && vm

package vm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// image is an OCI image layout in a tarball (image-spec, image-layout.md).
type image struct {
	files map[string][]byte
}

func readImage(t *testing.T, path string) *image {
	t.Helper()
	archive, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &image{untar(t, bytes.NewReader(archive))}
}

func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

// descriptor is what an index, a manifest or a layer is referred to by.
type descriptor struct {
	Digest   string
	Platform struct{ Architecture string }
}

// blob returns the content that a descriptor refers to.
func (i *image) blob(t *testing.T, d descriptor) []byte {
	t.Helper()
	content, ok := i.files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	if !ok {
		t.Fatalf("the image has no blob %q", d.Digest)
	}
	return content
}

// program returns the one file of the image for an architecture.
func (i *image) program(t *testing.T, arch string) []byte {
	t.Helper()
	var index, platforms struct{ Manifests []descriptor }
	unmarshal(t, i.files["index.json"], &index)
	unmarshal(t, i.blob(t, index.Manifests[0]), &platforms)
	for _, d := range platforms.Manifests {
		if d.Platform.Architecture != arch {
			continue
		}
		var manifest struct{ Layers []descriptor }
		unmarshal(t, i.blob(t, d), &manifest)
		layer, err := gzip.NewReader(bytes.NewReader(i.blob(t, manifest.Layers[0])))
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range untar(t, layer) {
			return content
		}
	}
	t.Fatalf("the image is not there for %s: %+v", arch, platforms)
	return nil
}

func unmarshal(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}
