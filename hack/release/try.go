package main

import (
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/kubectl-seccomp/kubectl-seccomp/hack/release/krew"
)

// try installs each archive of the release in dir as krew does, looks at what was
// installed, and runs it where this machine can. Archives that the krew manifest does
// not have are unpacked all the same.
func (r release) try(ctx context.Context, work, dir, probeImage string) error {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return err
	}
	manifest, err := krew.Parse(text)
	if err != nil {
		return err
	}
	for _, p := range r.platforms {
		name := p.archive(r.version)
		archive, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		spec, ok := manifest.For(p.Machine)
		if !ok {
			sum, err := sumOf(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			spec = krew.Platform{URI: r.url(name), SHA256: sum, Bin: p.program()}
		}
		if spec.URI != r.url(name) {
			return fmt.Errorf("krew manifest: %s is to install %s", p, spec.URI)
		}
		root, err := os.MkdirTemp(work, "krew-")
		if err != nil {
			return err
		}
		link, err := krew.Install(root, manifest.Metadata.Name, r.version, spec, p.Machine, archive)
		if err != nil {
			return fmt.Errorf("%s, installed as krew does: %w", name, err)
		}
		how, err := r.tryProgram(ctx, link, p, probeImage)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(r.log, "installed %s, %s\n", name, how)
	}
	return nil
}

// emulators of qemu-user, by GOARCH. Debian's package qemu-user-static has them. That
// of i386 is left out: under 7.2 no Go program of more than one thread survives.
var emulators = map[string]string{
	"amd64": "x86_64", "arm": "arm", "arm64": "aarch64",
	"ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x",
}

// tryProgram looks at an installed plugin's header, and runs it: natively, else by an
// emulator that is installed. It returns which of these was done.
func (r release) tryProgram(ctx context.Context, link string, p platform, probeImage string) (string, error) {
	info, err := buildinfo.ReadFile(link)
	if err != nil {
		return "", err
	}
	for _, s := range info.Settings {
		want := map[string]string{"GOOS": p.OS, "GOARCH": p.Arch, "CGO_ENABLED": "0"}[s.Key]
		if want != "" && s.Value != want {
			return "", fmt.Errorf("the program was built with %s=%s", s.Key, s.Value)
		}
	}
	if p.OS != runtime.GOOS {
		return "not run: for another system", nil
	}
	if p.Arch == runtime.GOARCH {
		return "run", r.runProgram(ctx, p, probeImage, link)
	}
	if name, ok := emulators[p.Arch]; ok {
		if emulator, err := exec.LookPath("qemu-" + name + "-static"); err == nil {
			return "run under " + filepath.Base(emulator), r.runProgram(ctx, p, probeImage, emulator, link)
		}
	}
	if err := r.runProgram(ctx, p, probeImage, link); errors.Is(err, syscall.ENOEXEC) {
		return "not run: this machine cannot, and there is no emulator", nil
	} else if err != nil {
		return "", err
	}
	return "run", nil
}

// runProgram checks what the plugin says of itself.
func (r release) runProgram(ctx context.Context, p platform, probeImage string, command ...string) error {
	output := func(args ...string) ([]byte, error) {
		line := append(command[:len(command):len(command)], args...)
		out, err := exec.CommandContext(ctx, line[0], line[1:]...).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
		return out, nil
	}
	out, err := output("version", "-o", "json")
	if err != nil {
		return err
	}
	var version struct{ Version, ProbeImage, Platform string }
	if err := json.Unmarshal(out, &version); err != nil {
		return fmt.Errorf("version -o json: %w", err)
	}
	if version.Version != r.version || version.ProbeImage != probeImage || version.Platform != p.String() {
		return fmt.Errorf("version says %+v: want %s, %s, %s", version, r.version, probeImage, p)
	}
	help, err := output("--help")
	if err != nil {
		return err
	}
	if !strings.Contains(string(help), "kubectl seccomp diff") {
		return errors.New("--help does not have the command diff")
	}
	return nil
}
