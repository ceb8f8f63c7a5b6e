//go:build e2e

package docker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An engine is a Docker daemon of the test's own: with its own folders, socket and
// containerd, without a network, and gone with the test.
type engine struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	log *bytes.Buffer // complete when the daemon has ended
}

// Within these the daemon is ready, and has ended.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
)

// startEngine runs dockerd, of Debian's docker.io, until its API is there.
func startEngine(t *testing.T) *engine {
	t.Helper()
	// Not t.TempDir: the path of a socket is short.
	dir, err := os.MkdirTemp("", "docker")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, dir: dir, log: new(bytes.Buffer)}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	config := fmt.Sprintf(`{"deprecated-key-path": %q}`, e.path("key.json")) // or else below /etc
	if err := os.WriteFile(e.path("daemon.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cgroups := cgroupFolders(t)
	e.cmd = exec.Command("dockerd", "--config-file", e.path("daemon.json"), "--data-root", e.path("data"), "--exec-root", e.path("exec"),
		"--host", e.host(), "--pidfile", e.path("pid"), "--storage-driver=vfs",
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
	// The daemon ends with this thread, should the test be killed.
	runtime.LockOSThread()
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	stderr, err := e.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatalf("start the Docker daemon, of Debian's docker.io: %v", err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stderr)
		for listening := false; lines.Scan(); {
			e.log.Write(append(lines.Bytes(), '\n'))
			if !listening && strings.Contains(lines.Text(), "API listen on") {
				listening = true
				close(ready)
			}
		}
	}()
	t.Cleanup(func() { e.stop(ended, cgroups) })
	select {
	case <-ready:
	case <-ended:
		t.Fatalf("the Docker daemon has ended:\n%s", e.log)
	case <-time.After(startTimeout):
		t.Fatalf("the Docker daemon is not ready after %v", startTimeout)
	}
	return e
}

func (e *engine) path(name string) string { return filepath.Join(e.dir, name) }

func (e *engine) host() string { return "unix://" + e.path("s") }

// env is the environment of Docker's client and of the plugin.
func (e *engine) env() []string {
	return append(os.Environ(), "DOCKER_HOST="+e.host(), "DOCKER_CONFIG="+e.dir)
}

// stop ends the daemon and checks that nothing is left of it.
func (e *engine) stop(ended <-chan struct{}, cgroups []string) {
	e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(stopTimeout):
		e.t.Errorf("the Docker daemon does not end within %v of SIGTERM", stopTimeout)
		e.cmd.Process.Kill()
		<-ended
	}
	if err := e.cmd.Wait(); err != nil {
		e.t.Errorf("the Docker daemon: %v\n%s", err, e.log)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), e.dir) {
		e.t.Errorf("mounts are left: %v\n%s", err, mounts)
	}
	for _, pid := range e.processes() {
		e.t.Errorf("process %s is left", pid)
	}
	// The daemon leaves the parents of its containers' cgroups behind.
	for _, folder := range cgroups {
		if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			e.t.Error(err)
		}
	}
}

// processes are those with the engine's folder in their command line.
func (e *engine) processes() (list []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range all {
		if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), e.dir) {
			list = append(list, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return list
}

// cgroupFolders are those that the daemon will make in each hierarchy.
func cgroupFolders(t *testing.T) (list []string) {
	t.Helper()
	const name = "docker"
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[2] == "cgroup" || f[2] == "cgroup2" {
			folder := filepath.Join(f[1], name)
			if _, err := os.Stat(folder); err == nil {
				continue // another daemon's
			}
			list = append(list, folder)
		}
	}
	return list
}

// docker runs Docker's client and returns what it prints.
func (e *engine) docker(args ...string) string {
	e.t.Helper()
	cmd := exec.Command("docker", args...)
	cmd.Env = e.env()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		e.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// run starts a container of the workload's image and waits until it says that it is
// ready. It is removed at the end of the test.
func (e *engine) run(name string, options ...string) {
	e.t.Helper()
	args := append([]string{"run", "--detach", "--name", name, "--network", "none"}, options...)
	e.docker(append(args, image, "/workload", "sleep")...)
	e.t.Cleanup(func() { e.docker("rm", "--force", name) })
	logs := exec.Command("docker", "logs", "--follow", name)
	logs.Env = e.env()
	out, err := logs.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := logs.Start(); err != nil {
		e.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	logs.Process.Kill()
	logs.Wait()
	if line != "ready\n" {
		e.t.Fatalf("container %s says %q, %v", name, line, err)
	}
}
