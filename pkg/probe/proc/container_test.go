package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestInit(t *testing.T) {
	const outside = 1
	for _, tt := range []struct {
		name string
		ps   []Process
		want int
	}{
		{"alone", []Process{{PID: 10, PPID: outside, NSPID: 1, Start: 5}}, 10},
		{"with children, PIDs wrapped", []Process{{PID: 4, PPID: 900, NSPID: 7, Start: 6}, {PID: 900, PPID: outside, NSPID: 1, Start: 5}}, 900},
		{"with an exec'd one", []Process{{PID: 20, PPID: outside, NSPID: 30, Start: 9}, {PID: 10, PPID: outside, NSPID: 1, Start: 5}}, 10},
		{"in a shared PID namespace", []Process{{PID: 21, PPID: 20, NSPID: 8, Start: 5}, {PID: 20, PPID: outside, NSPID: 7, Start: 5}, {PID: 22, PPID: outside, NSPID: 9, Start: 6}}, 20},
		{"with a nested PID namespace", []Process{{PID: 11, PPID: 10, NSPID: 1, Start: 5}, {PID: 10, PPID: outside, NSPID: 1, Start: 5}}, 10},
		{"exec'd in the same tick", []Process{{PID: 8, PPID: outside, NSPID: 2, Start: 5}, {PID: 10, PPID: outside, NSPID: 1, Start: 5}}, 10},
		{"with no parent outside", []Process{{PID: 11, PPID: 10, Start: 6}, {PID: 10, PPID: 11, Start: 5}}, 10},
	} {
		if got := tt.ps[Init(tt.ps)].PID; got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// fakeProc makes a /proc of files.
func fakeProc(t *testing.T, files map[string]string) FS {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return FS(root)
}

func fakeStat(pid, ppid, start int) string {
	return fmt.Sprintf("%d (a) b) S %d 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 9 9\n", pid, ppid, start)
}

func fakeStatus(nspid string) string {
	return "Name:\ta\nState:\tS (sleeping)\nNSpid:\t" + nspid + "\nSeccomp:\t0\n"
}

// TestContainers walks a /proc in which processes are gone, or half gone, or
// unreadable.
func TestContainers(t *testing.T) {
	fsys := fakeProc(t, map[string]string{
		"1/cgroup":     "0::/init.scope\n",
		"self":         "",
		"10/cgroup":    "0::/kubepods/pod1/" + string(idA) + "\n",
		"10/stat":      fakeStat(10, 1, 500),
		"10/status":    fakeStatus("10\t1"),
		"11/cgroup":    "0::/kubepods/pod1/" + string(idA) + "/nested\n",
		"11/stat":      fakeStat(11, 10, 501),
		"11/status":    fakeStatus("11\t7"),
		"12/cgroup":    "0::/kubepods/pod1/" + string(idA) + "\n", // its stat is gone
		"13/comm":      "",                                        // its cgroup is gone
		"14/cgroup":    "0::/kubepods/pod1/" + string(idA) + "\n",
		"14/stat":      "14 (x) S\n",
		"15/cgroup/no": "", // cannot be read
		"16/cgroup":    "0::/kubepods/pod2/" + string(idB) + "\n",
	})
	got, err := fsys.Containers(t.Context(), []ContainerID{idA, ContainerID(strings.Repeat("9", 64))})
	if err != nil {
		t.Fatal(err)
	}
	want := map[ContainerID][]Process{
		idA:                                  {{PID: 10, PPID: 1, NSPID: 1, Start: 500}, {PID: 11, PPID: 10, NSPID: 7, Start: 501}},
		ContainerID(strings.Repeat("9", 64)): nil,
	}
	for _, ps := range got {
		sortByPID(ps)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
