package main

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// platform is one architecture that an image is built for.
type platform struct {
	goarch  string
	variant string // of the OCI platform, where GOARCH alone is ambiguous
	env     string // the baseline of the instruction set, fixed against the environment
}

// platforms are the architectures of Kubernetes nodes, in the order that an
// image index lists them.
var platforms = []platform{
	{goarch: "amd64", env: "GOAMD64=v1"},
	{goarch: "arm64", env: "GOARM64=v8.0"},
	{goarch: "arm", variant: "v7", env: "GOARM=7"},
	{goarch: "386", env: "GO386=sse2"},
	{goarch: "ppc64le", env: "GOPPC64=power8"},
	{goarch: "s390x"},
	{goarch: "riscv64", env: "GORISCV64=rva20u64"},
	{goarch: "loong64"},
}

func (p platform) String() string { return "linux/" + p.goarch }

func (p platform) oci() *v1.Platform {
	return &v1.Platform{OS: "linux", Architecture: p.goarch, Variant: p.variant}
}

// selectPlatforms parses --arch. The result is in the order of platforms,
// whatever the order asked for, so that the same set gives the same image.
func selectPlatforms(list string) ([]platform, error) {
	if list == "all" {
		return platforms, nil
	}
	wanted := make(map[string]bool)
	for _, arch := range strings.Split(list, ",") {
		if !slices.ContainsFunc(platforms, func(p platform) bool { return p.goarch == arch }) {
			return nil, fmt.Errorf("unknown architecture %q: want all, or some of %s", arch, platformNames())
		}
		wanted[arch] = true
	}
	var selected []platform
	for _, p := range platforms {
		if wanted[p.goarch] {
			selected = append(selected, p)
		}
	}
	return selected, nil
}

func platformNames() string {
	var names []string
	for _, p := range platforms {
		names = append(names, p.goarch)
	}
	return strings.Join(names, ",")
}
