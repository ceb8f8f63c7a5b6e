package proc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Process is what /proc says of a process.
type Process struct {
	PID   int    // thread group ID, in the PID namespace of the FS
	PPID  int    // its parent
	NSPID int    // PID in the innermost PID namespace it is in
	Start uint64 // when it was created, in clock ticks since boot; with PID, its identity
	Comm  string // of its main thread: see Thread.Comm
	// Low is whether its stack was put into the lowest 4 GiB, where only programs
	// of an ABI with 32-bit pointers have it. A process can change what is said
	// here (PR_SET_MM); that takes nothing of it but this.
	Low bool
}

// Process returns what is said of one process. A thread that is not the main one
// of its process has a directory in /proc, too: it is ErrNotProcess.
func (fsys FS) Process(pid int) (Process, error) {
	text, err := fsys.readAccess(pid, "stat")
	if errors.Is(err, ErrHangs) {
		return fsys.hung(pid)
	}
	if err != nil {
		return Process{}, err
	}
	stat, err := parseStat(text)
	if err != nil {
		return Process{}, err
	}
	if text, err = fsys.read(strconv.Itoa(pid), "status"); err != nil {
		return Process{}, err
	}
	status, err := parseStatus(text)
	if err != nil {
		return Process{}, err
	}
	if status.tgid != 0 && status.tgid != pid {
		return Process{}, fmt.Errorf("%w: it is a thread of pid %d", ErrNotProcess, status.tgid)
	}
	return Process{
		PID: pid, PPID: stat.ppid, NSPID: status.nspid, Start: stat.start, Comm: stat.comm,
		Low: stat.stack != 0 && stat.stack>>32 == 0,
	}, nil
}

// hung returns of a process that keeps who reads its stat waiting what is said
// elsewhere. That is not when it started; so it counts as the oldest, and none
// that is younger is taken for the init of its container in its stead.
func (fsys FS) hung(pid int) (Process, error) {
	text, err := fsys.read(strconv.Itoa(pid), "status")
	if err != nil {
		return Process{}, err
	}
	status, err := parseStatus(text)
	if err != nil {
		return Process{}, err
	}
	comm, err := fsys.Comm(pid)
	return Process{PID: pid, PPID: status.ppid, NSPID: status.nspid, Comm: comm}, err
}

// Containers finds the processes of containers in one walk over all of the
// node's. Those that start during the walk may or may not be found; those that
// end are not an error. Processes that are dead and not yet reaped count.
func (fsys FS) Containers(ctx context.Context, ids []ContainerID) (map[ContainerID][]Process, error) {
	found := make(map[ContainerID][]Process, len(ids))
	for _, id := range ids {
		found[id] = nil
	}
	err := fsys.walk(ctx, func(pid int, id ContainerID) {
		if _, wanted := found[id]; !wanted {
			return
		}
		if p, err := fsys.Process(pid); err == nil {
			found[id] = append(found[id], p)
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Confined finds, in one walk over the node's processes, all that have a thread
// with a seccomp mode: whole containers by their ID, and under "" those that are
// in none. Of the threads of one process, as many as limit are looked at.
func (fsys FS) Confined(ctx context.Context, limit int) (map[ContainerID][]Process, error) {
	found := make(map[ContainerID][]Process)
	confined := make(map[ContainerID]bool)
	err := fsys.walk(ctx, func(pid int, id ContainerID) {
		is := (id == "" || !confined[id]) && fsys.confined(pid, limit)
		if id == "" && !is {
			return
		}
		p, err := fsys.Process(pid)
		if err != nil {
			return
		}
		found[id] = append(found[id], p)
		confined[id] = confined[id] || is
	})
	if err != nil {
		return nil, err
	}
	for id := range found {
		if !confined[id] {
			delete(found, id)
		}
	}
	return found, nil
}

// confined reports whether one of a process' threads has a seccomp mode.
func (fsys FS) confined(pid, limit int) bool {
	p := strconv.Itoa(pid)
	has := func(elem ...string) bool {
		text, err := fsys.read(elem...)
		if err != nil {
			return false
		}
		s, err := parseStatus(text)
		return err == nil && s.Seccomp != 0
	}
	if has(p, "status") {
		return true
	}
	tids, err := fsys.numbers(p, "task")
	if err != nil {
		return false
	}
	for _, tid := range tids[:min(len(tids), limit)] {
		if tid != pid && has(p, "task", strconv.Itoa(tid), "status") {
			return true
		}
	}
	return false
}

// walk calls visit for every process of the node with the container that it is
// in, "" if in none.
func (fsys FS) walk(ctx context.Context, visit func(pid int, id ContainerID)) error {
	pids, err := fsys.PIDs()
	if err != nil {
		return err
	}
	node, err := fsys.node()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if text, err := fsys.read(strconv.Itoa(pid), "cgroup"); err == nil {
			visit(pid, parseCgroup(text).container(node))
		}
	}
	return nil
}

// PIDs returns the node's processes.
func (fsys FS) PIDs() ([]int, error) {
	pids, err := fsys.numbers()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	return pids, nil
}

// Parent returns the parent of a process.
func (fsys FS) Parent(pid int) (int, error) {
	text, err := fsys.readAccess(pid, "stat")
	if err != nil {
		return 0, fmt.Errorf("read the parent of pid %d: %w", pid, err)
	}
	stat, err := parseStat(text)
	return stat.ppid, err
}

// ContainerOf returns the container that a process is in, "" if in none.
func (fsys FS) ContainerOf(pid int) (ContainerID, error) {
	node, err := fsys.node()
	if err != nil {
		return "", err
	}
	text, err := fsys.read(strconv.Itoa(pid), "cgroup")
	if err != nil {
		return "", fmt.Errorf("read the cgroup of pid %d: %w", pid, err)
	}
	return parseCgroup(text).container(node), nil
}

// Places returns where the cgroups of a container are that a process is in: one
// for each hierarchy that has one of it, that of version 2 first.
func (fsys FS) Places(pid int, id ContainerID) ([]Place, error) {
	node, err := fsys.node()
	if err != nil {
		return nil, err
	}
	text, err := fsys.read(strconv.Itoa(pid), "cgroup")
	if err != nil {
		return nil, fmt.Errorf("read the cgroup of pid %d: %w", pid, err)
	}
	return parseCgroup(text).places(node, id), nil
}

// Hierarchies returns which hierarchies of cgroups the node has, by their controllers
// as in Place.
func (fsys FS) Hierarchies() (list []string, err error) {
	node, err := fsys.node()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(node)), nil
}

// InPod reports whether a process is in a cgroup of some pod's. That tells more
// than ContainerOf does on a node whose kubelet runs in a container.
func (fsys FS) InPod(pid int) (bool, error) {
	node, err := fsys.node()
	if err != nil {
		return false, err
	}
	text, err := fsys.read(strconv.Itoa(pid), "cgroup")
	if err != nil {
		return false, fmt.Errorf("read the cgroup of pid %d: %w", pid, err)
	}
	return parseCgroup(text).pod(node), nil
}

// node returns the cgroups of the node's first process, which is in none of its
// containers.
func (fsys FS) node() (membership, error) {
	text, err := fsys.read("1", "cgroup")
	if err != nil {
		return nil, fmt.Errorf("read the node's own cgroup: %w", err)
	}
	return parseCgroup(text), nil
}

// Namespace returns what is the same for processes in the same namespace of a
// type ("net", "mnt": namespaces(7)), and for no others.
func (fsys FS) Namespace(pid int, typ string) (string, error) {
	link, err := fsys.link(pid, "ns", typ)
	if err != nil {
		return "", fmt.Errorf("read the %s namespace of pid %d: %w", typ, pid, err)
	}
	return link, nil
}

// Arguments returns the arguments that a process was started with, the name of
// its program first; none for a thread of the kernel's. They are whatever the
// process has made of them since.
func (fsys FS) Arguments(pid int) ([]string, error) {
	text, err := fsys.readAccess(pid, "cmdline")
	if err != nil {
		return nil, fmt.Errorf("read the arguments of pid %d: %w", pid, err)
	}
	if len(text) == 0 {
		return nil, nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), nil
}

// Comm returns the name of a process' main thread: see Thread.Comm.
func (fsys FS) Comm(pid int) (string, error) {
	text, err := fsys.read(strconv.Itoa(pid), "comm")
	if err != nil {
		return "", fmt.Errorf("read the name of pid %d: %w", pid, err)
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}

// WorkingDirectory returns the name of a process' working directory, as seen
// from the root of its mount namespace.
func (fsys FS) WorkingDirectory(pid int) (string, error) {
	link, err := fsys.link(pid, "cwd")
	if err != nil {
		return "", fmt.Errorf("read the working directory of pid %d: %w", pid, err)
	}
	return link, nil
}

// Path returns the name of something in a process' directory.
func (fsys FS) Path(pid int, elem ...string) string {
	return filepath.Join(append([]string{string(fsys), strconv.Itoa(pid)}, elem...)...)
}

// Init returns the index of a container's init: the process that the runtime
// started as the container's.
//
// That it is PID 1 of its namespace does not tell, since a pod's containers may
// share one (shareProcessNamespace, hostPID) and a container may make more. What
// tells is that its parent is not in the container, which holds only for it, for
// what was brought in later (kubectl exec, a probe) and for orphans that were
// adopted outside; and of these it is the oldest. Ticks are as long as 10 ms, so
// the ties are broken by PID in the namespace, where the lower was first.
func Init(ps []Process) int {
	inside := make(map[int]bool, len(ps))
	for _, p := range ps {
		inside[p.PID] = true
	}
	init := -1
	for i, p := range ps {
		if init < 0 || compareInit(p, ps[init], inside) < 0 {
			init = i
		}
	}
	return init
}

func compareInit(p, q Process, inside map[int]bool) int {
	if a, b := inside[p.PPID], inside[q.PPID]; a != b {
		if b {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(p.Start, q.Start), cmp.Compare(p.NSPID, q.NSPID), cmp.Compare(p.PID, q.PID))
}
