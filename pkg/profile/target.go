package profile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A Runtime is who reads a profile.
type Runtime uint8

const (
	// Containerd is its CRI plugin with a Localhost profile.
	Containerd Runtime = iota
	// DockerEngine is dockerd with --security-opt seccomp=.
	DockerEngine
	// CRIO is CRI-O with a Localhost profile, and Podman. What CRI-O changes about
	// its own default profile, and profiles from OCI artifacts, are not in it.
	CRIO
)

func (r Runtime) String() string {
	switch r {
	case Containerd:
		return "containerd"
	case DockerEngine:
		return "Docker"
	case CRIO:
		return "CRI-O"
	}
	return fmt.Sprintf("Runtime(%d)", uint8(r))
}

// An OCIRuntime is who has a filter made of it.
type OCIRuntime uint8

const (
	// Runc is runc since 1.1.15 and 1.2.0-rc.1.
	Runc OCIRuntime = iota
	// OldRunc is runc before: its ENOSYS stub is for listed architectures only, and
	// the machine's own need not be listed.
	OldRunc
	Crun
)

func (r OCIRuntime) String() string {
	switch r {
	case Runc, OldRunc:
		return "runc"
	case Crun:
		return "crun"
	}
	return fmt.Sprintf("OCIRuntime(%d)", uint8(r))
}

// A Target is where a profile is to be loaded. The zero value is containerd with
// runc, and lacks only Arch.
type Target struct {
	Runtime    Runtime // without effect on an OCIConfig, which is past that stage
	OCIRuntime OCIRuntime

	// Arch is the machine's GOARCH. It must be stated.
	Arch string
	// Capabilities are the container's bounding set, "CAP_SYS_ADMIN" or
	// "SYS_ADMIN". Docker and CRI-O ask for them.
	Capabilities []string
	// Kernel is the node's kernel. Docker asks for it if the profile does.
	Kernel Kernel
	// Known tells whether the node's libseccomp has a call of that name: it skips
	// those it has not. If Known is nil, it has those of pkg/syscalls.
	Known func(name string) bool
}

func (t Target) bounding(capability string) bool {
	return slices.ContainsFunc(t.Capabilities, func(c string) bool {
		c = strings.ToUpper(c)
		return c == capability || "CAP_"+c == capability
	})
}

// A Kernel is the release of a Linux kernel, as far as profiles go.
type Kernel = syscalls.Release

// ParseKernel takes the first two numbers of a release as uname -r has it.
func ParseKernel(release string) (Kernel, error) { return syscalls.ParseRelease(release) }
