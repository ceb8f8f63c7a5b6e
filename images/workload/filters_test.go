//go:build linux

package main

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// abis are those of the architectures that the image is built for.
var abis = []syscalls.ABI{
	syscalls.AMD64, syscalls.ARM64, syscalls.ARM, syscalls.I386,
	syscalls.PPC64LE, syscalls.S390X, syscalls.RISCV64, syscalls.LOONG64,
}

func TestOwnFilters(t *testing.T) {
	for _, abi := range abis {
		var whole bpf.Stack
		for ordinal := 1; ordinal <= len(uncommon); ordinal++ {
			f, err := ownFilter(abi, ordinal)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Check(); err != nil {
				t.Fatalf("%s, filter %d: %v", abi, ordinal, err)
			}
			whole = append(whole, f)
		}
		// Each filter of the stack decides one call, and no other call is touched.
		byName := make(map[string]int)
		for i, name := range uncommon {
			byName[name] = i + 1
		}
		if len(byName) != len(uncommon) {
			t.Fatal("two filters refuse the same call")
		}
		for _, call := range abi.Table() {
			run := whole.Run(&bpf.Data{NR: call.Number, Arch: abi.AuditArch()}, abi.ByteOrder())
			want, decides := bpf.Allow.With(0), run.Filter
			if ordinal := byName[call.Name]; ordinal > 0 {
				want, decides = bpf.Errno.With(uint16(ordinal)), ordinal-1
			}
			if run.Ret != want || run.Filter != decides || run.Reads != bpf.NRArch {
				t.Errorf("%s: %s: %v by filter %d, reading %v; want %v by filter %d", abi, call.Name, run.Ret, run.Filter, run.Reads, want, decides)
			}
		}
		foreign := whole.Run(&bpf.Data{NR: 0, Arch: ^abi.AuditArch()}, abi.ByteOrder())
		if foreign.Ret != bpf.Allow.With(0) {
			t.Errorf("%s: a call of another architecture: %v", abi, foreign.Ret)
		}
	}
}

func TestArgsFilter(t *testing.T) {
	const dirty = 1 << 32 // a bit that the kernel does not read of a 32-bit parameter
	eperm, unsupported := bpf.Errno.With(uint16(unix.EPERM)), bpf.Errno.With(uint16(unix.EAFNOSUPPORT))
	allowed := bpf.Allow.With(0)
	calls := []struct {
		name string
		arg  uint64
		want bpf.Return
	}{
		{"socket", unix.AF_INET, allowed},
		{"socket", unix.AF_PACKET, unsupported},
		{"socket", unix.AF_PACKET | dirty, unsupported},
		{"clone", unix.CLONE_VM | unix.CLONE_THREAD, allowed},
		{"clone", unix.CLONE_NEWUSER, eperm},
		{"clone", unix.CLONE_NEWNET | unix.CLONE_VM, eperm},
		{"personality", 0, allowed},
		{"personality", 0xffffffff, allowed},
		{"personality", 8, eperm},
		{"personality", dirty, eperm},
		{"personality", 0xffffffff | dirty, eperm},
		{"getpid", unix.CLONE_NEWUSER, allowed},
	}
	for _, abi := range abis {
		f, err := argsFilter(abi)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Check(); err != nil {
			t.Fatalf("%s: %v", abi, err)
		}
		for _, call := range calls {
			nr, ok := abi.Number(call.name)
			if !ok {
				t.Fatalf("%s has no %s", abi, call.name)
			}
			data := bpf.Data{NR: nr, Arch: abi.AuditArch(), Args: [6]uint64{call.arg}}
			if abi == syscalls.S390X && call.name == "clone" {
				data.Args = [6]uint64{0, call.arg}
			}
			if got := f.Run(&data, abi.ByteOrder()).Ret; got != call.want {
				t.Errorf("%s: %s(%#x): %v, want %v", abi, call.name, call.arg, got, call.want)
			}
		}
	}
}
