package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// What the environment takes from a process before it is the probe: a capability, by
// its number, or the freedom from filters.
const (
	withoutCapability = "TEST_WITHOUT_CAPABILITY"
	underFilter       = "TEST_UNDER_FILTER"
)

// restrict does as the environment says, and executes this program anew.
func restrict() {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "restrict:", err)
			os.Exit(3)
		}
	}
	capability, filter := os.Getenv(withoutCapability), os.Getenv(underFilter)
	if capability == "" && filter == "" {
		return
	}
	os.Unsetenv(withoutCapability)
	os.Unsetenv(underFilter)
	runtime.LockOSThread()
	if capability != "" {
		n, err := strconv.Atoi(capability)
		must(err)
		must(unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0))
	}
	if filter != "" {
		allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
		program := unix.SockFprog{Len: 1, Filter: &allow}
		must(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		must(unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
	}
	must(unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// selfOf is what a probe says of itself that runs in an environment.
func selfOf(t *testing.T, change func(*exec.Cmd)) *wire.Self {
	t.Helper()
	cmd := exec.Command(os.Args[0], "collect", "--run", "a", "--self")
	cmd.Env = append(os.Environ(), asProbe+"=1")
	if change != nil {
		change(cmd)
	}
	for _, m := range messagesOf(t, cmd) {
		if self, ok := m.(*wire.Self); ok {
			return self
		}
	}
	t.Fatal("it says nothing of itself")
	return nil
}

// TestSelf has a probe that may do everything read a filter back.
func TestSelf(t *testing.T) {
	kerneltest.New(t).Spend(1, 0)
	self := selfOf(t, nil)
	if self.Unread != nil || self.StoppedNS <= 0 || self.Mode != wire.ModeDisabled || !self.HostPID || !self.HostUsers {
		t.Errorf("%+v, %v", self, self.Unread)
	}
	status, err := exec.Command("awk", "/^CapEff/ { print $2 }", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(status)); fmt.Sprintf("%016x", uint64(self.Effective)) != want {
		t.Errorf("capabilities %016x, want %s", uint64(self.Effective), want)
	}
	// The version is that of what is mounted.
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	want := 2
	if strings.Contains(string(mounts), " cgroup rw") {
		want = 1
	}
	if self.Cgroup != want {
		t.Errorf("cgroup version %d, want %d", self.Cgroup, want)
	}
	if text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); (err == nil) != (self.PtraceScope != nil) ||
		err == nil && strings.TrimSpace(string(text)) != fmt.Sprint(*self.PtraceScope) {
		t.Errorf("ptrace_scope %v; the file: %q, %v", self.PtraceScope, text, err)
	}
	if btf, _ := filepath.Glob("/sys/kernel/btf/vmlinux"); self.BTF != (len(btf) > 0) {
		t.Errorf("BTF %v, files %v", self.BTF, btf)
	}
}

// TestSelfRestricted takes something from the probe each time: reading a filter back
// fails, with the reason.
func TestSelfRestricted(t *testing.T) {
	budget := kerneltest.New(t)
	env := func(text string) func(*exec.Cmd) {
		return func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, text) }
	}
	for name, test := range map[string]struct {
		change       func(*exec.Cmd)
		code, detail string
	}{
		"under a filter":  {env(underFilter + "=1"), wire.CodeProbeConfined, "it runs under seccomp itself"},
		"CAP_SYS_ADMIN":   {env(withoutCapability + "=21"), wire.CodePermission, "it lacks CAP_SYS_ADMIN"},
		"CAP_SYS_PTRACE":  {env(withoutCapability + "=19"), wire.CodePermission, "it lacks CAP_SYS_PTRACE"},
		"user namespace":  {unprivileged, wire.CodePermission, "the kernel does not let filters be read"},
		"its own PID one": {func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID} }, "", ""},
	} {
		budget.Spend(2, 0)
		self := selfOf(t, test.change)
		if test.code == "" {
			// Its /proc is still the machine's, where it does not find itself.
			if self.HostPID {
				t.Errorf("%s: %+v", name, self)
			}
			continue
		}
		if self.Unread == nil || self.Unread.Code != test.code || !strings.HasPrefix(self.Unread.Detail, test.detail) || self.Unread.Remedy == "" {
			t.Errorf("%s: %+v", name, self.Unread)
		}
		if name == "under a filter" && (self.Mode != wire.ModeFilter || self.X32) {
			t.Errorf("%s: %+v", name, self)
		}
	}
}

// unprivileged puts a command into a user namespace of its own, where it has all
// capabilities and none of them counts.
func unprivileged(cmd *exec.Cmd) {
	one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: one, GidMappings: one}
}
