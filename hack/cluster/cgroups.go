package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// cgroupName is the cgroup at each hierarchy's root below which all of the
// cluster runs: its own components in "system", pods below their node's name.
// Membership is inherited by every child and cannot be mistaken, so it finds
// shims and containers even of a run whose record is lost.
const cgroupName = "kubectl-seccomp-cluster"

// A mount is one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	point  string
	fstype string
}

func mounts() ([]mount, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMountinfo(b), nil
}

// unescapeMount undoes the octal escapes of mountinfo's paths.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func parseMountinfo(b []byte) []mount {
	var ms []mount
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		head, tail, ok := strings.Cut(s.Text(), " - ")
		fields, types := strings.Fields(head), strings.Fields(tail)
		if !ok || len(fields) < 5 || len(types) < 1 {
			continue
		}
		ms = append(ms, mount{point: unescapeMount.Replace(fields[4]), fstype: types[0]})
	}
	return ms
}

// cgroupHierarchies returns the mounted ones' roots: one with cgroup v2, one
// for each controller with v1.
func cgroupHierarchies() ([]string, error) {
	ms, err := mounts()
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, m := range ms {
		if (m.fstype == "cgroup" || m.fstype == "cgroup2") && strings.HasPrefix(m.point, "/sys/fs/cgroup") {
			roots = append(roots, m.point)
		}
	}
	return roots, nil
}

// makeCgroups makes each node's cgroup, below which its kubelet makes the
// pods': it must be there in every hierarchy.
func makeCgroups(nodes []Node) error {
	roots, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		for _, n := range nodes {
			if err := os.MkdirAll(filepath.Join(root, cgroupName, n.Name), 0o755); err != nil {
				return err
			}
		}
	}
	// With v1 there is nothing to enable, and in the v2 hierarchy that may lie
	// beside it there must not be: crun refuses to run then.
	if len(roots) > 1 {
		return nil
	}
	return errors.Join(delegateControllers(roots[0]), delegateControllers(filepath.Join(roots[0], cgroupName)))
}

// delegateControllers enables a cgroup's controllers for its children, as
// cgroup v2 wants it.
func delegateControllers(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(b)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0o644); err != nil {
			return fmt.Errorf("enable the cgroup controller %s: %w", name, err)
		}
	}
	return nil
}

// enterCgroup moves this process into the components' cgroup, so that all it
// starts from now on is found there. One hierarchy is enough: with v1 that of
// pids or the freezer, as the kubelet insists on a view of its own of cpu,
// memory and systemd.
func enterCgroup() error {
	roots, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, want := range []string{"pids", "freezer", ""} {
		for _, root := range roots {
			if want != "" && filepath.Base(root) != want {
				continue
			}
			dir := filepath.Join(root, cgroupName, "system")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644)
		}
	}
	return errors.New("no cgroup hierarchy to hold the cluster's processes")
}

// leaveCgroup moves this process back to the root, so that the cgroup can be
// removed and the process is not taken for a part of the cluster.
func leaveCgroup() error {
	return eachCgroup(func(root, dir string) error {
		pids, err := cgroupProcs(dir)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if pid == os.Getpid() {
				return os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
			}
		}
		return nil
	})
}

// eachCgroup calls f for every cgroup of the cluster's in every hierarchy,
// children before their parents.
func eachCgroup(f func(root, dir string) error) error {
	roots, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		var dirs []string
		err := filepath.WalkDir(filepath.Join(root, cgroupName), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone between being listed and read
			}
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			return err
		}
		for i := len(dirs) - 1; i >= 0; i-- {
			if err := f(root, dirs[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// cgroupProcs lists a cgroup's own processes.
func cgroupProcs(dir string) ([]int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil, nil // removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range bytes.Fields(b) {
		pid, err := strconv.Atoi(string(f))
		if err != nil {
			return nil, fmt.Errorf("%s/cgroup.procs: %w", dir, err)
		}
		if pid > 0 { // 0 stands for a process of another PID namespace
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
