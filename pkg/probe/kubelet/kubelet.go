// Package kubelet finds out, on a node, what its kubelet was told: where it keeps
// its files, and whether containers that declare no seccomp profile get the
// runtime's default.
package kubelet

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/oci"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// DefaultRoot is kubelet's --root-dir where none is given.
const DefaultRoot = "/var/lib/kubelet"

// Kubelet is a kubelet that runs on the node.
type Kubelet struct {
	PID     int
	RootDir string
	flags   flags
}

// Find returns the kubelets that run on the node, by PID: usually one, and none
// where it is part of another program (k3s). Processes of pods are left out,
// whatever they call themselves.
func Find(fs proc.FS) ([]Kubelet, error) {
	pids, err := fs.PIDs()
	if err != nil {
		return nil, err
	}
	slices.Sort(pids)
	var found []Kubelet
	for _, pid := range pids {
		if comm, err := fs.Comm(pid); err != nil || comm != "kubelet" {
			continue
		}
		if in, err := fs.InPod(pid); err != nil || in {
			continue
		}
		args, err := fs.Arguments(pid)
		if err != nil || len(args) == 0 {
			continue
		}
		k := Kubelet{PID: pid, flags: parseFlags(args[1:])}
		k.RootDir = DefaultRoot
		if k.flags.root != "" {
			if k.RootDir, err = absolute(fs, pid, k.flags.root); err != nil {
				continue
			}
		}
		found = append(found, k)
	}
	return found, nil
}

// absolute returns the name of a file as a process means it.
func absolute(fs proc.FS, pid int, name string) (string, error) {
	if path.IsAbs(name) {
		return path.Clean(name), nil
	}
	cwd, err := fs.WorkingDirectory(pid)
	if err != nil {
		return "", err
	}
	return path.Join(cwd, name), nil
}

// podMount is the source of what kubelet itself mounts into a container: its
// hosts file and its termination log, below its root and the pod's UID. Compiling
// it takes part of a millisecond, which not every start of a program should.
var podMount = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(/.*)/pods/([0-9a-f-]{16,64})/(?:etc-hosts|containers/[^/]+/[^/]+)$`)
})

// RootOf returns the root directory of the kubelet that had a container started,
// "" if it does not show.
//
// A pod can have anything of the node mounted, also from a folder that looks
// like kubelet's. But kubelet's has the pod's UID, which the pod does not know
// before there is its cgroup.
func RootOf(c oci.Config) string {
	for _, m := range c.Mounts {
		if match := podMount().FindStringSubmatch(m.Source); match != nil && path.Clean(m.Source) == m.Source && ofPod(c.CgroupsPath, match[2]) {
			return match[1]
		}
	}
	return ""
}

// ofPod reports whether a cgroup is one of the pod with that UID:
// …/pod0a1b-…/… or …-pod0a1b_….slice:….
func ofPod(cgroup, uid string) bool {
	return strings.Contains(cgroup, "pod"+uid) || strings.Contains(cgroup, "pod"+strings.ReplaceAll(uid, "-", "_"))
}

// Choose returns which of the node's kubelets has that root directory, or the
// only one if that is "". The error says why there is none.
func Choose(kubelets []Kubelet, root string) (Kubelet, error) {
	switch {
	case len(kubelets) == 0:
		return Kubelet{}, fmt.Errorf("no kubelet runs on the node as a process of its own")
	case root == "" && len(kubelets) > 1:
		return Kubelet{}, fmt.Errorf("%d kubelets run on the node, and which one is meant does not show", len(kubelets))
	case root == "":
		return kubelets[0], nil
	}
	for _, k := range kubelets {
		if k.RootDir == root {
			return k, nil
		}
	}
	return Kubelet{}, fmt.Errorf("no kubelet with the root directory %s runs on the node", root)
}
