package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
)

// Profiles as a runtime is told them, and as they lie on a node.
const (
	defaultJSON = `{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
	"syscalls": [{"names": ["read", "write", "exit", "exit_group", "mseal", "statmount"], "action": "SCMP_ACT_ALLOW"}]}`
	denyJSON = `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
	"syscalls": [{"names": ["add_key"], "action": "SCMP_ACT_ERRNO"}]}`
	changedJSON = `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
	"syscalls": [{"names": ["add_key", "keyctl"], "action": "SCMP_ACT_ERRNO"}]}`
	dockerJSON = `{"defaultAction": "SCMP_ACT_ALLOW", "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
	"syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]}`
	// What containerd makes of it: includes, excludes and archMap are nothing to it.
	dockerAsOCI = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]}`
)

// created is when the containers of the fixtures were.
var created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// config is with what a container was started; "" is no profile.
func config(runtime, seccomp string) *wire.Config {
	c := &wire.Config{Path: "/run/bundle/config.json", ModifiedNS: created.UnixNano(), Runtime: runtime, Bounding: []string{"CAP_CHOWN"}}
	if seccomp != "" {
		c.Gzip = wire.Compress([]byte(seccomp))
	}
	return c
}

// loaded is what a runtime makes of a profile; names are those that its libseccomp
// does not know.
func loaded(t *testing.T, r profile.OCIRuntime, seccomp string, names ...string) bpf.Stack {
	t.Helper()
	p, err := profile.Parse([]byte(`{"linux": {"seccomp": ` + seccomp + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	m := profile.Target{Arch: "amd64", OCIRuntime: r}
	if names != nil {
		m.Known = func(name string) bool { return !strings.Contains(strings.Join(names, " "), name) }
	}
	l, err := p.Load(m)
	if err != nil {
		t.Fatal(err)
	}
	return l.Stack()
}

// verified is a cluster of pods for verify.
func verified(t *testing.T) *fakeCluster {
	pod := func(name string, d target.Declared, c *wire.Config, stack bpf.Stack) fakePod {
		p := fakePod{name: name, declared: d, config: c, stack: stack, started: created.Add(time.Second).UnixNano()}
		if stack != nil {
			p.subject = wire.ModeFilter
		}
		return p
	}
	byDefault := target.Declared{Type: corev1.SeccompProfileTypeRuntimeDefault, By: target.DeclaredByPod}
	local := target.Declared{Type: corev1.SeccompProfileTypeLocalhost, Localhost: "p.json", By: target.DeclaredByContainer}
	file := func(p fakePod, content string, modified time.Time) fakePod {
		p.file = &wire.File{Path: "/var/lib/kubelet/seccomp/p.json", ModifiedNS: modified.UnixNano(), Gzip: wire.Compress([]byte(content))}
		return p
	}
	runc := loaded(t, profile.Runc, defaultJSON)
	deny := loaded(t, profile.Runc, denyJSON)
	privileged, annotated := byDefault, byDefault
	privileged.Privileged = true
	annotated.By = corev1.SeccompPodAnnotationKey

	threads := pod("threads", byDefault, config("runc", defaultJSON), runc)
	threads.more = []*report.State{{
		State: wire.State{Processes: 1, Threads: 1, Sample: []wire.ThreadRef{{PID: 4007, TID: 4099, Comm: "esc\x1b[2J"}}},
	}}
	gone := pod("gone", local, config("runc", denyJSON), deny)
	gone.problems = []wire.Problem{{Target: "containerd://gone", Code: wire.CodeNoFile, Op: "read the Localhost profile", Errno: "ENOENT"}}
	lost := pod("lost", byDefault, nil, runc)
	lost.problems = []wire.Problem{{Target: "containerd://lost", Code: wire.CodeNoConfig, Op: "find config.json", Detail: "no bundle in the shim's folder"}}

	c := &fakeCluster{
		pods:    make(map[string][]fakePod),
		configs: map[string]*wire.Config{"node-amd64": config("runc", defaultJSON)},
		nodes:   map[string]*wire.Node{"node-amd64": {SeccompDefault: new(false), KubeletRoot: "/var/lib/kubelet"}},
	}
	for _, p := range []fakePod{
		pod("ok", byDefault, config("runc", defaultJSON), runc),
		pod("old-libseccomp", byDefault, config("runc", defaultJSON), loaded(t, profile.Runc, defaultJSON, "mseal", "statmount")),
		// Not one that an old libseccomp could not know.
		pod("tampered", byDefault, config("runc", defaultJSON), loaded(t, profile.Runc, defaultJSON, "write")),
		pod("crun", byDefault, config("/usr/bin/crun", defaultJSON), loaded(t, profile.Crun, defaultJSON)),
		pod("some-runtime", byDefault, config("youki", defaultJSON), loaded(t, profile.Crun, defaultJSON)),
		pod("stacked", byDefault, config("runc", defaultJSON), append(bpf.Stack{runc[0]}, vsock)),
		pod("stacked-free", target.Declared{}, config("runc", ""), bpf.Stack{vsock}),
		pod("not-applied", byDefault, config("runc", defaultJSON), nil),
		pod("privileged", privileged, config("runc", ""), nil),
		pod("annotated", annotated, config("runc", ""), nil),
		pod("unset", target.Declared{}, config("runc", ""), nil),
		pod("other-default", byDefault, config("runc", denyJSON), deny),
		file(pod("local", local, config("runc", denyJSON), deny), denyJSON, created.Add(-time.Hour)),
		file(pod("edited", local, config("runc", denyJSON), deny), changedJSON, created.Add(time.Hour)),
		file(pod("differs", local, config("runc", denyJSON), deny), changedJSON, created.Add(-time.Hour)),
		file(pod("docker", local, config("runc", dockerAsOCI), loaded(t, profile.Runc, dockerAsOCI)), dockerJSON, created.Add(-time.Hour)),
		file(pod("broken", local, config("runc", denyJSON), deny), "{", created.Add(-time.Hour)),
		gone, lost, threads,
	} {
		c.pods[p.name] = []fakePod{p}
	}
	return c
}

func TestVerify(t *testing.T) {
	c := verified(t)
	var names []string
	for name := range c.pods {
		names = append(names, name)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := plugin(verified(t), "verify", name)
			golden(t, "verify_"+name+".txt", fmt.Sprintf("$ kubectl seccomp verify %s\n%s%sexit code %d\n", name, stdout, prefix("stderr: ", stderr), code))
			if strings.ContainsAny(stdout+stderr, "\x1b\r") {
				t.Errorf("unprintable output: %q", stdout)
			}
		})
	}
}

// TestVerifyAll has several at once, in each format.
func TestVerifyAll(t *testing.T) {
	for _, args := range []string{"verify ok crun privileged lost", "verify ok local", "verify ok stacked --strict", "verify edited -o yaml"} {
		code, stdout, stderr := plugin(verified(t), strings.Fields(args)...)
		name := strings.NewReplacer(" ", "_", "--", "").Replace(args) + ".txt"
		golden(t, name, fmt.Sprintf("$ kubectl seccomp %s\n%s%sexit code %d\n", args, stdout, prefix("stderr: ", stderr), code))
	}
}

// TestVerifyRequests has one reference for all containers of a node with the same
// capabilities, and no more than there may be.
func TestVerifyRequests(t *testing.T) {
	var list []target.Container
	add := func(node string, d target.Declared) {
		list = append(list, target.Container{Node: node, ID: fmt.Sprintf("containerd://%d", len(list)), Declared: d})
	}
	byDefault := target.Declared{Type: corev1.SeccompProfileTypeRuntimeDefault}
	add("a", byDefault)
	add("a", byDefault)
	add("b", byDefault)
	add("a", target.Declared{Type: corev1.SeccompProfileTypeUnconfined})
	for i := range 2 * probepod.MaxReferences {
		d := byDefault
		d.Capabilities = &corev1.Capabilities{Add: []corev1.Capability{"CHOWN", corev1.Capability(fmt.Sprint("X", i))}}
		add("a", d)
	}
	same := byDefault
	same.Capabilities = &corev1.Capabilities{Add: []corev1.Capability{"X0", "CHOWN"}}
	add("a", same)

	requests, references := verifyRequests(list)
	if len(requests) != 2 || len(requests[0].References) != probepod.MaxReferences || len(requests[1].References) != 1 {
		t.Errorf("%+v", requests)
	}
	for i, want := range []string{"reference://0", "reference://0", "reference://0", "", "reference://1"} {
		if got := references[list[i].ID]; got != want {
			t.Errorf("container %d: %q, want %q", i, got, want)
		}
	}
	last := len(list) - 1
	if references[list[last].ID] != "reference://1" || references[list[last-1].ID] != "" {
		t.Errorf("%v", references)
	}
}

// TestVerifyNodes has a node fail and another answer.
func TestVerifyNodes(t *testing.T) {
	c := verified(t)
	arm := c.pods["ok"][0]
	arm.name, arm.arch = "elsewhere", "arm64"
	c.pods["elsewhere"] = []fakePod{arm}
	c.err = &probepod.Incomplete{Failed: map[string]error{"node-arm64": fmt.Errorf("start probe pod: the node is away")}}
	c.without = "node-arm64"
	code, stdout, stderr := plugin(c, "verify", "ok", "elsewhere", "-o", "json")
	var v v1alpha1.Verification
	if err := json.NewDecoder(bytes.NewReader([]byte(stdout))).Decode(&v); err != nil {
		t.Fatal(err)
	}
	if code != 2 || len(v.Items) != 2 || v.Items[0].Holds != v1alpha1.HoldsYes || v.Items[1].Holds != v1alpha1.HoldsUnknown ||
		!strings.Contains(v.Items[1].Arrows[0].Reasons[0].Detail, "the node is away") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	// One that has ended meanwhile is left out, unless it was the only one.
	gone := map[string]error{"containerd://elsewhere": fmt.Errorf("it ended: %w", target.ErrGone)}
	c.err = &probepod.Incomplete{Changed: gone}
	if code, stdout, stderr := plugin(c, "verify", "ok", "elsewhere"); code != 0 || !strings.Contains(stderr, "warning: left out: it ended") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := plugin(c, "verify", "elsewhere"); code != 2 || stdout != "" || !strings.Contains(stderr, "error: it ended") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	// What came in the place of one that restarted is not known.
	c.without = ""
	c.err = &probepod.Incomplete{Changed: map[string]error{"containerd://elsewhere": fmt.Errorf("it is another: %w", target.ErrRestarted)}}
	for _, command := range []string{"verify", "list"} {
		code, stdout, stderr := plugin(c, command, "ok", "elsewhere")
		if code != 2 || !strings.Contains(stdout, "default/elsewhere:main") || !strings.Contains(stdout, "it is another") {
			t.Errorf("%s: exit code %d, %s%s", command, code, stdout, stderr)
		}
	}
	// That it is not known whether it is another is no reason to doubt what was read.
	c.err = &probepod.Incomplete{Changed: map[string]error{"containerd://ok": fmt.Errorf("get pod: too many requests")}}
	if code, stdout, stderr := plugin(c, "verify", "ok"); code != 0 || !strings.Contains(stderr, "warning: get pod: too many requests") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

// TestNodesAway has a node that is not ready: what is on it is not left out.
func TestNodesAway(t *testing.T) {
	c := verified(t)
	arm := c.pods["ok"][0]
	arm.name, arm.arch = "elsewhere", "arm64"
	c.pods["elsewhere"] = []fakePod{arm}
	c.away = map[string]error{"node-arm64": fmt.Errorf("the node is NotReady")}
	for _, command := range []string{"verify", "list"} {
		code, stdout, stderr := plugin(c, command, "ok", "elsewhere")
		if code != 2 || !strings.Contains(stdout, "default/elsewhere:main") || !strings.Contains(stdout, "the node is NotReady") {
			t.Errorf("%s: exit code %d, %s%s", command, code, stdout, stderr)
		}
		for _, r := range c.requests {
			if r.Node == "node-arm64" {
				t.Errorf("%s: %+v", command, r)
			}
		}
	}
}

// TestVerifyNoReference has the reference not start: what does not need it is there.
func TestVerifyNoReference(t *testing.T) {
	c := verified(t)
	c.noReference = &wire.Problem{Target: "reference://0", Code: wire.CodeNoReference, Op: "find reference container 0", Detail: "CreateContainerError: unknown capability"}
	code, stdout, stderr := plugin(c, "verify", "ok", "local", "-o", "json")
	var v v1alpha1.Verification
	if err := json.Unmarshal([]byte(stdout), &v); err != nil {
		t.Fatal(err)
	}
	ok, local := v.Items[0], v.Items[1]
	if code != 2 || ok.Arrows[0].Holds != v1alpha1.HoldsUnknown || ok.Arrows[1].Holds != v1alpha1.HoldsYes || local.Holds != v1alpha1.HoldsYes ||
		!strings.Contains(ok.Arrows[0].Reasons[0].Detail, "CreateContainerError: unknown capability") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = plugin(c, "diff", "ok", "RuntimeDefault")
	if code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "CreateContainerError: unknown capability") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestVerifyErrors(t *testing.T) {
	for args, want := range map[string]string{
		"verify ok -l a=b":                "use one or the other",
		"verify -l a==b=c":                "--selector",
		"verify --field-selector ===":     "--field-selector",
		"verify RuntimeDefault":           "want pods",
		"verify node/x:1":                 "want pods",
		"verify no-such-pod":              "there is none",
		"verify ok -o nothing":            "output format",
		"verify ok --image-pull-policy x": "--image-pull-policy",
		"list node/x:1":                   "want node/NODE",
		"list node/x ok":                  "listed alone",
		"list node/x -A":                  "no selector goes with",
	} {
		code, stdout, stderr := plugin(verified(t), strings.Fields(args)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q; want %q", args, code, stdout, stderr, want)
		}
	}
}

func TestList(t *testing.T) {
	c := verified(t)
	c.found = []fakePod{{name: "12", subject: wire.ModeFilter, stack: bpf.Stack{vsock}}, {name: "345", subject: wire.ModeStrict}}
	for _, args := range []string{
		"list ok crun old-libseccomp privileged stacked stacked-free threads not-applied", "list ok --no-such-flag",
		"list node/node-amd64", "list ok threads -o wide", "list crun -o yaml",
	} {
		code, stdout, stderr := plugin(c, strings.Fields(args)...)
		name := strings.NewReplacer(" ", "_", "--", "", "/", "-").Replace(args) + ".txt"
		golden(t, name, fmt.Sprintf("$ kubectl seccomp %s\n%s%sexit code %d\n", args, stdout, prefix("stderr: ", stderr), code))
	}
}
