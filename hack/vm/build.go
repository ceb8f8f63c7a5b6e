//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm/plan"
)

// Where things are in the machine.
const (
	testDir    = "/test"
	programDir = "/programs"
	sourceDir  = "/src" // a test binary runs where its package is
)

// oneIn is the share of repeated and random cases that are tried, as an emulated
// processor is twenty times as slow.
const oneIn = "8"

// build compiles tests and what they need.
func build(ctx context.Context, root string, arch vm.Arch, runs []testRun) ([]vm.File, []plan.Step, error) {
	work, err := os.MkdirTemp("", "vm-build-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(work)

	args := []string{"test", "-c", "-tags", "vm", "-ldflags", "-s -w", "-o", work + string(filepath.Separator)}
	for _, r := range runs {
		args = append(args, r.pkg)
	}
	if err := vm.Go(ctx, root, arch.Name, args...); err != nil {
		return nil, nil, err
	}
	var files []vm.File
	for _, p := range programs {
		if p.arch != "" && p.arch != arch.Name {
			continue
		}
		name := strings.TrimSuffix(path.Base(p.source), ".c")
		built := filepath.Join(work, name)
		if err := cprogram.Compile(arch.CC, built, filepath.Join(root, p.source), append(p.flags, "-static")...); err != nil {
			return nil, nil, err
		}
		if files, err = add(files, built, path.Join(programDir, name)); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range goPrograms(arch) {
		built := filepath.Join(work, p.name)
		if err := vm.Go(ctx, root, p.arch, "build", "-ldflags", "-s -w", "-o", built, p.pkg); err != nil {
			return nil, nil, err
		}
		if files, err = add(files, built, path.Join(programDir, p.name)); err != nil {
			return nil, nil, err
		}
	}

	var steps []plan.Step
	for _, r := range runs {
		pkg := path.Clean(r.pkg)
		binary := path.Join(testDir, path.Base(pkg)+".test")
		if files, err = add(files, filepath.Join(work, path.Base(pkg)+".test"), binary); err != nil {
			return nil, nil, fmt.Errorf("package %s has no tests: %w", r.pkg, err)
		}
		dir := path.Join(sourceDir, pkg)
		files = append(files, vm.File{Path: path.Join(dir, ".keep"), Perm: 0o644})
		steps = append(steps, plan.Step{
			Name: r.pkg,
			Args: append([]string{binary, "-test.v=test2json", "-test.timeout=8m"}, r.flags...),
			Dir:  dir,
			Env:  append([]string{cprogram.Folder + "=" + programDir, kerneltest.OneIn + "=" + oneIn}, r.env...),
			Test: true,
		})
	}
	return files, steps, nil
}

// add reads an executable.
func add(files []vm.File, from, to string) ([]vm.File, error) {
	content, err := os.ReadFile(from)
	if err != nil {
		return nil, err
	}
	return append(files, vm.File{Path: to, Perm: 0o755, Content: content}), nil
}
