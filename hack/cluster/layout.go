package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// runDir holds what must not depend on where the clone lies: the record of
// what runs (so that any clone finds it), and every path that ends in a socket
// (108 bytes at most, unix(7)) or a mount.
const runDir = "/run/kubectl-seccomp-cluster"

// Addresses. The ports keep clear of the defaults, so that a real Kubernetes
// on the machine is not in the way.
const (
	bridge      = "br-kseccomp"
	bridgeIP    = "10.214.0.1" // also the InternalIP of both nodes
	podCIDR     = "10.214.0.0/16"
	serviceCIDR = "10.215.0.0/24"
	serviceIP   = "10.215.0.1" // of the kubernetes service, in its certificate

	// No DNS server runs; the kubelet warns in every pod's events without one.
	serviceDNS = "10.215.0.10"

	etcdPort              = 12379
	etcdPeerPort          = 12380
	apiserverPort         = 16443
	controllerManagerPort = 20257
	schedulerPort         = 20259
)

const (
	apiserverURL = "https://127.0.0.1:16443"
	pauseImage   = "localhost/kubectl-seccomp/pause:1"
)

// Layout names every file and folder of one clone's cluster.
type Layout struct {
	Root  string // the clone
	State string // Root/.cluster
	Nodes []Node
}

// Node is one kubelet with its container runtime.
type Node struct {
	Name        string
	KubeletPort int // authenticated API
	HealthzPort int // plain, loopback only

	dir string // below Layout.State
	run string // below runDir

	containerdBin string
	ctrBin        string
	runcBin       string
	crunBin       string // stands before Debian's (see hack/cluster/crun)
	shimPath      string // PATH in which containerd finds its shim
	configVersion int    // of containerd's configuration file

	// seccompDefault is kubelet's: containers that declare no profile get the
	// runtime's default one.
	seccompDefault bool
}

func newLayout(root string) Layout {
	l := Layout{Root: root, State: filepath.Join(root, ".cluster")}
	built := filepath.Join(l.State, "libexec", "node-b")
	l.Nodes = []Node{
		{
			Name: "node-a", KubeletPort: 20250, HealthzPort: 20248,
			containerdBin: "/usr/bin/containerd", ctrBin: "/usr/bin/ctr", runcBin: "/usr/sbin/runc",
			shimPath: "/usr/bin", configVersion: 2,
		},
		{
			Name: "node-b", KubeletPort: 20251, HealthzPort: 20249,
			containerdBin: filepath.Join(built, "containerd"), ctrBin: filepath.Join(built, "ctr"), runcBin: filepath.Join(built, "runc"),
			shimPath: built, configVersion: 3, seccompDefault: true,
		},
	}
	for i := range l.Nodes {
		n := &l.Nodes[i]
		n.dir = filepath.Join(l.State, n.Name)
		n.crunBin = l.libexec("crun")
		n.run = filepath.Join(runDir, n.Name)
	}
	return l
}

func (l Layout) bin(name string) string     { return filepath.Join(l.State, "bin", name) }
func (l Layout) libexec(name string) string { return filepath.Join(l.State, "libexec", name) }
func (l Layout) pki(name string) string     { return filepath.Join(l.State, "pki", name) }
func (l Layout) log(name string) string     { return filepath.Join(l.State, "log", name+".log") }
func (l Layout) kubeconfig() string         { return filepath.Join(l.State, "kubeconfig") }

// component is where the kubeconfig of a part of the cluster lies, as opposed
// to the administrator's.
func (l Layout) componentKubeconfig(name string) string {
	return filepath.Join(l.State, "kubeconfigs", name)
}

func (n Node) socket() string     { return filepath.Join(n.run, "containerd.sock") }
func (n Node) stateDir() string   { return filepath.Join(n.run, "containerd") }
func (n Node) kubeletDir() string { return filepath.Join(n.run, "kubelet") }
func (n Node) seccompDir() string { return filepath.Join(n.kubeletDir(), "seccomp") }
func (n Node) podLogs() string    { return filepath.Join(n.dir, "pod-logs") }

func (n Node) containerdConfig() string { return filepath.Join(n.dir, "containerd.toml") }
func (n Node) kubeletConfig() string    { return filepath.Join(n.dir, "kubelet.json") }
func (n Node) cniConfDir() string       { return filepath.Join(n.dir, "cni") }

// findRoot is the clone that this program serves: the one whose .cluster/bin
// it was installed in, else the one around the working directory.
func findRoot() (string, error) {
	if exe, err := os.Executable(); err == nil {
		if state := filepath.Dir(filepath.Dir(exe)); filepath.Base(state) == ".cluster" {
			return filepath.Dir(state), nil
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "hack", "cluster", "go.mod")); err == nil {
			return dir, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a clone of kubectl-seccomp: run this from the clone", wd)
		}
	}
}
