//go:build linux

// Command vm runs tests on real Linux kernels other than this machine's, in
// virtual machines (internal/vm): of arm64, of s390x, which is big-endian, and of
// amd64 in a version that has the 32-bit system calls.
//
//	go run ./hack/vm [--arch all|NAME,…] [--timeout D]
//	go run ./hack/vm  --arch NAME,…  [--timeout D] PACKAGE… [-- -test.FLAG…]
//
// Without packages it runs those tests of each machine that suite.go lists. It
// fails if a test fails, or is skipped, or if no test ran; if the kernel panics or
// the time is up; and if a test leaves a process behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm/plan"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, output io.Writer) error {
	var testFlags []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, testFlags = args[:i], args[i+1:]
	}
	flags := flag.NewFlagSet("vm", flag.ContinueOnError)
	names := flags.String("arch", "all", "the machines, separated by commas, or all")
	timeout := flags.Duration("timeout", 10*time.Minute, "for each machine, the compiling included")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() == 0 && testFlags != nil {
		return errors.New("flags for tests are given, but no package")
	}
	arches := vm.Arches
	if *names != "all" {
		arches = nil
		for name := range strings.SplitSeq(*names, ",") {
			arch, err := vm.ArchOf(name)
			if err != nil {
				return err
			}
			arches = append(arches, arch)
		}
	}
	root, err := findRoot()
	if err != nil {
		return err
	}

	// An emulator keeps a processor busy.
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	lines := &prefixer{w: output}
	failures := make([]error, len(arches))
	var wg sync.WaitGroup
	for i, arch := range arches {
		runs := suite(arch)
		if flags.NArg() > 0 {
			runs = nil
			for _, pkg := range flags.Args() {
				runs = append(runs, testRun{pkg: pkg, flags: testFlags})
			}
		}
		wg.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			ctx, cancel := context.WithTimeout(ctx, *timeout)
			defer cancel()
			begin := time.Now()
			out := lines.of(arch.Name)
			if failures[i] = runTests(ctx, root, arch, runs, out); failures[i] != nil {
				failures[i] = fmt.Errorf("%s: %w", arch.Name, failures[i])
				return
			}
			fmt.Fprintf(out, "ok, in %.1f s\n", time.Since(begin).Seconds())
		})
	}
	wg.Wait()
	return errors.Join(failures...)
}

// findRoot returns the clone around the working directory.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "internal", "vm", "vm.go")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run this from a clone of kubectl-seccomp")
		}
	}
}

// runTests runs tests on one machine.
func runTests(ctx context.Context, root string, arch vm.Arch, runs []testRun, out io.Writer) error {
	files, steps, err := build(ctx, root, arch, runs)
	if err != nil {
		return err
	}
	events, err := vm.Run(ctx, vm.Config{Arch: arch, Root: root, Files: files, Steps: steps, Output: out})
	failures := []error{err}
	for i := range min(len(events), len(steps)) {
		err := judge(events[i])
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", steps[i].Name, err))
		}
		fmt.Fprintf(out, "%-28s %3d tests passed, %5.1f s\n", steps[i].Name, events[i].Passed, events[i].Seconds)
	}
	return errors.Join(failures...)
}

// judge returns what is wrong with a run of tests.
func judge(e plan.Event) error {
	switch {
	case e.Error != "":
		return errors.New(e.Error)
	case len(e.Failed) > 0:
		return fmt.Errorf("failed: %s", strings.Join(e.Failed, ", "))
	case len(e.Skipped) > 0:
		return fmt.Errorf("skipped, and so not tested: %s", strings.Join(e.Skipped, ", "))
	case e.Exit != 0:
		return fmt.Errorf("exit code %d", e.Exit)
	case e.Passed == 0:
		return errors.New("no test ran")
	case len(e.Left) > 0:
		return fmt.Errorf("processes are left: %s", strings.Join(e.Left, ", "))
	}
	return nil
}

// prefixer writes lines of several machines, each after its machine's name.
type prefixer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *prefixer) of(name string) io.Writer { return prefixed{p, name} }

type prefixed struct {
	*prefixer
	name string
}

// Write is given whole lines.
func (p prefixed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Fprintf(p.w, "%-6s| %s", p.name, line); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}
