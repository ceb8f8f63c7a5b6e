//go:build linux

package main

import (
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm"
)

// testRun is the tests of one package.
type testRun struct {
	pkg   string
	flags []string // of the test binary
	env   []string
}

// suite returns what is tested on a machine: all tests that ask the kernel, but
// for those that need a compiler, libseccomp or container runtimes there.
func suite(arch vm.Arch) []testRun {
	// To install the most filters that there can be takes half a minute: one
	// machine has the tracer read them, another the whole probe.
	const tallest = "TestTallestStack"
	// It asks nothing of the kernel, and takes a program that is not there.
	const waits = "TestVerifyWaits"
	// The rest of pkg/probe is about what is the same everywhere, or takes as long
	// as a fast processor does.
	const probe = "^Test(Process|All|LongPrograms|Stacked|ThreadsDiffer|Preference|Forks|Execs|Problems|" +
		"RestartDenied|Limits|SelfCheck|OutputFull|Frozen|Stopped"
	// Those that need no programs beside their own. In cgroups of version 2, and with
	// calls of i386, which not every kernel takes.
	const recorded = "^Test(Counts|Compat|Nested|Refused|Ended|NoSuchController)$"
	switch arch.Name {
	case "amd64":
		return []testRun{
			{pkg: "./pkg/syscalls", flags: only("^TestKernel")},
			{pkg: "./pkg/probe", flags: only(probe + "|TallestStack|Compat)$")},
			{pkg: "./pkg/policy", flags: only("InKernel$"), env: []string{"POLICY_SEED=1"}},
			{pkg: "./pkg/probe/record", flags: only(recorded)},
		}
	case "arm64":
		return []testRun{
			{pkg: "./pkg/syscalls", flags: only("^TestKernel")},
			{pkg: "./pkg/bpf", flags: only("^TestKernel")},
			{pkg: "./pkg/probe/ptrace", flags: except(tallest, waits)},
			{pkg: "./pkg/probe", flags: only(probe + "|Compat)$")},
		}
	case "s390x":
		return []testRun{
			{pkg: "./pkg/syscalls", flags: only("^TestKernel")},
			{pkg: "./pkg/bpf", flags: only("^TestKernel")},
			{pkg: "./pkg/probe/ptrace", flags: except(waits)},
			{pkg: "./pkg/probe", flags: only(probe + ")$")}, // Go has no 31-bit programs
		}
	}
	return nil
}

func only(tests string) []string { return []string{"-test.run=" + tests} }

func except(tests ...string) []string {
	return []string{"-test.skip=^(" + strings.Join(tests, "|") + ")$"}
}

// goProgram is a Go program that tests run.
type goProgram struct {
	pkg  string
	name string
	arch string // GOARCH
}

// goPrograms returns those that a machine needs.
func goPrograms(arch vm.Arch) []goProgram {
	if arch.Compat == "" {
		return nil
	}
	return []goProgram{{"./images/workload", "workload-compat", arch.Compat}}
}

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
	{source: "pkg/probe/record/testdata/caller.c", arch: "amd64"},
	{source: "pkg/policy/testdata/compile.c", flags: []string{"-lseccomp"}, arch: "amd64"},
}
