//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// kernel returns the path of a machine's kernel, which it fetches if it is not in
// the user's cache yet. There is one for each package; whoever wants a newer one
// removes it.
func kernel(ctx context.Context, arch Arch, say func(format string, args ...any)) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("where to keep kernels: %w", err)
	}
	dir := filepath.Join(cache, "kubectl-seccomp", "kernels", arch.Kernel)
	path := filepath.Join(dir, "vmlinuz")
	if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return path, err
	}
	say("fetching Debian's %s for %s", arch.Kernel, arch.Debian)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := fetch(ctx, arch, work); err != nil {
		return "", fmt.Errorf("fetch %s: %w", arch.Kernel, err)
	}
	// Complete or not at all, and should another have been faster, that is as
	// good.
	if err := os.Rename(filepath.Join(work, "kernel"), dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return path, nil
}

// fetch gets the newest kernel from the archives that this machine's apt is
// configured for, and verifies as apt does. The state that apt keeps is another
// than the machine's own, which need not know of the architecture.
func fetch(ctx context.Context, arch Arch, work string) error {
	for _, dir := range []string{"lists/partial", "cache/archives/partial", "kernel", "root"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	status := filepath.Join(work, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return err
	}
	options := []string{
		"-q",
		"-o", "APT::Architecture=" + arch.Debian,
		"-o", "APT::Architectures=" + arch.Debian,
		"-o", "APT::Sandbox::User=root", // who may write to work
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::IndexTargets::deb-src::Sources::DefaultEnabled=false",
		"-o", "Dir::State=" + work,
		"-o", "Dir::State::Lists=" + filepath.Join(work, "lists"),
		"-o", "Dir::State::status=" + status,
		"-o", "Dir::Cache=" + filepath.Join(work, "cache"),
	}
	apt := func(program string, args ...string) (string, error) {
		return command(ctx, work, program, append(options, args...)...)
	}
	if _, err := apt("apt-get", "update"); err != nil {
		return err
	}
	depends, err := apt("apt-cache", "depends", arch.Kernel)
	if err != nil {
		return err
	}
	m := regexp.MustCompile(`(?m)^ *Depends: (linux-image-\S+)$`).FindStringSubmatch(depends)
	if m == nil {
		return fmt.Errorf("it depends on no kernel: apt-cache says %q", depends)
	}
	if _, err := apt("apt-get", "download", m[1]); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download left %q: %v", debs, err)
	}
	root := filepath.Join(work, "root")
	if _, err := command(ctx, work, "dpkg-deb", "-x", debs[0], root); err != nil {
		return err
	}
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return fmt.Errorf("%s has the kernels %q: %v", filepath.Base(debs[0]), images, err)
	}
	return os.Rename(images[0], filepath.Join(work, "kernel", "vmlinuz"))
}

// command runs a program and returns what it prints. An error has its last words.
func command(ctx context.Context, dir, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%s: %w: %s", program, err, lines[len(lines)-1])
	}
	return stdout.String(), nil
}
