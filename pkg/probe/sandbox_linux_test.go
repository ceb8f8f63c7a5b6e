package probe

import (
	"os"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc/proctest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// TestSandbox has containers that run in sandboxes, as far as they show on the
// node, and those that only look like it. None of what serves a sandbox is taken
// for the container.
func TestSandbox(t *testing.T) {
	const bundles = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/"
	pod, id, other := string(proctest.ID("a")), string(proctest.ID("b")), string(proctest.ID("c"))
	cgroup := func(id string) string { return "0::/kubepods/pod1/" + id + "\n" }
	config := func(sandbox string) string {
		return `{"ociVersion":"1.0.2","annotations":{"io.kubernetes.cri.sandbox-id":"` + sandbox + `"}}`
	}
	kata := []string{"/opt/kata/bin/containerd-shim-kata-v2", "-namespace", "k8s.io", "-address", "/run/containerd/containerd.sock", "-id", pod}
	for name, test := range map[string]struct {
		build func(*proctest.Node)
		code  string // "" if it is found
		says  string
	}{
		"gVisor": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"/usr/bin/containerd-shim-runsc-v1", "-namespace", "k8s.io"}, Cwd: bundles + pod})
			n.Add(proctest.Process{PID: 20, PPID: 10, Comm: "exe", Args: []string{"runsc-sandbox", "boot", "--bundle=" + bundles + pod, pod}, Cgroup: cgroup(pod), Mounts: "mnt:[2]", Seccomp: 2})
			n.Add(proctest.Process{PID: 21, PPID: 10, Comm: "exe", Args: []string{"runsc-gofer", "gofer", "--bundle", bundles + id}, Cgroup: cgroup(pod), Mounts: "mnt:[3]"})
			n.Write(bundles+id+"/config.json", config(pod))
		}, wire.CodeSandbox, "gVisor"},
		"gVisor, with processes in the container's cgroup": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"/usr/bin/containerd-shim-runsc-v1", "-namespace", "k8s.io"}, Cwd: bundles + pod})
			n.Add(proctest.Process{PID: 20, PPID: 10, Comm: "exe", Args: []string{"runsc-sandbox", "boot"}, Cgroup: cgroup(id), Mounts: "mnt:[2]", Seccomp: 2})
		}, wire.CodeSandbox, "containerd-shim-runsc-v1, pid 10"},
		"gVisor as the runtime of a shim of runc's": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"/usr/bin/containerd-shim-runc-v2"}, Cwd: bundles + pod})
			n.Add(proctest.Process{PID: 20, PPID: 10, Comm: "exe", Args: []string{"runsc-sandbox", "boot"}, Cgroup: cgroup(id), Mounts: "mnt:[2]", Seccomp: 2})
			n.Write(bundles+id+"/config.json", config(pod))
			n.Write(bundles+id+"/options.json", `{"binary_name":"/usr/local/bin/runsc"}`)
		}, wire.CodeSandbox, "gVisor"},
		"gVisor under CRI-O": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"/usr/bin/conmon", "-c", id, "-b", "/b", "-r", "/usr/bin/runsc"}})
			n.Add(proctest.Process{PID: 20, PPID: 10, Comm: "exe", Args: []string{"runsc-sandbox", "boot"}, Cgroup: cgroup(id), Mounts: "mnt:[2]", Seccomp: 2})
			n.Write("/b/config.json", config(pod))
		}, wire.CodeSandbox, "gVisor"},
		"Kata": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: kata, Cwd: bundles + pod, Cgroup: "0::/kubepods/pod1/kata_" + pod + "\n"})
			n.Add(proctest.Process{PID: 11, PPID: 1, Args: []string{"/opt/kata/bin/qemu-system-x86_64", "-name", "sandbox-" + pod + ",debug-threads=on"}, Cgroup: "0::/kubepods/pod1/kata_" + pod + "\n", Seccomp: 2})
			n.Write(bundles+id+"/config.json", config(pod))
		}, wire.CodeSandbox, "Kata Containers, by containerd-shim-kata-v2, pid 10"},
		"Kata, in a cgroup like the sandbox's": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: kata, Cwd: bundles + pod, Cgroup: cgroup(pod)})
			n.Write(bundles+id+"/config.json", config(pod))
		}, wire.CodeSandbox, "Kata"},
		"Kata: another pod's": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: kata, Cwd: bundles + pod})
			n.Write(bundles+id+"/config.json", config(other))
		}, wire.CodeNotFound, ""},
		"a virtual machine with its ID": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 11, PPID: 1, Args: []string{"/usr/bin/cloud-hypervisor", "--api-socket", "/run/vc/vm/" + id + "/clh-api.sock"}})
		}, wire.CodeSandbox, "virtual machine"},
		"another program with its ID": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 11, PPID: 1, Comm: "exe", Args: []string{"/usr/bin/less", "/run/vc/vm/" + id}})
		}, wire.CodeNotFound, ""},
		"a container that calls itself a sandbox": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 11, PPID: 1, Args: []string{"/runsc-sandbox", id}, Cgroup: cgroup(other), Mounts: "mnt:[2]"})
		}, wire.CodeNotFound, ""},
		"a container of runc's that calls itself a sandbox": {func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"/usr/bin/containerd-shim-runc-v2"}, Cwd: bundles + pod})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"runsc-sandbox", id}, Cgroup: cgroup(id), Mounts: "mnt:[2]", Seccomp: 2})
			n.Write(bundles+id+"/config.json", config(pod))
			n.Write(bundles+id+"/options.json", `{"binary_name":"/usr/bin/runc"}`)
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := proctest.NewNode(t)
			n.Add(proctest.Process{PID: os.Getpid(), PPID: 2, Args: []string{"/probe"}, Mounts: "mnt:[9]"})
			n.Add(proctest.Process{PID: 2, PPID: 1, Args: []string{"/usr/bin/containerd-shim-runc-v2"}})
			test.build(n)
			var sink list
			c := &collector{req: Request{Targets: []string{"containerd://" + id}, MaxThreads: 10}, fs: n.FS(), sink: &sink, origins: newOrigins(n.FS())}
			targets, err := c.find(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			problems := only[*wire.Problem](sink)
			if test.code == "" {
				if len(targets) != 1 || len(problems) != 0 {
					t.Errorf("targets %v, problems %v", targets, problems)
				}
				return
			}
			if len(targets) != 0 || len(problems) != 1 || problems[0].Code != test.code || !strings.Contains(problems[0].Detail, test.says) {
				t.Errorf("%d targets, problems %v, want %s that says %q", len(targets), problems, test.code, test.says)
			}

			// Nor is a sandbox of gVisor's found as a container by itself.
			if strings.HasPrefix(name, "gVisor") {
				sink = nil
				c.req = Request{All: true, MaxThreads: 10}
				if targets, err := c.find(t.Context()); err != nil || len(targets) != 0 || len(sink) != 1 {
					t.Errorf("of all: %v, %v, %v", targets, sink, err)
				}
			}
		})
	}
}
