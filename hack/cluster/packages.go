package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// debianPackages are what node-a runs on, and what building node-b's runc needs.
var debianPackages = []string{
	"containerd", "runc", "crun", "containernetworking-plugins",
	"gcc", "libc6-dev", "libseccomp-dev", "pkg-config", "iproute2",
}

// policyFile, where it exists, decides whether package scripts may start
// services (invoke-rc.d(8)); exit code 101 forbids it.
const policyFile = "/usr/sbin/policy-rc.d"

// installPackages installs those of debianPackages that are missing.
func installPackages(ctx context.Context) error {
	missing := missingPackages(ctx)
	if len(missing) == 0 {
		return nil
	}
	step("installing Debian packages: %s", strings.Join(missing, " "))
	if _, err := os.Lstat(policyFile); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policyFile, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return fmt.Errorf("keep the packages' services from starting: %w", err)
		}
		defer os.Remove(policyFile)
	}
	install := append([]string{"install", "-y", "--no-remove", "--no-install-recommends"}, missing...)
	if apt(ctx, install...) == nil {
		return nil
	}
	// The package lists may be absent or too old to fetch by.
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	return apt(ctx, install...)
}

func missingPackages(ctx context.Context) []string {
	var missing []string
	for _, p := range debianPackages {
		out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status}", p).Output()
		if err != nil || string(out) != "installed" {
			missing = append(missing, p)
		}
	}
	return missing
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=120"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w:\n%s", args[0], err, lastLines(out.Bytes(), 5))
	}
	return nil
}
