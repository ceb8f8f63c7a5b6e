package profile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// archMap is what is common to Docker's and containers/common's: which
// architectures to list on a machine of a given one.
type archMap []struct {
	Arch      string   `json:"architecture"`
	SubArches []string `json:"subArchitectures"`
}

// architectures returns those of the machine's, if the reader knows the machine.
func (m archMap) architectures(native string) []string {
	for _, a := range m {
		if native != "" && a.Arch == native {
			return append([]string{a.Arch}, a.SubArches...)
		}
	}
	return nil
}

// A condition is what an entry is included or excluded for.
type condition struct {
	Caps      []string  `json:"caps"`
	Arches    []string  `json:"arches"`
	MinKernel minKernel `json:"minKernel"`
}

// excluded tells whether what is to be excluded is one of c.
func (c *condition) excluded(t Target, arch string) bool {
	return c != nil && (slices.Contains(c.Arches, arch) ||
		slices.ContainsFunc(c.Caps, t.bounding) ||
		c.MinKernel.set && t.Kernel.AtLeast(c.MinKernel.Kernel))
}

// included tells whether all that is asked for is there.
func (c *condition) included(t Target, arch string) bool {
	if c == nil {
		return true
	}
	if len(c.Arches) > 0 && !slices.Contains(c.Arches, arch) {
		return false
	}
	for _, name := range c.Caps {
		if !t.bounding(name) {
			return false
		}
	}
	return !c.MinKernel.set || t.Kernel.AtLeast(c.MinKernel.Kernel)
}

// minKernel is a kernel version as Docker takes it: two numbers below 256.
type minKernel struct {
	Kernel
	set bool
}

func (k *minKernel) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil || s == "" {
		return err
	}
	major, minor, ok := strings.Cut(s, ".")
	a, err1 := strconv.ParseUint(major, 10, 8)
	b, err2 := strconv.ParseUint(minor, 10, 8)
	if !ok || err1 != nil || err2 != nil || a == 0 && b == 0 {
		return fmt.Errorf("minKernel %s: want two numbers as in \"4.8\"", quote(s))
	}
	*k = minKernel{Kernel{Major: uint(a), Minor: uint(b)}, true}
	return nil
}

// A dockerProfile is the structure of github.com/moby/profiles/seccomp.
type dockerProfile struct {
	LinuxSeccomp
	ArchMap  archMap        `json:"archMap"`
	Syscalls []*dockerEntry `json:"syscalls"`
}

type dockerEntry struct {
	LinuxSyscall
	Name     string     `json:"name"`
	Includes *condition `json:"includes"`
	Excludes *condition `json:"excludes"`
}

// dockerArchs are the names that includes and excludes have for a GOARCH, where
// those are different.
var dockerArchs = map[string]string{"386": "x86", "loong64": "loongarch64", "mips64le": "mipsel64", "mipsle": "mipsel"}

// dockerArch is how Docker calls a machine in includes and excludes, and which
// architecture it looks up in archMap. It has two tables for that, and they do
// not agree on what loong64 and mipsle are called, so those are not found.
func dockerArch(goarch string) (name, native string) {
	name = goarch
	if n, ok := dockerArchs[goarch]; ok {
		name = n
	}
	switch goarch {
	case "386", "amd64", "arm", "arm64", "mips64", "mips64le", "ppc", "ppc64", "ppc64le", "riscv64", "s390x":
		native = syscalls.OfMachine(goarch)[0].SCMP()
	}
	return name, native
}

// readDocker does as setupSeccomp of github.com/moby/profiles/seccomp.
func (p *Profile) readDocker(t Target) (*reading, error) {
	var d dockerProfile
	if err := p.decode(&d); err != nil {
		return nil, err
	}
	r := &reading{LinuxSeccomp: d.LinuxSeccomp, entries: []int{}}
	r.Syscalls = nil
	if d.DefaultAction == "" && len(d.Syscalls) == 0 {
		r.unconfined = true
		return r, nil
	}
	if len(d.Architectures) != 0 && len(d.ArchMap) != 0 {
		return nil, p.errorf(p.root.get("archMap"), ErrRefused, "both architectures and archMap: Docker takes one of them")
	}
	arch, native := dockerArch(t.Arch)
	r.Architectures = append(r.Architectures, d.ArchMap.architectures(native)...)
	for i, e := range d.Syscalls {
		n := p.root.get("syscalls").item(i)
		if e == nil {
			return nil, p.errorf(n, ErrRefused, "Docker does not take null for an entry")
		}
		if e.Name != "" {
			if len(e.Names) != 0 {
				return nil, p.errorf(n, ErrRefused, "both name and names: Docker takes one of them")
			}
			e.Names = []string{e.Name}
		}
		for _, c := range []*condition{e.Includes, e.Excludes} {
			if c != nil && c.MinKernel.set && t.Kernel == (Kernel{}) {
				return nil, p.errorf(n, ErrRefused, "depends on the kernel's version, which is not stated")
			}
		}
		if e.Excludes.excluded(t, arch) || !e.Includes.included(t, arch) {
			continue
		}
		r.Syscalls = append(r.Syscalls, e.LinuxSyscall)
		r.entries = append(r.entries, i)
	}
	return r, nil
}
