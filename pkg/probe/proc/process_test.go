package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
		"11/stat":      strings.TrimSuffix(fakeStat(11, 10, 501), "\n") + " 0 0 0 4286578688 0\n",
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
		idA:                                  {{PID: 10, PPID: 1, NSPID: 1, Start: 500, Comm: "a) b"}, {PID: 11, PPID: 10, NSPID: 7, Start: 501, Comm: "a) b", Low: true}},
		ContainerID(strings.Repeat("9", 64)): nil,
	}
	for _, ps := range got {
		sortByPID(ps)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestConfined has a container with one filtered process of two, one with none,
// a process whose only filtered thread is not its main one, and one without any.
func TestConfined(t *testing.T) {
	a, b := "0::/kubepods/pod1/"+string(idA)+"\n", "0::/kubepods/pod1/"+string(idB)+"\n"
	filtered := strings.Replace(fakeStatus("1"), "Seccomp:\t0", "Seccomp:\t2", 1)
	files := map[string]string{"1/cgroup": "0::/init.scope\n"}
	for pid, cgroup := range map[string]string{"1": "0::/init.scope\n", "10": a, "11": a, "12": b, "20": "0::/user.slice\n", "21": "0::/user.slice\n"} {
		files[pid+"/cgroup"] = cgroup
		files[pid+"/stat"] = pid + " (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 500 9 9\n"
		files[pid+"/status"] = fakeStatus("1")
		files[pid+"/task/"+pid+"/status"] = fakeStatus("1")
	}
	files["11/status"] = filtered
	files["20/task/22/status"] = filtered
	fsys := fakeProc(t, files)
	got, err := fsys.Confined(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, ps := range got {
		sortByPID(ps)
	}
	process := func(pid int) Process { return Process{PID: pid, PPID: 1, NSPID: 1, Start: 500, Comm: "x"} }
	want := map[ContainerID][]Process{idA: {process(10), process(11)}, "": {process(20)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestArguments(t *testing.T) {
	fsys := fakeProc(t, map[string]string{"1/cmdline": "/probe\x00reference\x000\x00", "2/cmdline": "", "3/cmdline": "a title", "4/cmdline": "x\x00\x00"})
	for pid, want := range map[int][]string{1: {"/probe", "reference", "0"}, 2: nil, 3: {"a title"}, 4: {"x", ""}} {
		if got, err := fsys.Arguments(pid); err != nil || !slices.Equal(got, want) {
			t.Errorf("pid %d: %q, %v, want %q", pid, got, err, want)
		}
	}
	if _, err := fsys.Arguments(5); !errors.Is(err, ErrGone) {
		t.Errorf("no such process: %v", err)
	}
}

// TestProcess reads what is no process.
func TestProcess(t *testing.T) {
	fsys := fakeProc(t, map[string]string{"7/stat": fakeStat(7, 1, 5), "7/status": "Tgid:\t6\nNSpid:\t7\nSeccomp:\t0\n"})
	if _, err := fsys.Process(7); !errors.Is(err, ErrNotProcess) || !strings.Contains(err.Error(), "pid 6") {
		t.Errorf("a thread: %v", err)
	}
	if _, err := fsys.Process(8); !errors.Is(err, ErrGone) {
		t.Errorf("none: %v", err)
	}
}
