package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	home       = "https://github.com/kubectl-seccomp/kubectl-seccomp"
	repository = "ghcr.io/kubectl-seccomp" // of the released images
)

// release is one release to be built.
type release struct {
	root       string   // of the sources
	imageTool  []string // the command hack/image
	imageArchs string   // --arch of hack/image
	template   string   // the file that the krew manifest is rendered from
	platforms  []platform
	version    string
	date       time.Time // stamped on everything
	log        io.Writer
}

// built is a plugin that was built for a platform.
type built struct {
	platform
	path string // of the binary
	info *buildinfo.BuildInfo
}

// into builds the release into a folder, which is there only once all of it is.
func (r release) into(ctx context.Context, output string) error {
	output, err := filepath.Abs(output)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(output), ".release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	dir := filepath.Join(work, "release")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := r.build(ctx, work, dir); err != nil {
		return err
	}
	if err := os.RemoveAll(output); err != nil {
		return err
	}
	return os.Rename(dir, output)
}

func (r release) build(ctx context.Context, work, dir string) error {
	image, err := r.buildImage(ctx, work, filepath.Join(dir, r.imageArchive()))
	if err != nil {
		return err
	}
	fmt.Fprintln(r.log, "image", image.ref)

	licences := newLicences(r.root)
	var plugins []built
	for _, p := range r.platforms {
		fmt.Fprintln(r.log, "compiling kubectl-seccomp for", p)
		plugin, err := r.compile(ctx, work, p, image.ref)
		if err != nil {
			return err
		}
		notices, err := licences.notices(ctx, plugin.info)
		if err != nil {
			return err
		}
		if err := r.pack(dir, plugin, notices); err != nil {
			return fmt.Errorf("archive for %s: %w", p, err)
		}
		plugins = append(plugins, plugin)
	}

	if err := r.writeSBOM(ctx, dir, plugins, image, licences); err != nil {
		return fmt.Errorf("SBOM: %w", err)
	}
	if err := r.writeManifest(dir); err != nil {
		return err
	}
	if err := writeSums(dir); err != nil {
		return err
	}
	return r.try(ctx, work, dir, image.ref)
}

func (r release) imageArchive() string { return "kubectl-seccomp-probe_" + r.version + ".tar" }

// compile builds the plugin for a platform: static, stripped, and free of whatever
// differs from one machine to the next (paths, version control, the caller's Go
// settings).
func (r release) compile(ctx context.Context, work string, p platform, probeImage string) (built, error) {
	const pkg = "github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin"
	path := filepath.Join(work, p.OS+"_"+p.Arch, p.program())
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X "+pkg+".Version="+r.version+" -X "+pkg+".ProbeImage="+probeImage,
		"-o", path, "./cmd/kubectl-seccomp")
	cmd.Dir = r.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.OS, "GOARCH="+p.Arch,
		"GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off")
	if p.env != "" {
		cmd.Env = append(cmd.Env, p.env)
	}
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Run(); err != nil {
		return built{}, fmt.Errorf("go build for %s: %w", p, err)
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return built{}, err
	}
	return built{platform: p, path: path, info: info}, nil
}

// buildImage builds the probe's image for all architectures into an OCI layout at
// path.
func (r release) buildImage(ctx context.Context, work, path string) (image, error) {
	root, err := filepath.Abs(r.root)
	if err != nil {
		return image{}, err
	}
	args := append(r.imageTool[1:len(r.imageTool):len(r.imageTool)], "--root", root, "--output", work,
		"--arch", r.imageArchs, "--version", r.version, "--repository", repository, "probe")
	cmd := exec.CommandContext(ctx, r.imageTool[0], args...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(r.date.Unix(), 10))
	cmd.Stderr = r.log
	if err := cmd.Run(); err != nil {
		return image{}, fmt.Errorf("the probe's image, by hack/image: %w", err)
	}
	if err := os.Rename(filepath.Join(work, "probe.tar"), path); err != nil {
		return image{}, err
	}
	img, err := readImage(path)
	if err != nil {
		return image{}, fmt.Errorf("the probe's image: %s: %w", filepath.Base(path), err)
	}
	img.ref = repository + "/probe:" + r.version + "@" + img.digest
	return img, nil
}

// url is where a file of the release is to be had.
func (r release) url(file string) string {
	return strings.Join([]string{home, "releases/download", r.version, file}, "/")
}
