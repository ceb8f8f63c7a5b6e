package proc

import (
	"fmt"
	"slices"
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

// below returns the elements of each path that the node's first process does not
// share. Those that it does are the container that the node itself may be, as
// with kind.
func (m membership) below(node membership) membership {
	rest := make(membership, len(m))
	for controllers, path := range m {
		root := node[controllers]
		for len(path) > 0 && len(root) > 0 && path[0] == root[0] {
			path, root = path[1:], root[1:]
		}
		rest[controllers] = path
	}
	return rest
}

// container returns the container that a process with membership m is in, seen
// from a node whose first process has membership node: "" if in none.
//
// It is named by the outermost element that is one of a container: those below
// are cgroups that the container made, and it may have made them in another's
// name. Where hierarchies of version 1 name different containers, which no
// runtime does, the process is in none.
func (m membership) container(node membership) ContainerID {
	var found ContainerID
	for _, path := range m.below(node) {
		for i, element := range path {
			id := elementID(element)
			if id == "" || i > 0 && slices.Contains(parents, path[i-1]) && isID(element) {
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

// pod reports whether a process with membership m is in a pod's cgroup. Kubelet
// puts all of them below one whose name has this in it, whatever its driver and
// its own cgroup: kubepods, kubepods.slice, kubelet-kubepods.slice. That is not
// to be seen from a cgroup namespace of a pod beside it, where with the cgroupfs
// driver only the pod's own cgroup is: /../../podUID/ID.
func (m membership) pod(node membership) bool {
	for _, path := range m.below(node) {
		for _, element := range path {
			if strings.Contains(element, "kubepods") || isPod(element) {
				return true
			}
		}
	}
	return false
}

// isPod reports whether an element of a cgroup path is a pod's with the cgroupfs
// driver: pod and its UID, 32 hexadecimal digits with or without dashes.
func isPod(element string) bool {
	uid, ok := strings.CutPrefix(element, "pod")
	uid = strings.ReplaceAll(uid, "-", "")
	return ok && len(uid) == 32 && strings.Trim(uid, "0123456789abcdef") == ""
}

// scopes are what container runtimes put before the ID.
var scopes = []string{
	"cri-containerd", // containerd
	"crio",           // CRI-O; its monitor's crio-conmon-ID is no container
	"docker",         // Docker, cri-dockerd
	"libpod",         // Podman
	"nerdctl",        // nerdctl
}

// parents are cgroups with others below them that are named by an ID which is no
// container's.
var parents = []string{
	"libpod_parent", // Podman's pods on cgroupfs, each with its containers below
	"kata_overhead", // Kata Containers' own processes, by the ID of the pod's sandbox
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

// ContainerOfCgroup returns the container that a cgroup of a name is for, "" if it is
// for none.
func ContainerOfCgroup(name string) ContainerID { return elementID(name) }

// Place is where the cgroup of a container is, seen from a process in it.
type Place struct {
	// Controllers are those of the hierarchy, as in /proc/PID/cgroup: none for
	// version 2.
	Controllers string
	// Up is how many cgroups the container's is above the process' own.
	Up int
}

// places returns where, for a process with membership m, the cgroups are that name
// a container.
func (m membership) places(node membership, id ContainerID) (list []Place) {
	for controllers, path := range m.below(node) {
		for i, element := range path {
			if elementID(element) == id && (i == 0 || !slices.Contains(parents, path[i-1]) || !isID(element)) {
				list = append(list, Place{controllers, len(path) - 1 - i})
				break
			}
		}
	}
	slices.SortFunc(list, func(a, b Place) int { return strings.Compare(a.Controllers, b.Controllers) })
	return list
}
