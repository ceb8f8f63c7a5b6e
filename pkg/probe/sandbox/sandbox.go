// Package sandbox recognises containers whose system calls another kernel
// answers than the node's: gVisor's, or that of a virtual machine (Kata
// Containers). What runs of them on the node has filters of its own, which are
// not the container's, and the container's are not to be seen from the node.
package sandbox

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/oci"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// Sandbox is what a container was found to run in.
type Sandbox struct {
	Kind string      // "gVisor"
	By   oci.Manager // the process that it is recognised by
}

func (s Sandbox) String() string {
	return fmt.Sprintf("%s, by %s, pid %d", s.Kind, s.By.Program, s.By.PID)
}

const (
	gVisor  = "gVisor"
	kata    = "Kata Containers"
	machine = "a virtual machine"
)

// programs are what sandboxes are made of, by the base names of programs, or
// what these begin with.
var programs = []struct {
	name   string
	prefix bool
	kind   string
}{
	{"containerd-shim-runsc-", true, gVisor},
	{"runsc", false, gVisor},
	{"runsc-sandbox", false, gVisor},
	{"runsc-gofer", false, gVisor},
	{"containerd-shim-kata-", true, kata},
	{"kata-runtime", false, kata},
	{"qemu-system-", true, machine},
	{"qemu-kvm", false, machine},
	{"cloud-hypervisor", false, machine},
	{"firecracker", false, machine},
	{"dragonball", false, machine},
	{"stratovirt", false, machine},
}

// kindOf returns which kind of sandbox a program is part of, "" if of none.
func kindOf(program string) string {
	for _, p := range programs {
		if program == p.name || p.prefix && strings.HasPrefix(program, p.name) {
			return p.kind
		}
	}
	return ""
}

// names are what /proc/PID/comm of these begins with. That of runsc is "exe", as
// it executes /proc/self/exe.
var names = []string{"containerd-shim", "runsc", "exe", "qemu-", "cloud-hyperviso", "firecracker", "dragonball", "stratovirt"}

// Of returns what a container with processes on the node runs in, given those
// that look after it and its OCI runtime ("" if not known): all of the node's own
// word.
func Of(managers []oci.Manager, runtime string) (Sandbox, bool) {
	for _, m := range managers {
		if kind := kindOf(m.Program); kind != "" {
			return Sandbox{kind, m}, true
		}
	}
	if kind := kindOf(path.Base(runtime)); kind != "" && len(managers) > 0 {
		return Sandbox{kind, oci.Manager{PID: managers[0].PID, Program: path.Base(runtime)}}, true
	}
	return Sandbox{}, false
}

// Find returns what a container without processes on the node runs in: that whose
// arguments name the container, or that started for the container's pod. Only
// processes in the mount namespace home or in no container are believed; "" is
// none.
func Find(fs proc.FS, id proc.ContainerID, home string) (Sandbox, bool) {
	pids, err := fs.PIDs()
	if err != nil {
		return Sandbox{}, false
	}
	slices.Sort(pids)
	for _, pid := range pids {
		comm, err := fs.Comm(pid)
		if err != nil || !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(comm, name) }) {
			continue
		}
		args, err := fs.Arguments(pid)
		if err != nil || len(args) == 0 || !ofNode(fs, pid, home) {
			continue
		}
		m := oci.Manager{PID: pid, Program: path.Base(args[0])}
		kind := kindOf(m.Program)
		if kind == "" {
			continue
		}
		if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, string(id)) }) || startedFor(fs, pid, id) {
			return Sandbox{kind, m}, true
		}
	}
	return Sandbox{}, false
}

// startedFor reports whether a shim was started for the pod that a container is
// in: it works in the bundle of the pod's sandbox, beside the container's, whose
// configuration names that sandbox. (That it is beside says nothing: those of all
// pods are.)
func startedFor(fs proc.FS, pid int, id proc.ContainerID) bool {
	cwd, err := fs.WorkingDirectory(pid)
	if err != nil {
		return false
	}
	c, err := oci.Ask(fs, pid, id)
	return err == nil && c.Sandbox != "" && slices.Contains(strings.Split(cwd, "/"), c.Sandbox)
}

// ofNode reports whether a process is the node's own, and not a container's that
// calls itself as one of the node's. Kata's may be in a cgroup that looks like
// that of its pod's sandbox.
func ofNode(fs proc.FS, pid int, home string) bool {
	if in, err := fs.ContainerOf(pid); err == nil && in == "" {
		return true
	}
	mounts, err := fs.Namespace(pid, "mnt")
	return err == nil && home != "" && mounts == home
}
