package proc

import (
	"strings"
	"testing"
)

var (
	idA = ContainerID(strings.Repeat("0123456789abcdef", 4))
	idB = ContainerID(strings.Repeat("fedcba9876543210", 4))
)

func TestParseContainerID(t *testing.T) {
	for _, scheme := range []string{"containerd", "cri-o", "docker"} {
		if id, err := ParseContainerID(scheme + "://" + string(idA)); err != nil || id != idA {
			t.Errorf("%s: %v, %v", scheme, id, err)
		}
	}
	for _, ref := range []string{"", string(idA), "containerd://", "://" + string(idA), "containerd://" + string(idA[1:]), "containerd://" + string(idA) + "0",
		"containerd://" + strings.ToUpper(string(idA)), "containerd://" + strings.Repeat("../", 21) + "x"} {
		if id, err := ParseContainerID(ref); err == nil {
			t.Errorf("%q is taken for %v", ref, id)
		}
	}
}

// The files are as kubelets, runtimes and their cgroup drivers make them; A and B
// stand for IDs.
func TestContainerOfCgroup(t *testing.T) {
	const node = "0::/init.scope\n"
	for _, tt := range []struct {
		name, node, text string
		want             ContainerID
	}{
		{"v2, systemd, containerd", node,
			"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b.slice/cri-containerd-A.scope\n", idA},
		{"v2, systemd, CRI-O", node,
			"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0a1b.slice/crio-A.scope\n", idA},
		{"v2, systemd, CRI-O with crun", node,
			"0::/kubepods.slice/kubepods-pod0a1b.slice/crio-A.scope/container\n", idA},
		{"v2, systemd, Docker", node, "0::/system.slice/docker-A.scope\n", idA},
		{"v2, systemd, cri-dockerd", node, "0::/kubepods.slice/kubepods-pod0a1b.slice/docker-A.scope\n", idA},
		{"v2, systemd, Podman", node, "0::/machine.slice/libpod-A.scope/container\n", idA},
		{"v2, cgroupfs, containerd", node, "0::/kubepods/burstable/pod0a1b/A\n", idA},
		{"v2, cgroupfs, CRI-O", node, "0::/kubepods/besteffort/pod0a1b/crio-A\n", idA},
		{"v2, cgroupfs, Docker", node, "0::/docker/A\n", idA},
		{"v2, seen from a cgroup namespace", "0::/../../../init.scope\n",
			"0::/../../kubepods-burstable-pod0a1b.slice/cri-containerd-A.scope\n", idA},
		{"v1, cgroupfs", "12:memory:/\n1:name=systemd:/\n",
			"12:memory:/kubepods/burstable/pod0a1b/A\n11:cpu,cpuacct:/kubepods/burstable/pod0a1b/A\n1:name=systemd:/kubepods/burstable/pod0a1b/A\n", idA},
		{"v1, systemd", "12:memory:/init.scope\n",
			"12:memory:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b.slice/cri-containerd-A.scope\n1:name=systemd:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b.slice/cri-containerd-A.scope\n", idA},
		{"v1, systemd's notation on cgroupfs", "1:name=systemd:/\n",
			"1:name=systemd:/system.slice/containerd.service/kubepods-burstable-pod0a1b.slice:cri-containerd:A\n", idA},
		{"hybrid, v2 unused", "4:memory:/\n0::/\n", "4:memory:/kubepods/pod0a1b/A\n0::/\n", idA},
		{"hybrid, v2 in the service", "4:memory:/\n0::/\n", "4:memory:/kubepods/pod0a1b/A\n0::/system.slice/containerd.service\n", idA},

		{"kind, v1: the node is a container", "4:memory:/docker/B\n", "4:memory:/docker/B/kubelet/kubepods/pod0a1b/A\n", idA},
		{"kind, v2", "0::/docker/B/init.scope\n", "0::/docker/B/kubelet.slice/kubelet-kubepods.slice/cri-containerd-A.scope\n", idA},
		{"kind: the node's own process", "4:memory:/docker/B\n", "4:memory:/docker/B\n", ""},

		{"a container in a container", node, "0::/kubepods/pod0a1b/A/docker/B\n", idA},
		{"a cgroup in another's name", node, "0::/kubepods/pod0a1b/A/cri-containerd-B.scope\n", idA},
		{"hierarchies that disagree", "2:cpu:/\n", "4:memory:/kubepods/pod0a1b/A\n2:cpu:/kubepods/pod0a1b/B\n", ""},
		{"CRI-O's monitor", node, "0::/kubepods.slice/kubepods-pod0a1b.slice/crio-conmon-A.scope\n", ""},
		{"the pod", node, "0::/kubepods.slice/kubepods-pod0a1b.slice\n", ""},
		{"a kernel thread", node, "0::/\n", ""},
		{"part of a name", node, "0::/user.slice/xA\n", ""},
		{"part of a name, behind", node, "0::/user.slice/cri-containerd-A.scope.d\n", ""},
		{"another's scope", node, "0::/user.slice/evil-A.scope\n", ""},
		{"colons of somebody's", node, "0::/user.slice/a:evil:A\n", ""},
		{"too long", node, "0::/kubepods/pod0a1b/A0\n", ""},
		{"nothing", node, "", ""},
		{"rubbish", node, ":::::\n\x00\n/A", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ids := strings.NewReplacer("A", string(idA), "B", string(idB))
			got := parseCgroup([]byte(ids.Replace(tt.text))).container(parseCgroup([]byte(ids.Replace(tt.node))))
			if got != tt.want {
				t.Errorf("container %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add([]byte("0::/kubepods/pod0a1b/" + string(idA) + "/" + string(idB)))
	f.Add([]byte("4:memory:/system.slice/x:cri-containerd:" + string(idA) + "\n0::/\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		id := parseCgroup(text).container(parseCgroup([]byte("0::/init.scope\n")))
		if id != "" && (!isID(string(id)) || !strings.Contains(string(text), string(id))) {
			t.Errorf("container %q", id)
		}
	})
}
