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

		// Every quality of service class, under both drivers.
		{"v2, systemd, guaranteed", node, "0::/kubepods.slice/kubepods-pod0a1b_2c3d.slice/cri-containerd-A.scope\n", idA},
		{"v2, systemd, besteffort", node, "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0a1b_2c3d.slice/cri-containerd-A.scope\n", idA},
		{"v2, cgroupfs, guaranteed", node, "0::/kubepods/pod0a1b-2c3d/A\n", idA},
		{"v2, cgroupfs, besteffort", node, "0::/kubepods/besteffort/pod0a1b-2c3d/A\n", idA},
		{"v1, systemd, CRI-O", "1:name=systemd:/init.scope\n",
			"12:memory:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b.slice/crio-A.scope\n1:name=systemd:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b.slice/crio-A.scope\n", idA},
		{"v1, cri-dockerd on cgroupfs", "1:name=systemd:/init.scope\n", "12:memory:/kubepods/burstable/pod0a1b/A\n1:name=systemd:/kubepods/burstable/pod0a1b/A\n", idA},
		{"v1, cri-dockerd on systemd", "1:name=systemd:/init.scope\n", "12:memory:/kubepods.slice/kubepods-pod0a1b.slice/docker-A.scope\n", idA},
		{"v1, one hierarchy at its root", "12:memory:/\n", "12:memory:/kubepods/pod0a1b/A\n11:rdma:/\n0::/\n", idA},
		{"hybrid, in both", "4:memory:/init.scope\n0::/init.scope\n", "4:memory:/kubepods.slice/kubepods-pod0a1b.slice/cri-containerd-A.scope\n0::/kubepods.slice/kubepods-pod0a1b.slice/cri-containerd-A.scope\n", idA},
		{"hybrid, systemd only in v2", "4:memory:/\n0::/init.scope\n", "4:memory:/\n0::/kubepods.slice/kubepods-pod0a1b.slice/cri-containerd-A.scope\n", idA},
		{"kubelet's own cgroup root", node, "0::/nodes/node-a/kubepods/besteffort/pod0a1b/A\n", idA},
		{"k3s", node, "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0a1b.slice/cri-containerd-A.scope\n", idA},
		{"k3s, v1 on cgroupfs", "4:memory:/\n", "4:memory:/kubepods/besteffort/pod0a1b/A\n1:name=systemd:/kubepods/besteffort/pod0a1b/A\n", idA},
		{"k3s, rootless", node, "0::/user.slice/user-1000.slice/user@1000.service/app.slice/k3s-rootless.service/kubepods/pod0a1b/A\n", idA},
		{"k3s in Docker (k3d)", "0::/docker/B/init\n", "0::/docker/B/kubepods/besteffort/pod0a1b/A\n", idA},
		{"Docker, v1", "12:memory:/\n", "12:memory:/docker/A\n11:pids:/docker/A\n", idA},
		{"Docker, with a parent", node, "0::/mine.slice/docker-A.scope\n", idA},
		{"Docker, rootless", node, "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-A.scope\n", idA},
		{"nerdctl, rootless", node, "0::/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-A.scope\n", idA},
		{"Podman, rootless", node, "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-A.scope/container\n", idA},
		{"Podman, cgroupfs", node, "0::/libpod_parent/libpod-A\n", idA},
		{"Podman, a pod's", node, "0::/machine.slice/machine-libpod_pod_B.slice/libpod-A.scope\n", idA},
		{"Podman, a pod's on cgroupfs", node, "0::/libpod_parent/B/libpod-A\n", idA},
		{"Podman's monitor", node, "0::/machine.slice/libpod-conmon-A.scope\n", ""},
		{"CRI-O's monitor on cgroupfs", node, "0::/kubepods/besteffort/pod0a1b/crio-conmon-A\n", ""},
		{"Kata's processes", node, "0::/kata_overhead/B\n", ""},
		{"Kata's processes in the pod", node, "0::/kubepods/pod0a1b/kata_B\n", ""},
		{"the probe itself in a cgroup namespace", "0::/../../../../init.scope\n", "0::/\n", ""},
		{"the container beside it", "0::/../../../../init.scope\n", "0::/../cri-containerd-A.scope\n", idA},
		{"the container beside it on cgroupfs", "0::/../../../..\n", "0::/../A\n", idA},
		{"a service, seen from there", "0::/../../../../init.scope\n", "0::/../../../../system.slice/containerd.service\n", ""},

		{"kind, v1: the node is a container", "4:memory:/docker/B\n", "4:memory:/docker/B/kubelet/kubepods/pod0a1b/A\n", idA},
		{"kind, v2", "0::/docker/B/init.scope\n", "0::/docker/B/kubelet.slice/kubelet-kubepods.slice/cri-containerd-A.scope\n", idA},
		{"kind, v2 seen from a cgroup namespace of a pod", "0::/../../../../init.scope\n",
			"0::/../../kubelet-kubepods-besteffort-pod0a1b.slice/cri-containerd-A.scope\n", idA},
		{"kind, v2 in a cgroup namespace of its own", node, "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod0a1b.slice/cri-containerd-A.scope\n", idA},
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

func TestPod(t *testing.T) {
	for text, want := range map[string]bool{
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-A.scope\n": true,
		"4:memory:/kubepods/besteffort/pod1/A\n":                          true,
		"0::/kubelet.slice/kubelet-kubepods.slice/x\n":                    true,
		"0::/docker/A\n":                     false, // such as kubelet in a container
		"0::/system.slice/kubelet.service\n": false,
		"1:name=systemd:/system.slice/containerd.service/kubepods-pod1.slice:cri\n": true,
		"": false,
	} {
		if got := parseCgroup([]byte(text)).pod(parseCgroup([]byte("0::/init.scope\n"))); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	// The node itself may be a pod, as with a kind cluster in a pod.
	node := parseCgroup([]byte("0::/kubepods/pod1/A/init.scope\n"))
	if parseCgroup([]byte("0::/kubepods/pod1/A/system.slice/kubelet.service\n")).pod(node) {
		t.Error("what is beside a node's first process is in a pod")
	}
}

// TestPodBeside has pods as they are seen from another pod's cgroup namespace.
func TestPodBeside(t *testing.T) {
	const uid, static = "a56d6197-ccaf-4b6b-bfbd-909dae8e49ef", "0123456789abcdef0123456789abcdef"
	const node, nodeFromPod = "/init.scope", "/../../../../init.scope"
	for _, tt := range []struct {
		node, path string
		want       bool
	}{
		{node, "/kubepods/burstable/pod" + uid + "/A", true},
		{nodeFromPod, "/../../pod" + uid + "/A", true},
		{nodeFromPod, "/../../pod" + static + "/A", true},
		{nodeFromPod, "/../../../besteffort/pod" + uid + "/A", true},
		{nodeFromPod, "/../../kubepods-burstable-pod0a1b.slice/cri-containerd-A.scope", true},
		{nodeFromPod, "/../../../../system.slice/kubelet.service", false},
		{node, "/podman.slice", false},
		{node, "/pod" + uid + "0", false},
	} {
		expand := func(path string) membership {
			return parseCgroup([]byte("0::" + strings.ReplaceAll(path, "A", string(idA)) + "\n"))
		}
		if got := expand(tt.path).pod(expand(tt.node)); got != tt.want {
			t.Errorf("%s, where the node's first process is in %s: %v", tt.path, tt.node, got)
		}
	}
}
