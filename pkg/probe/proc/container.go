package proc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ContainerID is a container's ID as its runtime gave it: 64 hexadecimal digits.
type ContainerID string

// ParseContainerID takes the ID out of a pod's containerStatuses[].containerID,
// "containerd://4bf5122f…".
func ParseContainerID(ref string) (ContainerID, error) {
	scheme, id, ok := strings.Cut(ref, "://")
	if !ok || scheme == "" || !isID(id) {
		return "", fmt.Errorf("%q is not a container ID: want RUNTIME:// and 64 hexadecimal digits", ref)
	}
	return ContainerID(id), nil
}

func isID(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// membership is the parsed /proc/PID/cgroup (cgroups(7)): the elements of the
// path in each hierarchy, by the list of controllers, which is empty for
// version 2.
type membership map[string][]string

func parseCgroup(text []byte) membership {
	m := make(membership)
	for line := range strings.Lines(string(text)) {
		// 4:memory:/kubepods/… The path may hold colons.
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) == 3 {
			m[fields[1]] = strings.FieldsFunc(fields[2], func(r rune) bool { return r == '/' })
		}
	}
	return m
}

// container returns the container that a process with membership m is in, seen
// from a node whose first process has membership node: "" if in none.
//
// It is named by the outermost element that is one of a container: those below
// are cgroups that the container made, and it may have made them in another's
// name. Elements that the node's first process shares are not looked at: they
// are the container that the node itself may be, as with kind. Where hierarchies
// of version 1 name different containers, which no runtime does, the process is
// in none.
func (m membership) container(node membership) ContainerID {
	var found ContainerID
	for controllers, path := range m {
		root := node[controllers]
		for len(path) > 0 && len(root) > 0 && path[0] == root[0] {
			path, root = path[1:], root[1:]
		}
		for _, element := range path {
			id := elementID(element)
			if id == "" {
				continue
			}
			if found != "" && found != id {
				return ""
			}
			found = id
			break
		}
	}
	return found
}

// scopes are what container runtimes put before the ID.
var scopes = []string{
	"cri-containerd", // containerd
	"crio",           // CRI-O; its monitor's crio-conmon-ID is no container
	"docker",         // Docker, cri-dockerd
	"libpod",         // Podman
	"nerdctl",        // nerdctl
}

// elementID returns the ID of the container that an element of a cgroup path is
// for, "" if it is for none. The forms are
//
//	ID                          cgroupfs driver
//	crio-ID                     cgroupfs driver, CRI-O and Podman
//	cri-containerd-ID.scope     systemd driver
//	SLICE:cri-containerd:ID     systemd's notation taken for a path, by a runtime on cgroupfs
func elementID(element string) ContainerID {
	if isID(element) {
		return ContainerID(element)
	}
	if parts := strings.Split(element, ":"); len(parts) == 3 && slices.Contains(scopes, parts[1]) && isID(parts[2]) {
		return ContainerID(parts[2])
	}
	name := strings.TrimSuffix(element, ".scope")
	i := strings.LastIndexByte(name, '-')
	if i >= 0 && slices.Contains(scopes, name[:i]) && isID(name[i+1:]) {
		return ContainerID(name[i+1:])
	}
	return ""
}

// Process is a process of a container.
type Process struct {
	PID   int    // thread group ID, in the PID namespace of the FS
	PPID  int    // its parent
	NSPID int    // PID in the innermost PID namespace it is in
	Start uint64 // when it was created, in clock ticks since boot; with PID, its identity
}

// Containers finds the processes of containers in one walk over all of the
// node's. Those that start during the walk may or may not be found; those that
// end are not an error. Processes that are dead and not yet reaped count.
func (fsys FS) Containers(ctx context.Context, ids []ContainerID) (map[ContainerID][]Process, error) {
	pids, err := fsys.numbers()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	text, err := fsys.read("1", "cgroup")
	if err != nil {
		return nil, fmt.Errorf("read the node's own cgroup: %w", err)
	}
	node := parseCgroup(text)

	found := make(map[ContainerID][]Process, len(ids))
	for _, id := range ids {
		found[id] = nil
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		text, err := fsys.read(strconv.Itoa(pid), "cgroup")
		if err != nil {
			continue
		}
		id := parseCgroup(text).container(node)
		if _, wanted := found[id]; !wanted {
			continue
		}
		if p, err := fsys.process(pid); err == nil {
			found[id] = append(found[id], p)
		}
	}
	return found, nil
}

func (fsys FS) process(pid int) (Process, error) {
	text, err := fsys.read(strconv.Itoa(pid), "stat")
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
	return Process{PID: pid, PPID: stat.ppid, NSPID: status.nspid, Start: stat.start}, nil
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
