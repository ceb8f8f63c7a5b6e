package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A module is one Go module below hack/cluster and the programs it is built
// for. Each has its own go.mod, as their dependencies do not agree.
type module struct {
	dir      string // below hack/cluster
	main     string // module whose version the programs carry
	packages []string
	output   string // below .cluster/libexec; a folder if it ends in /
	cgo      bool
	tags     string
	stamp    func(version string) []string // what the linker's -X sets
}

var modules = []module{
	{
		dir: "k8s", main: "k8s.io/kubernetes", packages: []string{"."}, output: "k8s",
		stamp: func(v string) []string {
			var set []string
			major, minor, _ := strings.Cut(strings.TrimPrefix(v, "v"), ".")
			minor, _, _ = strings.Cut(minor, ".")
			for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
				set = append(set, pkg+".gitVersion="+v, pkg+".gitMajor="+major, pkg+".gitMinor="+minor, pkg+".gitTreeState=clean")
			}
			return set
		},
	},
	{
		dir: "containerd", main: "github.com/containerd/containerd/v2", output: "node-b/",
		packages: []string{
			"github.com/containerd/containerd/v2/cmd/containerd",
			"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			"github.com/containerd/containerd/v2/cmd/ctr",
		},
		stamp: func(v string) []string {
			return []string{"github.com/containerd/containerd/v2/version.Version=" + v}
		},
	},
	{
		dir: "runc", main: "github.com/opencontainers/runc", output: "node-b/", cgo: true, tags: "seccomp",
		packages: []string{"github.com/opencontainers/runc"},
		// runc embeds its VERSION file.
		stamp: func(string) []string { return nil },
	},
	{
		dir: "crun", packages: []string{"."}, output: "crun",
		stamp: func(string) []string { return nil },
	},
	{
		dir: "pause", packages: []string{"."}, output: "pause",
		stamp: func(string) []string { return nil },
	},
}

// build compiles everything, all modules at once, and says now and then how
// far it is. Go's build cache makes this short the second time, and -trimpath
// makes that hold for every clone.
func build(ctx context.Context, l Layout) error {
	if err := os.MkdirAll(l.libexec("node-b"), 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(modules))
	counts := make([]atomic.Int64, len(modules))
	var wg sync.WaitGroup
	for i, m := range modules {
		wg.Go(func() {
			if errs[i] = m.build(ctx, l, &counts[i]); errs[i] != nil {
				cancel()
			}
		})
	}

	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			var parts []string
			for i, m := range modules {
				if n := counts[i].Load(); n > 0 {
					parts = append(parts, fmt.Sprintf("%s %d", m.dir, n))
				}
			}
			if parts == nil {
				parts = []string{"none, all are in the build cache"}
			}
			step("building; packages compiled so far: %s", strings.Join(parts, ", "))
		case <-done:
			// The cause first: the others only say that they were cancelled.
			for _, err := range errs {
				if err != nil && !errors.Is(err, context.Canceled) {
					return err
				}
			}
			return errors.Join(errs...)
		}
	}
}

// build compiles one module's programs, counting packages as they are done.
// It leaves nothing to do where they are up to date.
func (m module) build(ctx context.Context, l Layout, count *atomic.Int64) error {
	dir := filepath.Join(l.Root, "hack", "cluster", m.dir)
	env := append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if m.cgo {
		env = append(env, "CGO_ENABLED=1")
	}
	ldflags := []string{"-s", "-w"}
	if m.main != "" {
		version, err := m.version(ctx, dir, env)
		if err != nil {
			return err
		}
		for _, set := range m.stamp(version) {
			ldflags = append(ldflags, "-X", set)
		}
	}

	args := []string{"build", "-v", "-trimpath", "-tags", m.tags, "-ldflags", strings.Join(ldflags, " "), "-o", l.libexec(m.output)}
	if strings.HasSuffix(m.output, "/") {
		args[len(args)-1] += "/"
	}
	cmd := exec.CommandContext(ctx, "go", append(args, m.packages...)...)
	cmd.Dir, cmd.Env = dir, env
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", m.dir, err)
	}
	var output bytes.Buffer
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		// Of what -v prints, package paths have no spaces; messages do.
		if strings.Contains(lines.Text(), " ") {
			fmt.Fprintln(&output, lines.Text())
			continue
		}
		count.Add(1)
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("build %s: %w:\n%s", m.dir, err, lastLines(output.Bytes(), 20))
	}
	return nil
}

// version is the main module's, as go.mod has it.
func (m module) version(ctx context.Context, dir string, env []string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", m.main)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("version of %s: %s", m.main, lastLines(exit.Stderr, 1))
		}
		return "", fmt.Errorf("version of %s: %w", m.main, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// linkPrograms gives the programs the names they are called by: the parts of
// the multi-call binary in libexec, and in bin what a person or a test calls.
func linkPrograms(l Layout) error {
	links := map[string]string{
		l.bin("kubectl"): l.libexec("k8s"),
		l.bin("ctr"):     l.libexec("node-b/ctr"),
	}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"} {
		links[l.libexec(name)] = l.libexec("k8s")
	}
	if err := os.MkdirAll(l.bin(""), 0o755); err != nil {
		return err
	}
	for link, target := range links {
		rel, err := filepath.Rel(filepath.Dir(link), target)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(link); err != nil {
			return err
		}
		if err := os.Symlink(rel, link); err != nil {
			return err
		}
	}
	return installSelf(l)
}

// installSelf copies this program to bin/cluster, where `go run` would have
// deleted it.
func installSelf(l Layout) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if exe == l.bin("cluster") {
		return nil
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		return err
	}
	return replaceFile(l.bin("cluster"), b, 0o755)
}

// replaceFile writes a file so that a reader sees the old one or the new one.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
