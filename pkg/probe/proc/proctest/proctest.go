// Package proctest makes a /proc of files, for tests: that of a node with
// runtimes, cgroups and processes that are not to be had where tests run.
package proctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// Node is a node with a /proc of its own, and files.
type Node struct {
	t    testing.TB
	proc string
	// Root is where the node's files are.
	Root string
}

// Process is one of a node's. What is not given is "" or 0, but for what Add
// says.
type Process struct {
	PID, PPID int
	Comm      string   // else the base name of the first argument, cut as the kernel does
	Args      []string //
	Cgroup    string   // else "0::/\n"
	Cwd       string   // on the node; else its root
	Network   string   // network namespace; else the node's
	Mounts    string   // mount namespace; else the node's
	Start     int      // else PID
	Seccomp   int
}

// NewNode returns a node whose only process is its first, an init.
func NewNode(t testing.TB) *Node {
	t.Helper()
	n := &Node{t: t, proc: filepath.Join(t.TempDir(), "proc"), Root: filepath.Join(t.TempDir(), "root")}
	n.must(os.MkdirAll(n.Root, 0o755))
	n.Add(Process{PID: 1, Args: []string{"/sbin/init"}, Cgroup: "0::/init.scope\n"})
	return n
}

// FS returns the node's /proc.
func (n *Node) FS() proc.FS { return proc.FS(n.proc) }

// Add starts a process.
func (n *Node) Add(p Process) {
	n.t.Helper()
	if p.Comm == "" && len(p.Args) > 0 {
		const most = 15 // TASK_COMM_LEN, less its zero
		p.Comm = filepath.Base(p.Args[0])
		p.Comm = p.Comm[:min(len(p.Comm), most)]
	}
	if p.Cgroup == "" {
		p.Cgroup = "0::/\n"
	}
	if p.Network == "" {
		p.Network = "net:[1]"
	}
	if p.Mounts == "" {
		p.Mounts = "mnt:[1]"
	}
	if p.Start == 0 {
		p.Start = p.PID
	}
	args := ""
	for _, arg := range p.Args {
		args += arg + "\x00"
	}
	stat := fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 9 9\n", p.PID, p.Comm, p.PPID, p.Start)
	status := fmt.Sprintf("Tgid:\t%d\nNSpid:\t%d\nSeccomp:\t%d\nSeccomp_filters:\t%d\n", p.PID, p.PID, p.Seccomp, p.Seccomp/2)
	dir := filepath.Join(n.proc, strconv.Itoa(p.PID))
	task := filepath.Join("task", strconv.Itoa(p.PID))
	for name, text := range map[string]string{
		"cmdline": args, "comm": p.Comm + "\n", "cgroup": p.Cgroup, "stat": stat, "status": status,
		filepath.Join(task, "stat"): stat, filepath.Join(task, "status"): status,
	} {
		write(n.t, filepath.Join(dir, name), text)
	}
	n.must(os.MkdirAll(filepath.Join(n.Root, p.Cwd), 0o755))
	n.must(os.Symlink(filepath.Join(n.Root, p.Cwd), filepath.Join(dir, "cwd")))
	n.must(os.Symlink(n.Root, filepath.Join(dir, "root")))
	n.must(os.MkdirAll(filepath.Join(dir, "ns"), 0o755))
	n.must(os.Symlink(p.Network, filepath.Join(dir, "ns", "net")))
	n.must(os.Symlink(p.Mounts, filepath.Join(dir, "ns", "mnt")))
}

// Write makes a file on the node, and the folders above it.
func (n *Node) Write(name, text string) {
	n.t.Helper()
	write(n.t, filepath.Join(n.Root, name), text)
}

// Link makes a symbolic link on the node.
func (n *Node) Link(target, name string) {
	n.t.Helper()
	name = filepath.Join(n.Root, name)
	n.must(os.MkdirAll(filepath.Dir(name), 0o755))
	n.must(os.Symlink(target, name))
}

func (n *Node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ID returns a container ID of one digit, 64 times.
func ID(digit string) proc.ContainerID { return proc.ContainerID(strings.Repeat(digit, 64)) }
