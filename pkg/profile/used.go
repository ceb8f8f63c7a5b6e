package profile

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// eperm is EPERM, which has the same number everywhere.
const eperm = 1

// Allowing returns an OCI profile that allows calls of these names, whatever their
// arguments, in these ABIs, and has all others fail with EPERM. OCI has one list of
// names for all ABIs: what is called in one is allowed in all.
func Allowing(names []string, abis []syscalls.ABI) *LinuxSeccomp {
	errno := uint(eperm)
	l := &LinuxSeccomp{DefaultAction: "SCMP_ACT_ERRNO", DefaultErrnoRet: &errno}
	for _, abi := range abis {
		if s := abi.SCMP(); s != "" {
			l.Architectures = append(l.Architectures, s)
		}
	}
	if len(names) > 0 {
		l.Syscalls = []LinuxSyscall{{Names: sortedNames(names), Action: "SCMP_ACT_ALLOW"}}
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

// Extended returns the profile with calls of names allowed that it says nothing
// of: those that it names, and allows only in part or not at all, stay as they are,
// and are returned as kept where it does not allow them whatever their arguments.
// Only an OCI or a Docker profile can be extended.
func (p *Profile) Extended(names []string) (extended map[string]json.RawMessage, kept []string, err error) {
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
			Args   []json.RawMessage
		}
	}
	if err := json.Unmarshal(p.text, &read); err != nil {
		return nil, nil, err
	}
	named, allowed := make(map[string]bool), make(map[string]bool)
	for _, e := range read.Syscalls {
		for _, name := range append(e.Names, e.Name) {
			named[name] = true
			allowed[name] = allowed[name] || executes(e.Action) && len(e.Args) == 0
		}
	}
	var add []string
	for _, name := range sortedNames(names) {
		switch {
		case !named[name] && executes(read.DefaultAction):
		case !named[name]:
			add = append(add, name)
		case !allowed[name]:
			kept = append(kept, name)
		}
	}
	if len(add) == 0 {
		return extended, kept, nil
	}
	var entries []json.RawMessage
	if text, ok := extended["syscalls"]; ok {
		if err := json.Unmarshal(text, &entries); err != nil {
			return nil, nil, err
		}
	}
	entry, err := json.Marshal(LinuxSyscall{Names: add, Action: "SCMP_ACT_ALLOW"})
	if err != nil {
		return nil, nil, err
	}
	extended["syscalls"], err = json.Marshal(append(entries, entry))
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
