package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/hostfile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc/proctest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
)

// TestParse reads the configuration that containerd 1.6 made for a pod's
// container.
func TestParse(t *testing.T) {
	text, err := os.ReadFile("testdata/containerd.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Bounding) != 14 || c.Bounding[0] != "CAP_CHOWN" || c.NoNewPrivileges || !strings.HasPrefix(c.CgroupsPath, "/kubepods/besteffort/poda56d6197-") {
		t.Errorf("got %+v", c)
	}
	if !slices.Contains(c.Mounts, Mount{"/var/lib/kubelet/pods/a56d6197-ccaf-4b6b-bfbd-909dae8e49ef/etc-hosts", "/etc/hosts"}) {
		t.Errorf("mounts %v", c.Mounts)
	}
	// What is left is a profile to whoever reads one, and nothing else is left.
	if p, err := profile.Parse(c.Seccomp); err != nil || p.Format() != profile.OCI {
		t.Errorf("the profile is %v, %v", p, err)
	}
	for _, secret := range []string{"KUBERNETES_SERVICE_HOST", "workload"} {
		if bytes.Contains(c.Seccomp, []byte(secret)) {
			t.Errorf("it has %s", secret)
		}
	}
	for text, want := range map[string]string{
		`{"ociVersion":"1.0.2"}`:                                                      "",
		`{"ociVersion":"1.0.2","linux":{"seccomp":null}}`:                             "",
		`{"ociVersion":"1.0.2","linux":{"seccomp":{"defaultAction" :"SCMP"}}}`:        `{"defaultAction":"SCMP"}`,
		`{"ociVersion":"1.0.2","process":{"env":["linux={"]},"linux":{"seccomp":{}}}`: `{}`,
	} {
		if c, err := parse([]byte(text)); err != nil || string(c.Seccomp) != want {
			t.Errorf("%s: %s, %v", text, c.Seccomp, err)
		}
	}
	for _, text := range []string{"", "{", "[]", "{}", `{"ociVersion":1}`, `{"ociVersion":"1","linux":{"cgroupsPath":1}}`, `{"ociVersion":"1"} x`} {
		if c, err := parse([]byte(text)); !errors.Is(err, ErrNotConfig) {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/containerd.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"ociVersion":"1.0.2","linux":{"seccomp":null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := parse(text); err == nil && c.Seccomp != nil && !json.Valid(c.Seccomp) {
			t.Errorf("%q is sent as JSON", c.Seccomp)
		}
	})
}

// containerd is where it keeps bundles, and cgroup what its containers are in.
const containerd = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/"

func cgroup(id proc.ContainerID) string { return "0::/kubepods/pod1234/" + string(id) + "\n" }

func config(marker string) string {
	return `{"ociVersion":"1.0.2","process":{"noNewPrivileges":true},"linux":{"seccomp":{"defaultAction":"` + marker + `"}}}`
}

// TestFind has the ways in which runtimes look after containers.
func TestFind(t *testing.T) {
	sandbox, id, other := proctest.ID("a"), proctest.ID("b"), proctest.ID("c")
	shim := func(of proc.ContainerID) []string {
		return []string{"/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", string(of), "-address", "/run/containerd/containerd.sock"}
	}
	for name, test := range map[string]struct {
		build   func(*proctest.Node)
		path    string
		runtime string
		by      int
		fails   error
		says    string
	}{
		"containerd: a shim per pod": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(sandbox), Cwd: containerd + string(sandbox)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(containerd+string(sandbox)+"/config.json", config("SANDBOX"))
			n.Write(containerd+string(id)+"/config.json", config("RIGHT"))
			n.Write(containerd+string(id)+"/options.json", `{"binary_name":"/usr/bin/crun","root":"/run/crun"}`)
		}, path: containerd + string(id) + "/config.json", runtime: "/usr/bin/crun", by: 10},

		"containerd: the runtime by default": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(sandbox), Cwd: containerd + string(sandbox)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(containerd+string(id)+"/config.json", config("RIGHT"))
			n.Write(containerd+string(id)+"/options.json", `{}`)
		}, path: containerd + string(id) + "/config.json", runtime: "runc", by: 10},

		"containerd: only the name of the runtime": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(sandbox), Cwd: containerd + string(sandbox)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(containerd+string(id)+"/config.json", config("RIGHT"))
			n.Write(containerd+string(id)+"/options.json", "\x0a\x04runc")
			n.Write(containerd+string(id)+"/runtime", "/opt/runc\n")
		}, path: containerd + string(id) + "/config.json", runtime: "/opt/runc", by: 10},

		"Docker: a shim per container, of a process deep inside": {build: func(n *proctest.Node) {
			const docker = "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/"
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(id), Cwd: docker + string(id)})
			n.Add(proctest.Process{PID: 18, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Add(proctest.Process{PID: 19, PPID: 18, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Add(proctest.Process{PID: 20, PPID: 19, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(docker+string(id)+"/config.json", config("RIGHT"))
		}, path: "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/" + string(id) + "/config.json", by: 10},

		"CRI-O": {build: func(n *proctest.Node) {
			const bundle = "/run/containers/storage/overlay-containers/"
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"/usr/bin/conmon", "-b", bundle + string(id) + "/userdata", "-c", string(id), "--exit-dir", "/var/run/crio/exits", "-r", "/usr/bin/runc", "-u", string(id), "-s"}})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(bundle+string(id)+"/userdata/config.json", config("RIGHT"))
		}, path: "/run/containers/storage/overlay-containers/" + string(id) + "/userdata/config.json", runtime: "/usr/bin/runc", by: 10},

		"CRI-O: a shim of a virtual machine": {build: func(n *proctest.Node) {
			const storage = "/run/containers/storage/overlay-containers/"
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"/usr/bin/containerd-shim-kata-v2", "-id", string(sandbox)}, Cwd: storage + string(sandbox) + "/userdata"})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(storage+string(id)+"/userdata/config.json", config("RIGHT"))
		}, path: "/run/containers/storage/overlay-containers/" + string(id) + "/userdata/config.json", by: 10},

		"Podman, through a symbolic link of the node's": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"conmon", "--cid=" + string(id), "--runtime", "/usr/bin/crun", "--bundle=/var/run/c/userdata"}})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Link("/run", "/var/run")
			n.Write("/run/c/userdata/config.json", config("RIGHT"))
		}, path: "/var/run/c/userdata/config.json", runtime: "/usr/bin/crun", by: 10},

		"a shim that is no ancestor any more": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 9, PPID: 1, Args: shim(other), Cwd: "/run/other/" + string(other)})
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(sandbox), Cwd: containerd + string(sandbox)})
			n.Add(proctest.Process{PID: 20, PPID: 1, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(containerd+string(id)+"/config.json", config("RIGHT"))
		}, path: containerd + string(id) + "/config.json", by: 10},

		"a conmon of another container": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"conmon", "-c", string(other), "-b", "/c"}})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write("/c/config.json", config("WRONG"))
		}, fails: ErrNotFound},

		"a shim in a container": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 9, PPID: 1, Args: []string{"/app"}, Cgroup: cgroup(other)})
			n.Add(proctest.Process{PID: 10, PPID: 9, Args: shim(id), Cwd: "/evil/" + string(id), Cgroup: cgroup(other)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write("/evil/"+string(id)+"/config.json", config("WRONG"))
		}, fails: ErrNotFound},

		"a shim of the container's own": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(id), Cwd: "/evil/" + string(id), Cgroup: cgroup(id)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write("/evil/"+string(id)+"/config.json", config("WRONG"))
		}, fails: ErrNotFound},

		"nobody": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 20, PPID: 1, Args: []string{"/app"}, Cgroup: cgroup(id)})
		}, fails: ErrNotFound},

		"no file": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(sandbox), Cwd: containerd + string(sandbox)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
		}, fails: ErrNotFound, says: containerd + string(id) + "/config.json"},

		"a symbolic link for a file": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(sandbox), Cwd: containerd + string(sandbox)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write("/elsewhere", config("WRONG"))
			n.Link("/elsewhere", containerd+string(id)+"/config.json")
		}, fails: hostfile.ErrNotRegular},

		"rubbish": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(sandbox), Cwd: containerd + string(sandbox)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(containerd+string(id)+"/config.json", "rubbish")
		}, fails: ErrNotConfig, says: containerd + string(id) + "/config.json"},

		"too long": {build: func(n *proctest.Node) {
			n.Add(proctest.Process{PID: 10, PPID: 1, Args: shim(sandbox), Cwd: containerd + string(sandbox)})
			n.Add(proctest.Process{PID: 20, PPID: 10, Args: []string{"/app"}, Cgroup: cgroup(id)})
			n.Write(containerd+string(id)+"/config.json", strings.Repeat(" ", MaxConfig)+config("WRONG"))
		}, fails: hostfile.ErrTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			n := proctest.NewNode(t)
			test.build(n)
			process, err := n.FS().Process(20)
			if err != nil {
				t.Fatal(err)
			}
			c, _, err := NewFinder(n.FS()).Find(id, process)
			by := c.Manager.PID
			if test.fails != nil {
				if !errors.Is(err, test.fails) || !strings.Contains(err.Error(), test.says) || by != 0 {
					t.Errorf("%+v by %d, error %v, want a %v that says %q", c, by, err, test.fails, test.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(c.Seccomp) != `{"defaultAction":"RIGHT"}` || !c.NoNewPrivileges || c.Modified.IsZero() {
				t.Errorf("got %+v: %s", c, c.Seccomp)
			}
			if got := strings.TrimPrefix(c.Path, n.Root); got != test.path || c.Runtime != test.runtime || by != test.by {
				t.Errorf("%s, runtime %q, by %d; want %s, %q, %d", got, c.Runtime, by, test.path, test.runtime, test.by)
			}
		})
	}
}

func TestFlag(t *testing.T) {
	for args, want := range map[string]string{
		"":                    "",
		"conmon -c":           "",
		"conmon -c x":         "x",
		"conmon --cid x":      "x",
		"conmon --cid=x":      "x",
		"conmon --cid=x -c y": "y",
		"conmon --cids=x":     "",
	} {
		if got := flag(strings.Fields(args), "-c", "--cid"); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}
