//go:build linux && vm

// Package vm tests the images' programs on the kernels of other architectures.
package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm/plan"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

const root = "../.."

// TestImages takes the programs out of the images, as built for each architecture,
// has the probe collect workloads on a kernel of it, and reads here what it says.
// The workloads' filters are made from the tables of that architecture; what is
// read from them must be the same calls under the same conditions everywhere.
func TestImages(t *testing.T) {
	dir := t.TempDir()
	var arches []string
	for _, arch := range vm.Arches {
		arches = append(arches, arch.Name)
		if arch.Compat != "" {
			arches = append(arches, arch.Compat)
		}
	}
	build := exec.Command("go", "run", "-C", filepath.Join(root, "hack", "image"), ".", "--output", dir, "--arch", strings.Join(arches, ","), "probe", "workload")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the images: %v\n%s", err, out)
	}
	images := map[string]*image{}
	for _, name := range []string{"probe", "workload"} {
		images[name] = readImage(t, filepath.Join(dir, name+".tar"))
	}
	for _, arch := range vm.Arches {
		t.Run(arch.Name, func(t *testing.T) {
			t.Parallel()
			workloads := []string{"/workload args", "/workload stack -n 2"}
			files := []vm.File{
				{Path: "/guest", Perm: 0o755, Content: guest(t, arch)},
				{Path: "/probe", Perm: 0o755, Content: images["probe"].program(t, arch.Name)},
				{Path: "/workload", Perm: 0o755, Content: images["workload"].program(t, arch.Name)},
			}
			if arch.Compat != "" {
				workloads = append(workloads, "/compat args", "/compat stack -n 2")
				files = append(files, vm.File{Path: "/compat", Perm: 0o755, Content: images["workload"].program(t, arch.Compat)})
			}
			output := runGuest(t, arch, files, workloads)
			r, err := report.Read(t.Context(), bytes.NewReader(output), runName)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("kernel %s, machine %s, %d bytes", r.Hello.Kernel, r.Hello.Machine, len(output))
			abis := syscalls.OfMachine(arch.Name)
			if r.Hello.Arch != arch.Name || !slices.Equal(r.ABIs, abis) {
				t.Errorf("arch %s, ABIs %v, want %v", r.Hello.Arch, r.ABIs, abis)
			}
			for _, p := range r.Problems {
				t.Errorf("problem %s: %v", p.Code, &p)
			}

			var want []string
			for _, w := range workloads {
				words := strings.Fields(w)
				abi, compat, text := abis[0], 0, strings.Join(rules[words[1]], "; ")
				if words[0] == "/compat" {
					abi, compat, text = abis[len(abis)-1], 1, narrow.Replace(text)
				}
				want = append(want, fmt.Sprintf("%s compat=%d %s", words[0][1:], compat, strings.ReplaceAll(text, "ABI", abi.String())))
			}
			var got []string
			for _, target := range r.Targets {
				for _, p := range target.Problems {
					t.Errorf("problem %s: %v", p.Code, &p)
				}
				got = append(got, fmt.Sprintf("%s compat=%d %s", target.Comm, target.Compat, strings.Join(refusals(t, target, abis), "; ")))
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
		})
	}
}

// rules is what the workloads' filters refuse (images/workload/filters.go).
var rules = map[string][]string{
	"args": {
		"ABI clone: ERRNO(EPERM) when clone_flags & (CLONE_NEWNET|CLONE_NEWPID|CLONE_NEWUSER|CLONE_NEWIPC|CLONE_NEWUTS|CLONE_NEWCGROUP|CLONE_NEWNS) != 0",
		"ABI personality: ERRNO(EPERM) when personality not in {PER_LINUX, 0xffffffff}",
		"ABI socket: ERRNO(EAFNOSUPPORT) when (u32)family == AF_PACKET",
	},
	"stack": {"ABI acct: ERRNO(EPERM) when always", "ABI add_key: ERRNO(ENOENT) when always"},
}

// narrow makes of rules what they are where a register has 32 bits: it is only
// worth a word there that one half is looked at, or both.
var narrow = strings.NewReplacer("(u32)family", "family", "when personality", "when (u64)personality")

// refusals describes what a target's filters do not allow, by name.
func refusals(t *testing.T, target *report.Target, abis []syscalls.ABI) []string {
	t.Helper()
	s := target.Subject()
	if s == nil {
		t.Fatalf("target %+v was not read", target.Target)
	}
	// Not s.Policy: on an emulated processor the probe has no time for it.
	p, err := policy.Of(s.Stack, abis[0].ByteOrder())
	if err != nil {
		t.Fatal(err)
	}
	partition, err := p.Partition(policy.Options{ABIs: abis})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range partition.Rules {
		for _, d := range r.Decisions {
			if action := d.Outcome.Format(r.ABI); action != "ALLOW" {
				list = append(list, fmt.Sprintf("%v %s: %s when %s", r.ABI, r.Name(), action, d.Condition))
			}
		}
	}
	slices.Sort(list)
	return list
}

// runName is the run that the probe's frames belong to.
const runName = "vm"

// guest compiles the program that starts the others.
func guest(t *testing.T, arch vm.Arch) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "guest")
	if err := vm.Go(t.Context(), root, arch.Name, "build", "-ldflags", "-s -w", "-o", path, "./test/vm/guest"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// runGuest boots a machine and returns what the probe printed in there.
func runGuest(t *testing.T, arch vm.Arch, files []vm.File, workloads []string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	events, err := vm.Run(ctx, vm.Config{
		Arch: arch, Root: root, Files: files, Output: t.Output(),
		Steps: []plan.Step{{Name: "probe", Args: append([]string{"/guest", "/probe", runName}, workloads...), Dir: "/", Capture: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := events[0]; e.Error != "" || e.Exit != 0 || len(e.Left) > 0 {
		t.Fatalf("exit code %d, error %q, left are %q", e.Exit, e.Error, e.Left)
	}
	return events[0].Output
}
