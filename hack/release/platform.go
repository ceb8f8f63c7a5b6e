package main

import "github.com/kubectl-seccomp/kubectl-seccomp/hack/release/krew"

// platform is one that the plugin is released for.
type platform struct {
	krew.Machine
	env string // the baseline of the instruction set, fixed against the environment
}

// platforms are all that krew knows and Go still builds for, and two more that
// Kubernetes is run from.
var platforms = []platform{
	{krew.Machine{OS: "darwin", Arch: "amd64"}, "GOAMD64=v1"},
	{krew.Machine{OS: "darwin", Arch: "arm64"}, "GOARM64=v8.0"},
	{krew.Machine{OS: "linux", Arch: "386"}, "GO386=sse2"},
	{krew.Machine{OS: "linux", Arch: "amd64"}, "GOAMD64=v1"},
	{krew.Machine{OS: "linux", Arch: "arm"}, "GOARM=7"},
	{krew.Machine{OS: "linux", Arch: "arm64"}, "GOARM64=v8.0"},
	{krew.Machine{OS: "linux", Arch: "ppc64le"}, "GOPPC64=power8"},
	{krew.Machine{OS: "linux", Arch: "riscv64"}, "GORISCV64=rva20u64"},
	{krew.Machine{OS: "linux", Arch: "s390x"}, ""},
	{krew.Machine{OS: "windows", Arch: "386"}, "GO386=sse2"},
	{krew.Machine{OS: "windows", Arch: "amd64"}, "GOAMD64=v1"},
	{krew.Machine{OS: "windows", Arch: "arm64"}, "GOARM64=v8.0"},
}

// program is the name of the plugin's binary.
func (p platform) program() string {
	if p.OS == "windows" {
		return "kubectl-seccomp.exe"
	}
	return "kubectl-seccomp"
}

// archive is the name of the archive with it.
func (p platform) archive(version string) string {
	name := "kubectl-seccomp_" + version + "_" + p.OS + "_" + p.Arch
	if p.OS == "windows" {
		return name + ".zip"
	}
	return name + ".tar.gz"
}
