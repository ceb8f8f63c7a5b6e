package profile

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// eperm is EPERM, which has the same number everywhere.
const eperm = 1

// enosys is ENOSYS wherever Kubernetes runs.
const enosys = 38

// A Use is calls of one name, of which one argument is held to values that it had.
type Use struct {
	Name string
	// Arg is which argument that is, and Values are the values of its lower 32 bits.
	// Values of nil: calls are allowed whatever their arguments.
	Arg    int
	Values []uint32
	// Without are bits of which none may be set for a call to be allowed as well.
	Without uint32
	// Errno, if not 0, is what all calls fail with: none is allowed. Of ENOSYS, programs
	// that try a call first take it that the kernel does not have it, and do without.
	Errno uint16
}

// Uses are calls of these names, whatever their arguments.
func Uses(names []string) (uses []Use) {
	for _, name := range sortedNames(names) {
		uses = append(uses, Use{Name: name})
	}
	return uses
}

// any tells whether all calls of the name are meant.
func (u Use) any() bool { return u.Values == nil && u.Without == 0 && u.Errno == 0 }

// entries are those that allow the calls.
//
// Runtimes compare all 64 bits of an argument, and of a value the lower 32 are known. So
// these are compared, masked: whatever is above, the kernel does not look at it, or
// refuses the call, for all arguments of which values are recorded. It takes an int
// (socket, prctl, arch_prctl, ioctl, personality, setns, bpf, keyctl), cuts the flags of
// clone (lower_32_bits in kernel/fork.c), and knows no flag of unshare
// (check_unshare_flags) and no request of ptrace with more bits.
func (u Use) entries() (list []LinuxSyscall) {
	add := func(mask, value uint32) {
		list = append(list, LinuxSyscall{Names: []string{u.Name}, Action: "SCMP_ACT_ALLOW", Args: []LinuxSeccompArg{
			{Index: uint(u.Arg), Op: "SCMP_CMP_MASKED_EQ", Value: uint64(mask), ValueTwo: uint64(value)},
		}})
	}
	if u.Errno != 0 {
		errno := uint(u.Errno)
		return []LinuxSyscall{{Names: []string{u.Name}, Action: "SCMP_ACT_ERRNO", ErrnoRet: &errno}}
	}
	if u.Without != 0 {
		add(u.Without, 0)
	}
	for _, v := range u.Values {
		if u.Without == 0 || v&u.Without != 0 {
			add(math.MaxUint32, v)
		}
	}
	return list
}

// allow are the entries for several uses, those without conditions as one.
func allow(uses []Use) (list []LinuxSyscall) {
	var plain []string
	for _, u := range uses {
		if u.any() {
			plain = append(plain, u.Name)
		}
	}
	if len(plain) > 0 {
		list = []LinuxSyscall{{Names: sortedNames(plain), Action: "SCMP_ACT_ALLOW"}}
	}
	for _, u := range uses {
		if !u.any() {
			list = append(list, u.entries()...)
		}
	}
	return list
}

// Allowing returns an OCI profile that allows these calls, in these ABIs, and has all
// others fail with EPERM. OCI has one list of names for all ABIs: what is called in one
// is allowed in all.
func Allowing(uses []Use, abis []syscalls.ABI) *LinuxSeccomp {
	errno := uint(eperm)
	l := &LinuxSeccomp{DefaultAction: "SCMP_ACT_ERRNO", DefaultErrnoRet: &errno, Syscalls: allow(uses)}
	for _, abi := range abis {
		if s := abi.SCMP(); s != "" {
			l.Architectures = append(l.Architectures, s)
		}
	}
	return l
}

// StartNames are what calls a container makes that no recording of it sees which
// began when it ran: those of runc and crun from when they have loaded its filters
// until they execute its program, and those by which programs of glibc, musl and Go
// come up. Not all of them are made by each.
func StartNames() []string { return slices.Clone(startNames) }

var startNames = []string{
	// runc (finalizeNamespace and what follows it in libcontainer, and Go's runtime
	// meanwhile) and crun (container_init, which waits for its start by select).
	"capget", "capset", "chdir", "clock_gettime", "clone", "clone3", "close", "close_range", "dup3", "epoll_create1", "epoll_ctl", "epoll_pwait",
	"eventfd2", "execve", "exit", "exit_group", "faccessat2", "fchdir", "fchown", "fcntl", "fstat", "fstatfs", "futex", "getcwd", "getdents64",
	"getpid", "getppid", "gettid", "ioctl", "lseek", "madvise", "nanosleep", "newfstatat", "openat", "openat2", "pipe2", "prctl", "pselect6", "read",
	"readlinkat", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_yield", "select", "setgid", "setgroups", "setresgid", "setresuid", "setuid",
	"sigaltstack", "statfs", "statx", "tgkill", "umask", "uname", "write",
	// The program's ld.so, libc or Go runtime.
	"access", "arch_prctl", "brk", "faccessat", "getegid", "geteuid", "getgid", "getrandom", "getuid", "lstat", "mmap", "mprotect", "mremap", "munmap",
	"open", "pread64", "prlimit64", "readlink", "rseq", "sched_getaffinity", "set_robust_list", "set_tid_address", "stat", "writev",
}

// StartUses are the calls of StartNames, of those with an argument of which values are
// recorded no more than these values: threads and processes without new namespaces, and
// what runc, crun, glibc, musl and Go ask of prctl, arch_prctl and ioctl.
func StartUses(abi syscalls.ABI) (uses []Use) {
	for _, name := range startNames {
		u, ok := startArguments[name]
		if !ok {
			u = Use{}
		}
		u.Name = name
		u.Arg = max(0, slices.IndexFunc(abi.Params(name), func(p syscalls.Param) bool { return p.Name == startParameters[name] }))
		uses = append(uses, u)
	}
	return uses
}

var startParameters = map[string]string{"clone": "clone_flags", "prctl": "option", "ioctl": "cmd", "arch_prctl": "option"}

// startArguments are values of include/uapi/linux/prctl.h, asm-generic/ioctls.h and
// arch/x86/include/uapi/asm/prctl.h.
var startArguments = map[string]Use{
	"clone": {Without: 0x7e020000}, // CLONE_NEW*
	"prctl": {Values: []uint32{
		1, 8, 15, 22, 23, 24, // PR_SET_PDEATHSIG, _KEEPCAPS, _NAME, _SECCOMP, PR_CAPBSET_READ, _DROP
		36, 38, 47, 0x53564d41, // PR_SET_CHILD_SUBREAPER, _NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_SET_VMA
	}},
	"ioctl":      {Values: []uint32{0x5401, 0x5413, 0x5421, 0x5451}}, // TCGETS, TIOCGWINSZ, FIONBIO, FIOCLEX
	"arch_prctl": {Values: []uint32{0x1002, 0x3001, 0x5005}},         // ARCH_SET_FS, _CET_STATUS, _SHSTK_STATUS
}

// Extended returns the profile with calls allowed that it says nothing of: those that it
// names, and allows only in part or not at all, stay as they are, and are returned as
// kept where it does not allow them whatever their arguments. So are calls by which one
// of these can be made all the same: a twin (clone3 for clone), or socketcall and ipc.
// Only an OCI or a Docker profile can be extended.
func (p *Profile) Extended(uses []Use) (extended map[string]json.RawMessage, kept []string, err error) {
	if p.format != OCI && p.format != Docker {
		return nil, nil, fmt.Errorf("extend a profile: it is %v: want one of OCI or of Docker", p.format)
	}
	if err := json.Unmarshal(p.text, &extended); err != nil {
		return nil, nil, err
	}
	var read struct {
		DefaultAction string
		Syscalls      []struct {
			Name   string
			Names  []string
			Action string
			Errno  *uint `json:"errnoRet"`
			Args   []json.RawMessage
		}
	}
	if err := json.Unmarshal(p.text, &read); err != nil {
		return nil, nil, err
	}
	named, allowed, absent := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, e := range read.Syscalls {
		for _, name := range append(e.Names, e.Name) {
			named[name] = true
			allowed[name] = allowed[name] || executes(e.Action) && len(e.Args) == 0
			// What is said not to be there has libraries take the other one.
			absent[name] = absent[name] || e.Errno != nil && *e.Errno == enosys
		}
	}
	restricted := func(name string) bool { return named[name] && !allowed[name] && !absent[name] }
	door := func(name string) bool {
		return slices.ContainsFunc(policy.Twins(name), restricted) || slices.ContainsFunc(slices.Collect(maps.Keys(named)), func(other string) bool {
			through, _, ok := syscalls.Multiplexed(other)
			return ok && through == name && restricted(other)
		})
	}
	var add []Use
	for _, u := range uses {
		switch {
		case !named[u.Name] && executes(read.DefaultAction):
		case !named[u.Name] && u.Errno == 0 && door(u.Name):
			kept = append(kept, u.Name)
		case !named[u.Name]:
			add = append(add, u)
		case !allowed[u.Name] && u.Errno == 0:
			kept = append(kept, u.Name)
		}
	}
	kept = sortedNames(kept)
	if len(add) == 0 {
		return extended, kept, nil
	}
	var entries []json.RawMessage
	if text, ok := extended["syscalls"]; ok {
		if err := json.Unmarshal(text, &entries); err != nil {
			return nil, nil, err
		}
	}
	for _, e := range allow(add) {
		entry, err := json.Marshal(e)
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, entry)
	}
	extended["syscalls"], err = json.Marshal(entries)
	return extended, kept, err
}

// executes reports whether calls are executed that an entry with the action matches.
func executes(action string) bool {
	a, ok := actions[action]
	return ok && (a == bpf.Allow || a == bpf.Log)
}

func sortedNames(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}
