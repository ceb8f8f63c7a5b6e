// Command image builds the project's container images as OCI tarballs, without
// Docker: one static binary in an image FROM scratch, for every architecture
// that Kubernetes runs on. The same sources and Go release give the same bytes.
//
//	go run -C hack/image . --output DIR [--arch amd64,arm64,...|all] [--version TAG] [--repository PREFIX] IMAGE...
//
// It writes DIR/IMAGE.tar, an OCI image layout (image-spec, image-layout.md)
// that `ctr -n k8s.io images import`, skopeo and crane read, and prints the image's
// name with the digest of its index, by which a registry that it was pushed to knows
// it. Relative paths start at hack/image, since go run -C works there.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	root := flags.String("root", "../..", "the clone whose images/IMAGE is built")
	output := flags.String("output", "../../dist", "folder for the tarballs")
	arch := flags.String("arch", "all", "GOARCH values, separated by commas, or all")
	version := flags.String("version", "dev", "version, which is also the image's tag")
	repository := flags.String("repository", localRepository, "what is before /IMAGE:TAG in the image's name")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	images, err := selectImages(flags.Args())
	if err != nil {
		return err
	}
	platforms, err := selectPlatforms(*arch)
	if err != nil {
		return err
	}
	if err := checkRef(*repository, *version); err != nil {
		return err
	}
	created, err := sourceDate()
	if err != nil {
		return err
	}

	work, err := os.MkdirTemp("", "image-")
	if err != nil {
		return fmt.Errorf("temporary folder: %w", err)
	}
	defer os.RemoveAll(work)
	for _, p := range platforms {
		fmt.Fprintf(os.Stderr, "compiling %s for %s\n", strings.Join(flags.Args(), ", "), p)
		if err := compile(*root, binaries(work, p), *version, p, images); err != nil {
			return err
		}
	}

	if err := os.MkdirAll(*output, 0o755); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	for _, img := range images {
		built, err := img.build(work, platforms, *version, created)
		if err != nil {
			return fmt.Errorf("image %s: %w", img.name, err)
		}
		index, err := built.Digest()
		if err != nil {
			return fmt.Errorf("image %s: %w", img.name, err)
		}
		path, ref := filepath.Join(*output, img.name+".tar"), img.ref(*repository, *version)
		digest, size, err := writeArchive(path, built, ref)
		if err != nil {
			return fmt.Errorf("image %s: %w", img.name, err)
		}
		fmt.Printf("%s sha256:%x %d bytes, %d platforms\n", path, digest, size, len(platforms))
		fmt.Printf("%s@%s\n", ref, index)
	}
	return nil
}

func selectImages(names []string) ([]image, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no image named: want one or more of %s", imageNames())
	}
	var selected []image
	for _, name := range names {
		i := slices.IndexFunc(images, func(img image) bool { return img.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown image %q: want one or more of %s", name, imageNames())
		}
		if slices.Contains(selected, images[i]) {
			return nil, fmt.Errorf("image %q is named twice", name)
		}
		selected = append(selected, images[i])
	}
	return selected, nil
}

func imageNames() string {
	var names []string
	for _, img := range images {
		names = append(names, img.name)
	}
	return strings.Join(names, ", ")
}
