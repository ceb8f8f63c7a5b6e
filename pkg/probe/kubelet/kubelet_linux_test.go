package kubelet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/oci"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc/proctest"
)

func TestParseFlags(t *testing.T) {
	yes, no := true, false
	for args, want := range map[string]flags{
		"":                                  {},
		"--root-dir=/a --config=/b":         {root: "/a", config: "/b"},
		"--root-dir /a --config /b":         {root: "/a", config: "/b"},
		"--root-dir=/a --root-dir=/b":       {root: "/b"},
		"--config-dir /d --v 2":             {configDir: "/d"},
		"--seccomp-default":                 {seccompDefault: &yes},
		"--seccomp-default=true":            {seccompDefault: &yes},
		"--seccomp-default=false":           {seccompDefault: &no},
		"--seccomp-default --v=2":           {seccompDefault: &yes},
		"--seccomp-default false":           {seccompDefault: &yes}, // as pflag has it
		"--seccomp-default=maybe":           {},
		"--seccomp-default=":                {},
		"--seccomp-default=1 --config=/c":   {seccompDefault: &yes, config: "/c"},
		"--seccomp-default-x --config-file": {},
		"-- --root-dir=/a":                  {},
		"--config":                          {},
		"--config --root-dir=/a":            {config: "--root-dir=/a"}, // the same
	} {
		if diff := cmp.Diff(want, parseFlags(strings.Fields(args)), cmp.AllowUnexported(flags{})); diff != "" {
			t.Errorf("%s: %s", args, diff)
		}
	}
}

func TestRootOf(t *testing.T) {
	const uid = "a56d6197-ccaf-4b6b-bfbd-909dae8e49ef"
	const cgroup = "/kubepods/besteffort/pod" + uid + "/0"
	for name, test := range map[string]struct {
		cgroup string
		mounts []string
		want   string
	}{
		"the hosts file":      {cgroup, []string{"proc", "/var/lib/kubelet/pods/" + uid + "/etc-hosts"}, "/var/lib/kubelet"},
		"the termination log": {cgroup, []string{"/mnt/k/pods/" + uid + "/containers/main/c2cb9a60"}, "/mnt/k"},
		"systemd's cgroup": {"kubepods-besteffort-pod" + strings.ReplaceAll(uid, "-", "_") + ".slice:cri-containerd:0",
			[]string{"/k/pods/" + uid + "/etc-hosts"}, "/k"},
		"a static pod": {"/kubepods/pod0123456789abcdef0123456789abcdef/0", []string{"/k/pods/0123456789abcdef0123456789abcdef/etc-hosts"}, "/k"},
		// What a pod may choose.
		"a volume first":      {cgroup, []string{"/evil/pods/b56d6197-ccaf-4b6b-bfbd-909dae8e49ef/etc-hosts", "/k/pods/" + uid + "/etc-hosts"}, "/k"},
		"only a volume":       {cgroup, []string{"/evil/pods/b56d6197-ccaf-4b6b-bfbd-909dae8e49ef/etc-hosts"}, ""},
		"a volume's own path": {cgroup, []string{"/k/pods/" + uid + "/volumes/kubernetes.io~empty-dir/x/pods/" + uid + "/other"}, ""},
		"up":                  {cgroup, []string{"/k/../x/pods/" + uid + "/etc-hosts"}, ""},
		"no pod":              {"/docker/0", []string{"/k/pods/" + uid + "/etc-hosts"}, ""},
		"no mounts":           {cgroup, nil, ""},
	} {
		c := oci.Config{CgroupsPath: test.cgroup}
		for _, source := range test.mounts {
			c.Mounts = append(c.Mounts, oci.Mount{Source: source})
		}
		if got := RootOf(c); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestSeccompDefault has kubelets that say it in every place where it can be
// said, and several on one node.
func TestSeccompDefault(t *testing.T) {
	n := proctest.NewNode(t)
	n.Write("/yes.yaml", "kind: KubeletConfiguration\n# seccompDefault: false\nseccompDefault: true\nx: |\n  seccompDefault: false\n")
	n.Write("/no.json", `{"kind":"KubeletConfiguration","seccompDefault":false}`)
	n.Write("/silent.yaml", "kind: KubeletConfiguration\nseccompdefault: true\nmore:\n  seccompDefault: true\n")
	n.Write("/text.yaml", "seccompDefault: \"true\"\ntoken: secret\n")
	n.Write("/rubbish.yaml", "token: secret\n\tseccompDefault: true\n")
	n.Write("/d/20-yes.conf", "seccompDefault: true\n")
	n.Write("/d/10-no.conf", "seccompDefault: false\n")
	n.Write("/d/30-no.yaml", "seccompDefault: false\n") // not read
	n.Write("/d/a.d/40-silent.conf", "{}")
	n.Write("/e/10.d/no.conf", "seccompDefault: false")
	n.Write("/e/10-yes.conf", "seccompDefault: true")
	n.Link("/yes.yaml", "/link.yaml")
	tests := []struct {
		args, want string
	}{
		{"", "false"},
		{"--config=/yes.yaml", "true"},
		{"--config=/link.yaml", "true"},
		{"--config=/no.json", "false"},
		{"--config=/silent.yaml", "false"},
		{"--config=/no.json --seccomp-default", "true"},
		{"--config=/yes.yaml --seccomp-default=false", "false"},
		{"--config=/no.json --config-dir=/d", "true"},
		{"--config=/silent.yaml --config-dir=/e", "false"}, // 10-yes.conf, then 10.d
		{"--config=/none.yaml", "error: no such file"},
		{"--config=/yes.yaml --config-dir=/none", "error: no such file"},
		{"--config=/text.yaml", "error: neither true nor false"},
		{"--config=/rubbish.yaml", "error: neither YAML nor JSON"},
	}
	for i, test := range tests {
		n.Add(proctest.Process{PID: 100 + i, PPID: 1, Args: append([]string{"/usr/bin/kubelet"}, strings.Fields(test.args+fmt.Sprintf(" --root-dir=/k%d", i))...)})
	}
	n.Add(proctest.Process{PID: 2, PPID: 1, Args: []string{"/usr/bin/kubelet", "--root-dir=/pod"}, Cgroup: "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + string(proctest.ID("a")) + ".scope\n"})
	n.Add(proctest.Process{PID: 3, PPID: 1, Args: []string{"/usr/bin/kubelets", "--root-dir=/other"}})
	n.Add(proctest.Process{PID: 4, PPID: 1, Args: []string{"kubelet"}, Cgroup: "0::/docker/" + string(proctest.ID("b")) + "\n"})
	found, err := Find(n.FS())
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(tests)+1 || found[0].PID != 4 || found[0].RootDir != DefaultRoot {
		t.Fatalf("found %+v", found)
	}
	for i, test := range tests {
		k, err := Choose(found, fmt.Sprintf("/k%d", i))
		if err != nil || k.PID != 100+i {
			t.Errorf("%s: chosen %d, %v", test.args, k.PID, err)
			continue
		}
		is, err := k.SeccompDefault(n.FS())
		got := fmt.Sprint(is)
		if err != nil {
			got = "error: " + err.Error()
		}
		if ok := got == test.want || err != nil && strings.HasPrefix(test.want, "error: ") && strings.Contains(got, test.want[7:]); !ok || strings.Contains(got, "secret") {
			t.Errorf("%s: %s, want %s", test.args, got, test.want)
		}
	}
	for _, root := range []string{"", "/pod", "/other", "/var/lib/kubelet/"} {
		if k, err := Choose(found, root); err == nil {
			t.Errorf("root %q: chosen %d", root, k.PID)
		}
	}
	if name, err := absolute(n.FS(), 4, "x/../yes.yaml"); err != nil || name != n.Root+"/yes.yaml" {
		t.Errorf("below its working directory: %s, %v", name, err)
	}
	if k, err := Choose(found[:1], ""); err != nil || k.PID != 4 {
		t.Errorf("the only one: %d, %v", k.PID, err)
	}
	if _, err := Choose(nil, ""); err == nil {
		t.Error("one is chosen of none")
	}
}

func FuzzSeccompDefault(f *testing.F) {
	f.Add([]byte("kind: KubeletConfiguration\nseccompDefault: true\n"))
	f.Add([]byte(`{"seccompDefault":false}`))
	f.Add([]byte("a: &a [x, x]\nb: [*a, *a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) { seccompDefault(text) })
}

func FuzzParseFlags(f *testing.F) {
	f.Add("--config /x --seccomp-default=true --")
	f.Fuzz(func(t *testing.T, args string) { parseFlags(strings.Split(args, " ")) })
}
