package profile

import (
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// enosysStub returns what runc puts in front of a filter, so that programs which
// try a call newer than the profile are told that there is none and fall back
// (libcontainer/seccomp/patchbpf): ENOSYS for every number above the largest that
// the profile names for the ABI, whatever it says about that one. It falls through
// to the filter otherwise.
func (r *resolver) enosysStub() bpf.Filter {
	if !r.target.stubs(r.loaded.Default) {
		return nil
	}
	errno, _ := r.loaded.ABIs[0].ErrnoNumber("ENOSYS")
	enosys := ret(bpf.Errno.With(errno))

	var sections []bpf.Filter
	var archs []uint32
	for _, abi := range r.loaded.ABIs {
		arch := abi.AuditArch()
		if slices.Contains(archs, arch) {
			continue
		}
		var section bpf.Filter
		if arch == syscalls.AMD64.AuditArch() {
			section = r.stubX86(enosys)
		} else if last := r.lastNamed(abi); last != 0 {
			if abi == syscalls.S390X || abi == syscalls.S390 {
				// What the kernel calls 0 there is a number too large for the
				// instruction, of a call that it does not have.
				section = append(section, bpf.Instruction{Op: bpf.JeqK, K: 0, Jf: 1}, enosys)
			}
			section = append(section, bpf.Instruction{Op: bpf.JgtK, K: last, Jf: 1}, enosys)
		}
		if section != nil {
			archs, sections = append(archs, arch), append(sections, section)
		}
	}
	if sections == nil {
		return nil
	}

	// From the last to the first, since each ends with a jump over those behind.
	var stub bpf.Filter
	for i, section := range slices.Backward(sections) {
		section = append(bpf.Filter{load(wordNR)}, section...)
		section = append(section, bpf.Instruction{Op: bpf.Ja, K: uint32(len(stub))})
		stub = slices.Concat(bpf.Filter{{Op: bpf.JeqK, K: archs[i], Jf: uint8(len(section))}}, section, stub)
	}
	return append(bpf.Filter{load(wordArch)}, stub...)
}

// stubs tells whether a filter with a given default gets a stub.
func (t Target) stubs(byDefault bpf.Return) bool {
	switch byDefault.Action() {
	case bpf.Allow, bpf.Log, bpf.Trace:
		return false
	}
	return t.OCIRuntime != Crun
}

// stubX86 is the part for amd64 and x32, which bit 30 tells apart here even where
// bit 31 is set.
func (r *resolver) stubX86(enosys bpf.Instruction) bpf.Filter {
	amd64, x32 := r.lastNamed(syscalls.AMD64), r.lastNamed(syscalls.X32)
	if amd64 == 0 && x32 == 0 {
		return nil
	}
	part := func(last uint32) bpf.Filter {
		if last == 0 {
			return nil
		}
		return bpf.Filter{{Op: bpf.JgtK, K: last, Jf: 1}, enosys}
	}
	ofX32 := part(x32)
	ofAMD64 := append(part(amd64), bpf.Instruction{Op: bpf.Ja, K: uint32(len(ofX32))})
	return slices.Concat(bpf.Filter{{Op: bpf.JsetK, K: x32Bit, Jt: uint8(len(ofAMD64))}}, ofAMD64, ofX32)
}

// x32Bit is __X32_SYSCALL_BIT of arch/x86/include/uapi/asm/unistd.h.
const x32Bit = 1 << 30

// lastNamed returns the largest number among the calls that the profile names, 0
// if there is none or the ABI is not in question. Those that libseccomp resolves to
// socketcall or ipc have no number of their own there.
func (r *resolver) lastNamed(abi syscalls.ABI) uint32 {
	var last uint32
	if !slices.Contains(r.loaded.ABIs, abi) || r.target.OCIRuntime == OldRunc && !slices.Contains(r.Architectures, abi.SCMP()) {
		return 0
	}
	for _, e := range r.Syscalls {
		for _, name := range e.Names {
			if _, ok := multiplexed(abi, name); ok || !r.known(name) {
				continue
			}
			if nr, ok := abi.Number(name); ok {
				last = max(last, nr)
			}
		}
	}
	return last
}
