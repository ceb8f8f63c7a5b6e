package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clean ends and removes all that a cluster has on this machine, whoever
// started it and whatever state it was left in. r may be nil: then only what
// is recognised by its cgroup, its name or its place is left to find. State
// below the clone's .cluster stays, for its logs.
func clean(r *Record) error {
	var owner string
	var sysctls map[string]string
	var errs []error
	if r != nil {
		owner, sysctls = r.Owner, r.Sysctls
		errs = append(errs, killComponents(r))
	}
	errs = append(errs,
		leaveCgroup(),
		killCgroup(),
		removeShimSockets(),
		unmountAll(owner),
		removeNetwork(),
		removeCgroups(),
		restoreSysctls(sysctls),
		removeStrayFiles(),
	)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// Last: until here, a further try knows what to do.
	return os.RemoveAll(runDir)
}

// killComponents ends the recorded components. They get no time to finish:
// nothing of their state is kept, and a kubelet left alone with a dead runtime
// would take minutes.
func killComponents(r *Record) error {
	var errs []error
	for name, p := range r.Processes {
		if err := p.end(syscall.SIGKILL, 10*time.Second); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// killBatch is how many processes are killed before the kernel is given time
// to free what they held. Freeing about a thousand seccomp filters in one
// burst fills a kernel work queue on which some kernels (seen with 6.18) then
// deadlock: no process can install a filter again until the next boot.
const killBatch = 32

// killCgroup kills every process in the cluster's cgroups: containers, shims,
// and components that no record names.
func killCgroup() error {
	for range 20 { // a fork may escape one round, not for ever
		pids := make(map[int]bool)
		err := eachCgroup(func(_, dir string) error {
			procs, err := cgroupProcs(dir)
			for _, pid := range procs {
				if pid != os.Getpid() {
					pids[pid] = true
				}
			}
			return err
		})
		if err != nil || len(pids) == 0 {
			return err
		}
		if err := killAll(pids); err != nil {
			return err
		}
	}
	return errors.New("processes in the cgroup " + cgroupName + " keep forking")
}

func killAll(pids map[int]bool) error {
	var batch []Process
	flush := func() error {
		for _, p := range batch {
			if err := p.end(syscall.SIGKILL, 10*time.Second); err != nil {
				return err
			}
		}
		batch = nil
		// Reading it queues work on every CPU and waits for that
		// (mm/vmstat.c vmstat_refresh), and so for the freeing before it.
		_, err := os.ReadFile("/proc/sys/vm/stat_refresh")
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	for pid := range pids {
		p, err := identify(pid)
		if err != nil || !p.alive() {
			continue // gone, or a zombie that nobody can kill
		}
		batch = append(batch, p)
		if len(batch) == killBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// removeShimSockets removes the sockets that shims made in the folder common
// to every containerd of the machine. Each is named in its shim's bundle:
// containerd 1.6 writes address, containerd 2 bootstrap.json.
func removeShimSockets() error {
	bundles, err := filepath.Glob(filepath.Join(runDir, "*", "containerd", "io.containerd.runtime.v2.task", "k8s.io", "*"))
	if err != nil {
		return err
	}
	for _, bundle := range bundles {
		for _, name := range []string{"address", "bootstrap.json"} {
			b, err := os.ReadFile(filepath.Join(bundle, name))
			if err != nil {
				continue
			}
			path, ok := shimSocket(b)
			if !ok {
				continue
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	// These fail while another containerd uses the folder, as they should.
	_ = os.Remove(shimSocketDir)
	_ = os.Remove(filepath.Dir(shimSocketDir))
	return nil
}

const shimSocketDir = "/run/containerd/s"

// shimSocket is the socket's path in a bundle's address or bootstrap.json.
// Only a file directly in shimSocketDir is believed.
func shimSocket(b []byte) (path string, ok bool) {
	address := strings.TrimSpace(string(b))
	var bootstrap struct {
		Address string `json:"address"`
	}
	if json.Unmarshal(b, &bootstrap) == nil {
		address = bootstrap.Address
	}
	path, ok = strings.CutPrefix(address, "unix://")
	return path, ok && filepath.Dir(path) == shimSocketDir
}

// unmountAll detaches what is mounted in runDir and in the owner's state,
// innermost first.
func unmountAll(owner string) error {
	ms, err := mounts()
	if err != nil {
		return err
	}
	var errs []error
	for _, point := range slices.Backward(ownMounts(ms, owner)) {
		err := unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		// EINVAL: it went together with the one that it was a copy of.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, &os.PathError{Op: "unmount", Path: point, Err: err})
		}
	}
	return errors.Join(errs...)
}

// ownMounts picks the cluster's mount points, in the order of mounting.
func ownMounts(ms []mount, owner string) []string {
	var points []string
	for _, m := range ms {
		if below(m.point, runDir) || owner != "" && below(m.point, filepath.Join(owner, ".cluster")) {
			points = append(points, m.point)
		}
	}
	return points
}

// below reports whether a path is dir or inside it.
func below(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// removeNetwork removes the bridge and the host's ends of pods' veth pairs.
// The pods' ends went with their network namespaces.
func removeNetwork() error {
	links, err := ownLinks()
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := ip("link", "delete", link); err != nil && hasLink(link) {
			return err
		}
	}
	return nil
}

// ownLinks is the bridge's ports and then the bridge, if it is there.
func ownLinks() ([]string, error) {
	if !hasLink(bridge) {
		return nil, nil
	}
	ports, err := os.ReadDir(filepath.Join("/sys/class/net", bridge, "brif"))
	if err != nil {
		return nil, err
	}
	var links []string
	for _, p := range ports {
		links = append(links, p.Name())
	}
	return append(links, bridge), nil
}

func hasLink(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, lastLines(out, 1))
	}
	return nil
}

// removeCgroups removes the cluster's cgroups. A process that was killed can
// stay in its cgroup for a moment after it can no longer be seen, so a busy
// one is tried again for a while.
func removeCgroups() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second, errors.New("cgroups are still busy after 10 s"))
	defer cancel()
	return poll(ctx, func(context.Context) error {
		return eachCgroup(func(_, dir string) error {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				return &os.PathError{Op: "rmdir", Path: dir, Err: err}
			}
			return nil
		})
	})
}

// removeStrayFiles removes what the parts write outside of the cluster's
// folders, at paths that they do not let one choose.
func removeStrayFiles() error {
	stray, err := cniCache()
	if err != nil {
		return err
	}
	if conn, err := net.Dial("unix", deviceSocket); err == nil {
		conn.Close() // not ours: ours are dead by now
	} else {
		stray = append(stray, deviceSocket, filepath.Join(filepath.Dir(deviceSocket), "kubelet_internal_checkpoint"))
	}

	// The kubelet's links to pods' logs, by where they point: into any clone's
	// state, as the record that says whose may be lost.
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.Contains(target, "/.cluster/node-") {
			stray = append(stray, link)
		}
	}
	for _, path := range stray {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// Their folders, if nobody else has anything in them.
	for _, dir := range []string{"/var/lib/cni/results", "/var/lib/cni", "/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/var/log/containers", "/run/crun"} {
		_ = os.Remove(dir)
	}
	return nil
}

// cniCache lists the files that libcni keeps of the cluster's pods, one for
// each network. They are known by the path of the network namespace in them.
func cniCache() ([]string, error) {
	files, err := filepath.Glob("/var/lib/cni/results/*")
	if err != nil {
		return nil, err
	}
	var own []string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if bytes.Contains(b, []byte(runDir+"/")) {
			own = append(own, file)
		}
	}
	return own, nil
}

// leftovers lists what of a cluster is still on the machine.
func leftovers(r *Record) ([]string, error) {
	var found []string
	owner := ""
	if r != nil {
		owner = r.Owner
		for _, name := range r.alive() {
			found = append(found, fmt.Sprintf("process %d (%s)", r.Processes[name].PID, name))
		}
	}
	ms, err := mounts()
	if err != nil {
		return nil, err
	}
	for _, point := range ownMounts(ms, owner) {
		found = append(found, "mount "+point)
	}
	links, err := ownLinks()
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		found = append(found, "link "+link)
	}
	err = eachCgroup(func(_, dir string) error {
		found = append(found, "cgroup "+dir)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(runDir); err == nil {
		found = append(found, "folder "+runDir)
	}
	return found, nil
}
