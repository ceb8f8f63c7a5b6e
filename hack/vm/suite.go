//go:build linux

package main

import "github.com/kubectl-seccomp/kubectl-seccomp/internal/vm"

// testRun is the tests of one package.
type testRun struct {
	pkg   string
	flags []string // of the test binary
}

// suite returns what is tested on a machine: all tests that ask the kernel, but
// for those that need a compiler, libseccomp or container runtimes there.
func suite(arch vm.Arch) []testRun {
	runs := []testRun{
		{"./pkg/syscalls", only("AgainstGo|Kernel")},
		{"./pkg/bpf", only("^TestKernel")},
		{"./pkg/probe/ptrace", nil},
		{"./pkg/probe", nil},
	}
	if arch.Name == "amd64" {
		runs = append(runs, testRun{"./pkg/policy", only("WitnessesInKernel$")})
	}
	return runs
}

func only(tests string) []string { return []string{"-test.run=" + tests} }

// program is a C program that tests run.
type program struct {
	source string
	flags  []string
	arch   string // it is for this machine only
}

var programs = []program{
	{source: "pkg/probe/ptrace/testdata/target.c"},
	{source: "pkg/probe/ptrace/testdata/bare.c"},
	// Not position-independent: see the test.
	{source: "pkg/policy/testdata/call.c", flags: []string{"-no-pie"}, arch: "amd64"},
	{source: "pkg/policy/testdata/compile.c", flags: []string{"-lseccomp"}, arch: "amd64"},
}
