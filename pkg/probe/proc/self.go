package proc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// Label returns what a security module calls a process: an AppArmor profile and its
// mode, or an SELinux context (proc_pid_attr(5)); "" if there is none.
func (fsys FS) Label(pid int) (string, error) {
	text, err := fsys.readAccess(pid, "attr", "current")
	switch {
	case errors.Is(err, syscall.EINVAL), errors.Is(err, ErrGone):
		// No module has labels (security_getprocattr), or the kernel has no modules.
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read the security label of pid %d: %w", pid, err)
	}
	return string(bytes.TrimRight(text, "\x00\n")), nil
}

// PtraceScope returns Yama's kernel.yama.ptrace_scope, from 0 to 3 (ptrace(2));
// false if the kernel has no Yama.
func (fsys FS) PtraceScope() (int, bool) {
	text, err := fsys.read("sys", "kernel", "yama", "ptrace_scope")
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return n, err == nil
}

// AllUsers reports whether a process' user namespace has all users of the machine,
// each by its own number, as the first one has (user_namespaces(7)).
func (fsys FS) AllUsers(pid int) (bool, error) {
	text, err := fsys.read(strconv.Itoa(pid), "uid_map")
	if err != nil {
		return false, fmt.Errorf("read the user namespace of pid %d: %w", pid, err)
	}
	return strings.Join(strings.Fields(string(text)), " ") == "0 0 4294967295", nil
}

// CgroupVersion returns by which version of the cgroup hierarchy processes are in
// cgroups of containers: 1 if any controller has a hierarchy of its own, else 2.
func (fsys FS) CgroupVersion() (int, error) {
	m, err := fsys.node()
	if err != nil {
		return 0, err
	}
	if _, unified := m[""]; unified && len(m) == 1 {
		return 2, nil
	}
	return 1, nil
}
