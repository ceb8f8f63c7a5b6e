package probe

import (
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc/proctest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// list is a sink that keeps what it gets.
type list []wire.Message

func (l *list) Write(m wire.Message) error {
	*l = append(*l, m)
	return nil
}

// shimmed adds a pod with one container to a node whose kubelet has that root.
func shimmed(n *proctest.Node, digit, kubelet string, pid int, seccomp string) {
	sandbox, id := string(proctest.ID("f")), string(proctest.ID(digit))
	const uid = "a56d6197-ccaf-4b6b-bfbd-909dae8e49ef"
	cgroup := "/kubepods/pod" + uid + "/" + id
	bundles := "/run/" + digit + "/"
	n.Add(proctest.Process{PID: pid, PPID: 1, Args: []string{"/usr/bin/containerd-shim-runc-v2"}, Cwd: bundles + sandbox})
	n.Add(proctest.Process{PID: pid + 1, PPID: pid, Args: []string{"/app"}, Cgroup: "0::" + cgroup + "\n"})
	n.Write(bundles+id+"/config.json", `{"ociVersion":"1.0.2","process":{"env":["SECRET=x"],"capabilities":{"bounding":["CAP_KILL"]}},`+
		`"mounts":[{"destination":"/etc/hosts","source":"`+kubelet+`/pods/`+uid+`/etc-hosts"}],"linux":{"cgroupsPath":"`+cgroup+`","seccomp":`+seccomp+`}}`)
}

// configuredOf writes what targets were started with.
func configuredOf(t *testing.T, n *proctest.Node, req Request) list {
	t.Helper()
	var sink list
	req.MaxThreads = 10
	c := &collector{req: req, fs: n.FS(), sink: &sink, origins: newOrigins(n.FS())}
	targets, err := c.find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		target.reported = true
	}
	if err := c.configured(targets); err != nil {
		t.Fatal(err)
	}
	return sink
}

// only returns the messages of a type.
func only[M wire.Message](l list) (found []M) {
	for _, m := range l {
		if m, ok := m.(M); ok {
			found = append(found, m)
		}
	}
	return found
}

// TestConfigured has two kubelets on one node, and containers of both.
func TestConfigured(t *testing.T) {
	n := proctest.NewNode(t)
	n.Add(proctest.Process{PID: 10, PPID: 1, Args: []string{"kubelet", "--root-dir=/k/a", "--seccomp-default"}})
	n.Add(proctest.Process{PID: 11, PPID: 1, Args: []string{"kubelet", "--root-dir=/k/b"}})
	shimmed(n, "a", "/k/a", 20, `{"defaultAction" : "SCMP_ACT_ALLOW"}`)
	shimmed(n, "b", "/k/b", 30, `null`)
	n.Write("/k/a/seccomp/web.json", "A")
	n.Write("/k/b/seccomp/web.json", "B")
	n.Write("/k/b/secret", "secret")
	n.Link("/../b/secret", "/k/b/seccomp/absolute.json")
	n.Link("web.json", "/k/b/seccomp/link.json")
	a, b := "containerd://"+string(proctest.ID("a")), "containerd://"+string(proctest.ID("b"))

	sink := configuredOf(t, n, Request{Targets: []string{a, b}, Config: true, Localhost: map[string]string{a: "web.json", b: "link.json"}})
	configs, files, nodes, problems := only[*wire.Config](sink), only[*wire.File](sink), only[*wire.Node](sink), only[*wire.Problem](sink)
	if len(configs) != 2 || len(files) != 2 || len(nodes) != 1 || len(problems) != 0 {
		t.Fatalf("%d configurations, %d files, %d nodes, problems %v", len(configs), len(files), len(nodes), problems)
	}
	if text, err := wire.Expand(configs[0].Gzip); err != nil || string(text) != `{"defaultAction":"SCMP_ACT_ALLOW"}` {
		t.Errorf("seccomp %s, %v", text, err)
	}
	if c := configs[0]; c.Target != a || !strings.HasSuffix(c.Path, "/run/a/"+string(proctest.ID("a"))+"/config.json") || c.ModifiedNS == 0 || len(c.Bounding) != 1 || c.NoNewPrivileges {
		t.Errorf("configuration %+v", c)
	}
	if c := configs[1]; c.Target != b || c.Gzip != nil {
		t.Errorf("configuration without seccomp: %+v", c)
	}
	for i, want := range []wire.File{{Target: a, Path: "/k/a/seccomp/web.json", Gzip: []byte("A")}, {Target: b, Path: "/k/b/seccomp/link.json", Gzip: []byte("B")}} {
		got := files[i]
		if text, err := wire.Expand(got.Gzip); err != nil || got.Target != want.Target || got.Path != want.Path || string(text) != string(want.Gzip) || got.ModifiedNS == 0 {
			t.Errorf("file %+v: %q, %v", got, text, err)
		}
	}
	if nodes[0].SeccompDefault != nil || nodes[0].Detail == "" {
		t.Errorf("of two kubelets: %+v", nodes[0])
	}
	for ref, want := range map[string]bool{a: true, b: false} {
		node := only[*wire.Node](configuredOf(t, n, Request{Targets: []string{ref}, Config: true}))[0]
		if node.SeccompDefault == nil || *node.SeccompDefault != want || node.Detail != "" || !strings.HasPrefix(node.KubeletRoot, "/k/") {
			t.Errorf("of the kubelet of %s: %+v", ref, node)
		}
	}

	// A file without the rest; and what is no file of kubelet's.
	if sink := configuredOf(t, n, Request{Targets: []string{a}, Localhost: map[string]string{a: "web.json"}}); len(sink) != 1 || len(only[*wire.File](sink)) != 1 {
		t.Errorf("only a file: %v", sink)
	}
	for _, path := range []string{"none.json", "../secret", "/k/b/secret", "a/../../secret", "", ".", "..", "absolute.json"} {
		sink := configuredOf(t, n, Request{Targets: []string{b}, Localhost: map[string]string{b: path}})
		if problems := only[*wire.Problem](sink); len(sink) != 1 || len(problems) != 1 || problems[0].Code != wire.CodeNoFile || problems[0].Target != b {
			t.Errorf("%q: %v", path, sink)
		}
	}

	// A container whose configuration nobody knows, and a process in none.
	n.Add(proctest.Process{PID: 40, PPID: 1, Args: []string{"/app"}, Cgroup: "0::/kubepods/pod1/" + string(proctest.ID("c")) + "\n"})
	sink = configuredOf(t, n, Request{Targets: []string{"containerd://" + string(proctest.ID("c")), "pid://10"}, Config: true})
	if problems := only[*wire.Problem](sink); len(sink) != 2 || len(problems) != 1 || problems[0].Code != wire.CodeNoConfig {
		t.Errorf("not found: %v", sink)
	}
}
