// Command release builds all that a release consists of. The same commit and Go
// release give the same bytes, in whatever folder and on whatever machine:
//
//	go run ./hack/release --version v1.2.3 [--output dist/v1.2.3]
//
// It runs in the repository's root and leaves, in the folder,
//
//	kubectl-seccomp_VERSION_OS_ARCH.tar.gz  the plugin and its licences; .zip for Windows
//	kubectl-seccomp-probe_VERSION.tar       the probe's image as an OCI layout, each architecture
//	kubectl-seccomp_VERSION.spdx.json       what modules are in them (SPDX 2.3)
//	seccomp.yaml                            the krew manifest, rendered from .krew.yaml
//	SHA256SUMS                              of all these, for sha256sum -c
//
// The plugin's default for --image is the image just built, by its digest. Before
// the folder is there, each archive has been installed as krew does it, and run
// where this machine can.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	semver "k8s.io/apimachinery/pkg/util/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, log io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	version := flags.String("version", "", "version to be released: v, and a semantic version")
	output := flags.String("output", "", "folder for what is released (default dist/VERSION); what it has is replaced")
	dirty := flags.Bool("dirty", false, "build from files that are not committed, too")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := checkVersion(*version); err != nil {
		return err
	}
	if !*dirty {
		if err := checkClean(ctx); err != nil {
			return err
		}
	}
	date, err := sourceDate(ctx)
	if err != nil {
		return err
	}
	if *output == "" {
		*output = filepath.Join("dist", *version)
	}
	r := release{
		root: ".", template: ".krew.yaml",
		imageTool: []string{"go", "run", "-C", "hack/image", "."}, imageArchs: "all",
		platforms: platforms, version: *version, date: date, log: log,
	}
	return r.into(ctx, *output)
}

// checkVersion wants what krew, Go and an image's tag all take: v1.2.3 or v1.2.3-rc.1.
func checkVersion(version string) error {
	v, err := semver.ParseSemantic(version)
	if err != nil || !strings.HasPrefix(version, "v") || v.BuildMetadata() != "" {
		return fmt.Errorf("--version is %q: want v1.2.3 or v1.2.3-rc.1, as the tag is", version)
	}
	return nil
}

func checkClean(ctx context.Context) error {
	changed, err := git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		file, _, _ := strings.Cut(changed, "\n")
		return fmt.Errorf("the working tree is not what is committed (%s): commit it, or give --dirty for a trial", strings.TrimSpace(file))
	}
	return nil
}

// sourceDate is the time stamped on everything: SOURCE_DATE_EPOCH
// (reproducible-builds.org/specs/source-date-epoch), or that of the commit.
func sourceDate(ctx context.Context) (time.Time, error) {
	text, from := os.Getenv("SOURCE_DATE_EPOCH"), "SOURCE_DATE_EPOCH"
	if text == "" {
		var err error
		if text, err = git(ctx, "show", "--no-patch", "--format=%ct", "HEAD"); err != nil {
			return time.Time{}, fmt.Errorf("%w: set SOURCE_DATE_EPOCH where there is no git", err)
		}
		from = "the commit's time"
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("%s is %q: want seconds since 1970", from, text)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func git(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}
