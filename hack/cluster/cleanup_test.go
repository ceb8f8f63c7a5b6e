package main

import (
	"slices"
	"testing"
)

const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
31 22 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
40 22 0:50 / /run/kubectl-seccomp-cluster/node-a/containerd/x/rootfs rw shared:3 master:2 - overlay overlay rw
41 40 0:51 / /run/kubectl-seccomp-cluster/node-a/containerd/x/rootfs/proc rw - proc proc rw
42 22 0:52 / /run/kubectl-seccomp-cluster-other rw - tmpfs tmpfs rw
43 22 0:53 / /src/my\040clone/.cluster/node-b/tmp rw - tmpfs tmpfs rw
44 22 0:54 / /src/my\040clone/.clustered rw - tmpfs tmpfs rw
45 22 0:55 / /run/netns/somebodys rw - nsfs nsfs rw
short line
`

func TestOwnMounts(t *testing.T) {
	ms := parseMountinfo([]byte(mountinfo))
	const rootfs = runDir + "/node-a/containerd/x/rootfs"
	// In the order of mounting, so that going backwards unmounts the inner first.
	want := []string{rootfs, rootfs + "/proc", "/src/my clone/.cluster/node-b/tmp"}
	if got := ownMounts(ms, "/src/my clone"); !slices.Equal(got, want) {
		t.Errorf("with an owner: %q", got)
	}
	// An unknown owner must not turn into "everything below /.cluster".
	if got := ownMounts(ms, ""); !slices.Equal(got, want[:2]) {
		t.Errorf("without an owner: %q", got)
	}
}

func TestShimSocket(t *testing.T) {
	for in, want := range map[string]string{
		"unix:///run/containerd/s/0123abcd":                                          "/run/containerd/s/0123abcd",
		`{"version":3,"address":"unix:///run/containerd/s/ffff","protocol":"ttrpc"}`: "/run/containerd/s/ffff",
		"unix:///etc/passwd":                        "",
		"unix:///run/containerd/s/../../etc/passwd": "",
		"/run/containerd/s/0123abcd":                "",
		"":                                          "",
		"{}":                                        "",
	} {
		path, ok := shimSocket([]byte(in))
		if ok != (want != "") || ok && path != want {
			t.Errorf("%q: %q, %v", in, path, ok)
		}
	}
}

func TestLastLines(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc"},
		{"a\nb\nc", 9, "a\nb\nc"},
		{"a\n", 1, "a"},
		{"", 3, ""},
		{"\n\n", 1, ""},
	} {
		if got := string(lastLines([]byte(c.in), c.n)); got != c.want {
			t.Errorf("lastLines(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}
