//go:build linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// uncommon are system calls that every architecture has and this program never
// makes. The filter with ordinal i refuses the i-th of them.
var uncommon = [...]string{
	"acct", "add_key", "adjtimex", "clock_adjtime",
	"clock_settime", "delete_module", "fanotify_init", "fanotify_mark",
	"finit_module", "get_mempolicy", "init_module", "kcmp",
	"keyctl", "mbind", "migrate_pages", "move_pages",
	"name_to_handle_at", "open_by_handle_at", "perf_event_open", "pivot_root",
	"process_vm_readv", "process_vm_writev", "quotactl", "reboot",
	"request_key", "set_mempolicy", "setns", "settimeofday",
	"swapoff", "swapon", "userfaultfd", "vhangup",
}

// ownFilter returns the filter with an ordinal from 1 to len(uncommon), which
// tells itself from the others by what it does: it refuses one uncommon system
// call, with the ordinal as errno.
func ownFilter(abi syscalls.ABI, ordinal int) (bpf.Filter, error) {
	return assemble(abi, rule{uncommon[ordinal-1], []bpf.Instruction{fail(unix.Errno(ordinal))}})
}

// namespaces are the flags of clone(2) that create a namespace.
const namespaces = unix.CLONE_NEWCGROUP | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS |
	unix.CLONE_NEWPID | unix.CLONE_NEWUSER | unix.CLONE_NEWUTS

// argsFilter returns a filter with one rule for each way of looking at an
// argument.
func argsFilter(abi syscalls.ABI) (bpf.Filter, error) {
	flags := 0
	if abi == syscalls.S390X {
		flags = 1 // CONFIG_CLONE_BACKWARDS2: the stack comes first
	}
	return assemble(abi,
		// A value in the low word. The kernel reads no more of it, family
		// being an int, so the rule holds whatever the high word is.
		rule{"socket", []bpf.Instruction{
			load(low(abi, 0)),
			{Op: bpf.JeqK, K: unix.AF_PACKET, Jf: 1},
			fail(unix.EAFNOSUPPORT),
			allow,
		}},
		// Bits of a mask.
		rule{"clone", []bpf.Instruction{
			load(low(abi, flags)),
			{Op: bpf.JsetK, K: namespaces, Jf: 1},
			fail(unix.EPERM),
			allow,
		}},
		// All 64 bits, against two values. The kernel reads an unsigned int,
		// so the rule is stricter than it needs to be.
		rule{"personality", []bpf.Instruction{
			load(high(abi, 0)),
			{Op: bpf.JeqK, K: 0, Jf: 3},
			load(low(abi, 0)),
			{Op: bpf.JeqK, K: 0, Jt: 2},          // PER_LINUX
			{Op: bpf.JeqK, K: 0xffffffff, Jt: 1}, // ask, change nothing
			fail(unix.EPERM),
			allow,
		}},
	)
}

// A rule decides the calls of one system call: its body ends in a return on
// every path.
type rule struct {
	name string
	body []bpf.Instruction
}

// assemble returns a filter that applies the rules to calls of abi and allows
// all others.
func assemble(abi syscalls.ABI, rules ...rule) (bpf.Filter, error) {
	f := bpf.Filter{
		load(4), // arch
		{Op: bpf.JeqK, K: abi.AuditArch(), Jt: 1},
		allow,
		load(0), // nr
	}
	for _, r := range rules {
		nr, ok := abi.Number(r.name)
		if !ok {
			return nil, fmt.Errorf("%s has no system call %s", abi, r.name)
		}
		f = append(f, bpf.Instruction{Op: bpf.JeqK, K: nr, Jf: uint8(len(r.body))})
		f = append(f, r.body...)
	}
	return append(f, allow), nil
}

var allow = bpf.Instruction{Op: bpf.RetK, K: uint32(bpf.Allow)}

func fail(errno unix.Errno) bpf.Instruction {
	return bpf.Instruction{Op: bpf.RetK, K: uint32(bpf.Errno.With(uint16(errno)))}
}

func load(offset uint32) bpf.Instruction { return bpf.Instruction{Op: bpf.LdAbsW, K: offset} }

// low and high return the offsets in struct seccomp_data of the two words of
// an argument.
func low(abi syscalls.ABI, arg int) uint32  { return offset(abi, bpf.Arg(arg)) }
func high(abi syscalls.ABI, arg int) uint32 { return offset(abi, bpf.ArgHigh(arg)) }

func offset(abi syscalls.ABI, word bpf.Word) uint32 {
	for k := uint32(0); k < bpf.DataSize; k += 4 {
		if w, ok := bpf.WordAt(k, abi.ByteOrder()); ok && w == word {
			return k
		}
	}
	panic(fmt.Sprintf("no word %s in seccomp_data", word))
}
