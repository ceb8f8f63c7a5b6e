package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkMachine says what this machine lacks to run the cluster, if anything.
func checkMachine(l Layout) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("runs on linux only, this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root: it mounts, makes a bridge and runs container runtimes")
	}
	if bad := strings.IndexFunc(l.Root, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`:,"\`, r) }); bad >= 0 {
		return fmt.Errorf("the clone's path %q holds %q, which overlay mounts cannot name: move the clone", l.Root, l.Root[bad:bad+1])
	}
	// What else it takes, up installs (debianPackages).
	for _, cmd := range []string{"go", "apt-get"} {
		if _, err := exec.LookPath(cmd); err != nil {
			return fmt.Errorf("the command %q is not in PATH: install it (this runs on Debian 12, with Go)", cmd)
		}
	}
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	if len(hierarchies) == 0 {
		return errors.New("no cgroup file system is mounted below /sys/fs/cgroup")
	}
	return nil
}

// deviceSocket is where every kubelet's device manager listens, whatever its
// root folder. The last to start takes it from the others.
const deviceSocket = "/var/lib/kubelet/device-plugins/kubelet.sock"

// checkFree says who else holds what the cluster is about to take. It is
// called after leftovers are gone, so whatever is found is not ours.
func checkFree(l Layout) error {
	ports := []int{etcdPort, etcdPeerPort, apiserverPort, controllerManagerPort, schedulerPort}
	for _, n := range l.Nodes {
		ports = append(ports, n.KubeletPort, n.HealthzPort)
	}
	for _, port := range ports {
		ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return fmt.Errorf("TCP port %d: %w: stop what listens there (ss -ltnp)", port, errors.Unwrap(err))
		}
		ln.Close()
	}

	if conn, err := net.Dial("unix", deviceSocket); err == nil {
		conn.Close()
		return fmt.Errorf("another kubelet runs on this machine (it listens on %s): stop it", deviceSocket)
	}

	pods := netip.MustParsePrefix(podCIDR)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Overlaps(pods) {
			return fmt.Errorf("the pod network %s overlaps this machine's address %s", podCIDR, p)
		}
	}
	return nil
}

// lock keeps two commands from changing the cluster at once, whichever clones
// they run from. An abstract socket (unix(7)) leaves nothing behind and is
// released by the kernel however its holder ends.
func lock() (unlock func(), err error) {
	ln, err := net.Listen("unix", "@kubectl-seccomp-cluster")
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, errors.New("another cluster command is at work: wait until it is done")
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() { ln.Close() }, nil
}

// snapshotter is overlayfs, unless the state folder itself lies on an overlay
// (as in a container), which cannot hold another's upper layer.
func snapshotter(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if st.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native", nil
	}
	return "overlayfs", nil
}

// restorableSysctls are those that a kubelet sets on its machine
// (pkg/kubelet/cm setupKernelTunables). down puts them back.
var restorableSysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

func readSysctls() map[string]string {
	values := make(map[string]string)
	for _, name := range restorableSysctls {
		if b, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			values[name] = strings.TrimSpace(string(b))
		}
	}
	return values
}

func restoreSysctls(values map[string]string) error {
	var errs []error
	now := readSysctls()
	for _, name := range restorableSysctls {
		if want, ok := values[name]; ok && now[name] != want {
			errs = append(errs, os.WriteFile(filepath.Join("/proc/sys", name), []byte(want), 0o644))
		}
	}
	return errors.Join(errs...)
}
