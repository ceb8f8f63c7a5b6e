package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// image is the probe's image.
type image struct {
	ref      string // NAME:TAG@DIGEST, by which the plugin asks for it
	digest   string // of its index: what a registry knows it by
	programs []*buildinfo.BuildInfo
}

// descriptors is what the index of an OCI layout, an image index and an image's
// manifest have of the content they point to (image-spec, descriptor.md).
type descriptors struct {
	Manifests []descriptor `json:"manifests"`
	Layers    []descriptor `json:"layers"`
}

type descriptor struct {
	Digest string `json:"digest"`
}

// readImage reads an OCI layout with the index of one image of single programs.
func readImage(path string) (image, error) {
	layout, err := readTar(path)
	if err != nil {
		return image{}, err
	}
	var top descriptors
	if err := json.Unmarshal(layout["index.json"], &top); err != nil {
		return image{}, fmt.Errorf("index.json: %w", err)
	}
	if len(top.Manifests) != 1 {
		return image{}, fmt.Errorf("index.json lists %d images: want 1", len(top.Manifests))
	}
	img := image{digest: top.Manifests[0].Digest}
	var index descriptors
	if err := layout.read(top.Manifests[0], &index); err != nil {
		return image{}, err
	}
	for _, m := range index.Manifests {
		var manifest descriptors
		if err := layout.read(m, &manifest); err != nil {
			return image{}, err
		}
		for _, l := range manifest.Layers {
			info, err := layout.program(l)
			if err != nil {
				return image{}, fmt.Errorf("layer %s: %w", l.Digest, err)
			}
			img.programs = append(img.programs, info)
		}
	}
	if len(img.programs) == 0 {
		return image{}, errors.New("there is no program in it")
	}
	return img, nil
}

// layout is the files of an OCI layout by name.
type layout map[string][]byte

func readTar(path string) (layout, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	files := make(layout)
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

// blob returns the content that has a digest.
func (l layout) blob(d descriptor) ([]byte, error) {
	sum, ok := strings.CutPrefix(d.Digest, "sha256:")
	content, there := l["blobs/sha256/"+sum]
	if !ok || !there || fmt.Sprintf("%x", sha256.Sum256(content)) != sum {
		return nil, fmt.Errorf("blob %s is not there, or not itself", d.Digest)
	}
	return content, nil
}

func (l layout) read(d descriptor, into any) error {
	content, err := l.blob(d)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, into)
}

// program reads what the one program of a layer was built from.
func (l layout) program(d descriptor) (*buildinfo.BuildInfo, error) {
	content, err := l.blob(d)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	r := tar.NewReader(z)
	if _, err := r.Next(); err != nil {
		return nil, err
	}
	program, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return buildinfo.Read(bytes.NewReader(program))
}
