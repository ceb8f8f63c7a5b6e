package profile

import (
	"strconv"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A commonProfile is the structure of github.com/containers/common/pkg/seccomp.
type commonProfile struct {
	LinuxSeccomp
	DefaultErrno string         `json:"defaultErrno"`
	ArchMap      archMap        `json:"archMap"`
	Syscalls     []*commonEntry `json:"syscalls"`
}

type commonEntry struct {
	LinuxSyscall
	Args     []*LinuxSeccompArg `json:"args"`
	Name     string             `json:"name"`
	Errno    string             `json:"errno"`
	Includes commonCondition    `json:"includes"`
	Excludes commonCondition    `json:"excludes"`
}

type commonCondition struct {
	Caps   []string `json:"caps"`
	Arches []string `json:"arches"`
}

// commonArch is how containers/common calls a machine in includes and excludes,
// after libseccomp-golang, and the architecture it looks up in archMap.
func commonArch(goarch string) (name, native string) {
	name = goarch
	switch goarch {
	case "386":
		name = "x86"
	case "mips64le":
		name = "mipsel64"
	case "mipsle":
		name = "mipsel"
	}
	switch goarch {
	case "amd64", "arm64", "mips64", "mips64le", "s390x":
		native = syscalls.OfMachine(goarch)[0].SCMP()
	}
	return name, native
}

// readCommon does as setupSeccomp of github.com/containers/common/pkg/seccomp.
func (p *Profile) readCommon(t Target) (*reading, error) {
	var d commonProfile
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
		return nil, p.errorf(p.root.get("archMap"), ErrRefused, "both architectures and archMap: %s takes one of them", t.Runtime)
	}
	abi := syscalls.OfMachine(t.Arch)[0]
	arch, native := commonArch(t.Arch)
	r.Architectures = append(r.Architectures, d.ArchMap.architectures(native)...)
	var err error
	if r.DefaultErrnoRet, err = p.errno(abi, d.DefaultErrno, d.DefaultErrnoRet, p.root.get("defaultErrno")); err != nil {
		return nil, err
	}
	for i, e := range d.Syscalls {
		n := p.root.get("syscalls").item(i)
		if e == nil {
			return nil, p.errorf(n, ErrRefused, "%s does not take null for an entry", t.Runtime)
		}
		excludes, includes := condition{Caps: e.Excludes.Caps, Arches: e.Excludes.Arches}, condition{Caps: e.Includes.Caps, Arches: e.Includes.Arches}
		if excludes.excluded(t, arch) || !includes.included(t, arch) {
			continue
		}
		if e.Name != "" {
			if len(e.Names) != 0 {
				return nil, p.errorf(n, ErrRefused, "both name and names: %s takes one of them", t.Runtime)
			}
			e.Names = []string{e.Name}
		}
		if e.LinuxSyscall.ErrnoRet, err = p.errno(abi, e.Errno, e.ErrnoRet, n.get("errno")); err != nil {
			return nil, err
		}
		if len(e.Names) == 0 {
			continue
		}
		for j, a := range e.Args {
			if a == nil {
				return nil, p.errorf(n.get("args").item(j), ErrRefused, "%s does not take null for a condition", t.Runtime)
			}
			e.LinuxSyscall.Args = append(e.LinuxSyscall.Args, *a)
		}
		r.Syscalls = append(r.Syscalls, e.LinuxSyscall)
		r.entries = append(r.entries, i)
	}
	return r, nil
}

// errno returns the number of an error given by name, or else number.
func (p *Profile) errno(abi syscalls.ABI, name string, number *uint, n *node) (*uint, error) {
	if name == "" {
		return number, nil
	}
	if v, err := strconv.ParseUint(name, 10, 32); err == nil {
		v := uint(v)
		return &v, nil
	}
	v, ok := abi.ErrnoNumber(name)
	if !ok {
		return nil, p.errorf(n, ErrRefused, "unknown errno %s", quote(name))
	}
	u := uint(v)
	return &u, nil
}
