//go:build linux

package profile

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestLive has runc and crun start a container with each profile of testdata/live,
// as the container runtime would hand it to them, and reads the filter back.
func TestLive(t *testing.T) {
	pause := compilePause(t)
	kernel := runningKernel(t)
	budget := kerneltest.New(t)
	libseccomp := newSCMP(t)
	for _, c := range []struct {
		file    string
		runtime Runtime
		caps    []string
	}{
		{"docker.json", DockerEngine, nil},
		{"common.json", CRIO, nil},
		{"arguments.json", Containerd, nil},
		{"native.json", Containerd, nil},
		{"deny.json", CRIO, nil},
		{"docker.json", DockerEngine, []string{"CAP_SYS_ADMIN", "CAP_BPF"}},
	} {
		for _, oci := range []OCIRuntime{installedRunc(t), Crun} {
			t.Run(fmt.Sprintf("%s/%s/%s/%d", c.file, c.runtime, oci, len(c.caps)), func(t *testing.T) {
				data, err := os.ReadFile(filepath.Join("testdata", "live", c.file))
				if err != nil {
					t.Fatal(err)
				}
				p, err := Parse(data)
				if err != nil {
					t.Fatal(err)
				}
				target := Target{Runtime: c.runtime, OCIRuntime: oci, Arch: "amd64", Kernel: kernel, Capabilities: c.caps, Known: libseccomp.known}
				loaded, err := p.Load(target)
				if err != nil {
					t.Fatal(err)
				}
				read, err := p.read(target)
				if err != nil {
					t.Fatal(err)
				}
				budget.Spend(1, 0)
				live := liveFilter(t, oci, pause, read.LinuxSeccomp)
				diff := differences(t, policyOf(t, loaded.Filter), policyOf(t, live), "amd64")
				if diff == "" {
					return
				}
				for _, d := range loaded.Dependent {
					t.Logf("depends on the compiler: %v", d)
				}
				t.Errorf("Load -> container: %s", diff)
			})
		}
	}
}

// TestFromPolicyLive has runc and crun start a container, writes a profile for the
// filter that is read back, and has them start one with that.
func TestFromPolicyLive(t *testing.T) {
	budget := kerneltest.New(t)
	libseccomp := newSCMP(t)
	pause := compilePause(t)
	for _, c := range []struct {
		file    string
		runtime Runtime
	}{
		{"../../hack/demo/demo-web.json", Containerd},
		{"testdata/live/docker.json", DockerEngine},
		{"testdata/live/deny.json", CRIO},
	} {
		for _, oci := range []OCIRuntime{installedRunc(t), Crun} {
			t.Run(fmt.Sprintf("%s/%s", filepath.Base(c.file), oci), func(t *testing.T) {
				data, err := os.ReadFile(c.file)
				if err != nil {
					t.Fatal(err)
				}
				p, err := Parse(data)
				if err != nil {
					t.Fatal(err)
				}
				target := Target{Runtime: c.runtime, OCIRuntime: oci, Arch: "amd64", Kernel: runningKernel(t), Known: libseccomp.known}
				read, err := p.read(target)
				if err != nil {
					t.Fatal(err)
				}
				budget.Spend(2, 0)
				want := policyOf(t, liveFilter(t, oci, pause, read.LinuxSeccomp))
				l, err := FromPolicy(want, target)
				if err != nil {
					t.Fatal(err)
				}
				got := policyOf(t, liveFilter(t, oci, pause, *l))
				if diff := differences(t, want, got, "amd64"); diff != "" {
					t.Errorf("container -> container with the generated profile: %s\n%s", diff, l.JSON())
				}
			})
		}
	}
}

// compilePause returns the program that containers run.
func compilePause(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Fatal("the profiles of this test are for amd64")
	}
	if os.Getuid() != 0 {
		t.Fatal("this test starts containers and reads their filters: run it as root")
	}
	pause := filepath.Join(t.TempDir(), "pause")
	if out, err := exec.Command("gcc", "-O1", "-Wall", "-static", "-nostdlib", "-o", pause, filepath.Join("testdata", "pause.c")).CombinedOutput(); err != nil {
		t.Fatalf("compile pause.c: %v\n%s", err, out)
	}
	return pause
}

// installedRunc tells which of its behaviours the installed runc has.
func installedRunc(t *testing.T) OCIRuntime {
	t.Helper()
	out, err := exec.Command("runc", "--version").Output()
	if err != nil {
		t.Fatalf("this test runs runc (apt-get install runc crun): %v", err)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(string(out), "runc version %d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatalf("runc --version says %q: %v", out, err)
	}
	if major == 1 && (minor < 1 || minor == 1 && patch < 15) {
		return OldRunc
	}
	return Runc
}

func runningKernel(t *testing.T) Kernel {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	k, err := ParseKernel(unix.ByteSliceToString(u.Release[:]))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// liveFilter runs a container with a profile and returns its one filter.
func liveFilter(t *testing.T, oci OCIRuntime, program string, profile LinuxSeccomp) bpf.Filter {
	t.Helper()
	path, err := exec.LookPath(oci.String())
	if err != nil {
		t.Fatalf("this test runs %s (apt-get install runc crun): %v", oci, err)
	}
	bundle := t.TempDir()
	if profile.ListenerPath != "" {
		profile.ListenerPath = filepath.Join(bundle, "listener")
		listen(t, profile.ListenerPath)
	}
	writeBundle(t, bundle, program, &profile)

	id := fmt.Sprintf("profile-test-%d", os.Getpid())
	state, pidFile, log := filepath.Join(bundle, "state"), filepath.Join(bundle, "pid"), filepath.Join(bundle, "log")
	output, err := os.Create(filepath.Join(bundle, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	// The container inherits the output, so that must be a file: a pipe would be
	// waited for.
	command := func(args ...string) *exec.Cmd {
		args = append([]string{path, "--root", state, "--log", log}, args...)
		if oci == Crun {
			// Older ones refuse to start where a v2 cgroup hierarchy lies beside
			// those of v1, so that is hidden from it.
			args = append([]string{"unshare", "--mount", "sh", "-c", `if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi; exec "$@"`, "sh"}, args...)
		}
		return exec.Command(args[0], args[1:]...)
	}
	run := command("run", "--detach", "--bundle", bundle, "--pid-file", pidFile, id)
	run.Stdout, run.Stderr = output, output
	err = run.Run()
	defer func() {
		if out, err := command("delete", "--force", id).CombinedOutput(); err != nil {
			t.Errorf("delete container: %v: %s", err, out)
		}
	}()
	if err != nil {
		text, _ := os.ReadFile(output.Name())
		logged, _ := os.ReadFile(log)
		t.Fatalf("run container: %v: %s %s", err, text, logged)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return readFilter(t, pid, program)
}

// readFilter copies the filter of a process as soon as it runs the program.
func readFilter(t *testing.T, pid int, program string) bpf.Filter {
	t.Helper()
	want := filepath.Base(program)
	// runc reports a container as soon as it is about to exec, and there is no event
	// for when it has.
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		thread, err := proc.Host.Thread(pid, pid)
		if err != nil {
			t.Fatal(err)
		}
		if thread.Comm == want {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still %q", pid, thread.Comm)
		}
	}
	thread, err := proc.Host.Thread(pid, pid)
	if err != nil {
		t.Fatal(err)
	}
	tracer, err := ptrace.New(proc.Host, 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer tracer.Close()
	reading, err := tracer.Read(t.Context(), thread)
	if err != nil {
		t.Fatal(err)
	}
	if len(reading.Filters) != 1 {
		t.Fatalf("the container has %d filters", len(reading.Filters))
	}
	f, err := bpf.Decode(reading.Filters[0], syscalls.AMD64.ByteOrder())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// listen is a seccomp agent that takes a listener and never answers.
func listen(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buffer := make([]byte, 4096)
				for {
					if _, err := c.Read(buffer); err != nil {
						return
					}
				}
			}()
		}
	}()
}

// writeBundle writes an OCI bundle of one static program.
func writeBundle(t *testing.T, dir, program string, profile *LinuxSeccomp) {
	t.Helper()
	rootfs := filepath.Join(dir, "rootfs")
	for _, dir := range []string{"proc", "dev"} {
		if err := os.MkdirAll(filepath.Join(rootfs, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(program)
	if err := os.WriteFile(filepath.Join(rootfs, name), text, 0o755); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	config, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"process": object{
			"user": object{"uid": 0, "gid": 0}, "args": []string{"/" + name}, "cwd": "/",
			"env": []string{"PATH=/"}, "noNewPrivileges": true,
		},
		"root": object{"path": "rootfs", "readonly": true},
		"mounts": []object{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
		},
		"linux": object{
			"namespaces": []object{{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "network"}},
			"seccomp":    profile,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), config, 0o644); err != nil {
		t.Fatal(err)
	}
}
