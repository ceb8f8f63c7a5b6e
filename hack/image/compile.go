package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// binaries is the folder below work that holds the programs of one platform.
func binaries(work string, p platform) string { return filepath.Join(work, p.goarch) }

// compile builds the programs of all images for one platform into dir, each
// under its image's name: static, stripped, and free of whatever differs from
// one machine to the next (paths, version control, the caller's Go settings).
func compile(root, dir, version string, p platform, images []image) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	args := []string{
		"build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version=" + version,
		"-o", dir + string(filepath.Separator),
	}
	for _, img := range images {
		args = append(args, "./images/"+img.name)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(),
		"CGO_ENABLED=0", "GOOS=linux", "GOARCH="+p.goarch,
		"GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off")
	if p.env != "" {
		cmd.Env = append(cmd.Env, p.env)
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build for %s in %s: %w", p, root, err)
	}
	return nil
}
