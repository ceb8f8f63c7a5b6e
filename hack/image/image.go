package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// image is one of the project's container images: the program images/NAME,
// alone in its root folder and its entrypoint.
type image struct {
	name  string
	title string
	user  string // uid:gid
	limit int64  // of the program's size in bytes; 0 for none
}

var images = []image{
	{
		name:  "probe",
		title: "kubectl-seccomp probe",
		user:  "0:0", // ptrace and the /proc of other users
		// A probe pod starts on nodes that have never seen the image: what
		// they pull and unpack is part of the time to an answer.
		limit: 8 << 20,
	},
	{
		name:  "workload",
		title: "kubectl-seccomp workload for demo and tests",
		user:  "65532:65532", // installing a filter needs no privilege
	},
}

const source = "https://github.com/kubectl-seccomp/kubectl-seccomp"

// localRepository is where images of development builds are said to be. No registry
// answers to localhost: an image that was not loaded cannot be fetched from whoever
// might own the name elsewhere, which a kubelet would do for kubectl-seccomp/NAME
// (docker.io/kubectl-seccomp/NAME to it).
const localRepository = "localhost/kubectl-seccomp"

// ref is the name under which a node's container runtime finds the image.
func (img image) ref(repository, version string) string {
	return repository + "/" + img.name + ":" + version
}

// checkRef refuses what cannot be an image's name, before anything is compiled.
func checkRef(repository, version string) error {
	if _, err := name.NewRepository(repository+"/"+images[0].name, name.StrictValidation); err != nil {
		return fmt.Errorf("repository %q is none: want REGISTRY/PATH in lower case", repository)
	}
	if _, err := name.NewTag(images[0].ref(repository, version), name.StrictValidation); err != nil {
		return fmt.Errorf("version %q is no image tag: want up to 128 of A-Z a-z 0-9 _ . -", version)
	}
	return nil
}

// build returns the index of the image on all platforms, from the programs
// that compile left below work.
func (img image) build(work string, platforms []platform, version string, created time.Time) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		program, err := os.ReadFile(filepath.Join(binaries(work, p), img.name))
		if err != nil {
			return nil, err
		}
		if size := int64(len(program)); img.limit > 0 && size > img.limit {
			return nil, fmt.Errorf("the program for %s has %d bytes, over the limit of %d: find what grew with go tool nm -size -sort size", p, size, img.limit)
		}
		one, err := img.buildOne(program, p, version, created)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        notArtifact{one},
			Descriptor: v1.Descriptor{Platform: p.oci()},
		})
	}
	return index, nil
}

// notArtifact is an image whose descriptor has no artifactType. go-containerregistry
// puts the configuration's media type there; skopeo before 1.21 drops the field when
// it copies, which changes the index and with it the digest that the plugin asks for.
type notArtifact struct{ v1.Image }

func (notArtifact) ArtifactType() (string, error) { return "", nil }

func (img image) buildOne(program []byte, p platform, version string, created time.Time) (v1.Image, error) {
	layer, err := singleFileLayer(img.name, program, created)
	if err != nil {
		return nil, err
	}
	base := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	base = mutate.ConfigMediaType(base, types.OCIConfigJSON)
	built, err := mutate.Append(base, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "hack/image", Comment: "/" + img.name},
	})
	if err != nil {
		return nil, err
	}
	config, err := built.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: created}
	config.OS, config.Architecture, config.Variant = "linux", p.goarch, p.variant
	config.Config = v1.Config{
		User:       img.user,
		Entrypoint: []string{"/" + img.name},
		WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":    img.title,
			"org.opencontainers.image.source":   source,
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(built, config)
}

// singleFileLayer returns a layer of one executable in the root folder.
func singleFileLayer(name string, program []byte, modified time.Time) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := addFile(w, name, 0o755, program, modified); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer),
		tarball.WithCompressionLevel(gzip.BestCompression),
		tarball.WithCompressedCaching,
	)
}

// sourceDate is the time stamped on everything in an image: SOURCE_DATE_EPOCH
// (reproducible-builds.org/specs/source-date-epoch), or the epoch itself.
func sourceDate() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Unix(0, 0).UTC(), nil
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: want seconds since 1970", s)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
