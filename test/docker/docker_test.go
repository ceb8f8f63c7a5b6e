//go:build e2e

// Package docker tests the plugin against a real Docker, without a cluster.
package docker

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

const image = "workload:test"

// own is a profile that has what only Docker's have: rules that depend on
// capabilities, the architecture and the kernel.
const own = `{
 "defaultAction": "SCMP_ACT_ALLOW",
 "archMap": [
  {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
  {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}
 ],
 "syscalls": [
  {"names": ["ptrace", "process_vm_readv"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_PTRACE"]}},
  {"names": ["process_vm_writev"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "includes": {"caps": ["CAP_SYS_PTRACE"]}},
  {"names": ["keyctl", "add_key", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
  {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]},
  {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 268435456, "valueTwo": 268435456, "op": "SCMP_CMP_MASKED_EQ"}]},
  {"names": ["bpf"], "action": "SCMP_ACT_KILL_PROCESS", "includes": {"minKernel": "4.8"}},
  {"names": ["perf_event_open"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "99.0"}},
  {"names": ["mount"], "action": "SCMP_ACT_LOG", "includes": {"arches": ["amd64", "arm64"]}},
  {"names": ["umount2"], "action": "SCMP_ACT_LOG", "includes": {"arches": ["s390x"]}}
 ]
}
`

// TestDocker runs one daemon for everything, and four containers.
func TestDocker(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test runs a Docker daemon and reads the filters of its containers: run it as root")
	}
	binaries := build(t)
	kerneltest.New(t).Spend(4, 0)
	e := startEngine(t)
	importImage(t, e, filepath.Join(binaries, "workload"))
	file := filepath.Join(t.TempDir(), "own.json")
	if err := os.WriteFile(file, []byte(own), 0o644); err != nil {
		t.Fatal(err)
	}
	e.run("web")
	e.run("bare", "--security-opt", "seccomp=unconfined")
	e.run("own", "--security-opt", "seccomp="+file)
	e.run("own-ptrace", "--security-opt", "seccomp="+file, "--cap-add", "SYS_PTRACE")

	p := plugin{t, filepath.Join(binaries, "kubectl-seccomp"), e, nil}
	t.Run("dump", p.with(testDump))
	t.Run("diff", p.with(testDiff))
	t.Run("profile", p.with(func(t *testing.T, p plugin) { testProfile(t, p, file) }))
	t.Run("errors", p.with(testErrors))
	t.Run("paused", p.with(testPaused))
}

// build compiles the plugin and the workload into a folder.
func build(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker-build")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// For whoever the plugin is run as.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", dir, "./cmd/kubectl-seccomp", "./images/workload")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return dir
}

// importImage makes an image of one program.
func importImage(t *testing.T, e *engine, program string) {
	t.Helper()
	raw, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "workload", Mode: 0o755, Size: int64(len(raw))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := e.path("image.tar")
	if err := os.WriteFile(file, layer.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	e.docker("import", file, image)
}

// plugin runs the plugin, as another user if there are credentials.
type plugin struct {
	t *testing.T
	string
	*engine
	as *syscall.Credential
}

func (p plugin) with(test func(*testing.T, plugin)) func(*testing.T) {
	return func(t *testing.T) {
		p.t = t
		test(t, p)
	}
}

func (p plugin) run(args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	cmd := exec.Command(p.string, args...)
	cmd.Env = append(p.env(), "KUBECONFIG=/dev/null", "COLUMNS=100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		p.t.Fatal(err)
	}
	const shown = 2 << 10
	text := out.String()
	if len(text) > shown {
		text = text[:shown] + "…\n"
	}
	p.t.Logf("$ kubectl-seccomp %s\n%s%s(exit code %d)", strings.Join(args, " "), text, errOut.String(), cmd.ProcessState.ExitCode())
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// pid is what Docker says of a container's first process.
func (p plugin) pid(name string) int {
	p.t.Helper()
	pid, err := strconv.Atoi(p.docker("inspect", "--format", "{{.State.Pid}}", name))
	if err != nil || pid == 0 {
		p.t.Fatalf("pid of %s: %d, %v", name, pid, err)
	}
	return pid
}

func testDump(t *testing.T, p plugin) {
	code, stdout, stderr := p.run("dump", "docker:web", "-o", "json")
	if code != 0 {
		t.Fatal(stderr)
	}
	var dump v1alpha1.Dump
	if err := json.Unmarshal([]byte(stdout), &dump); err != nil {
		t.Fatal(err)
	}
	var uts syscall.Utsname
	if err := syscall.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	release := ""
	for _, c := range uts.Release {
		if c == 0 {
			break
		}
		release += string(rune(c))
	}
	want := v1alpha1.Source{
		Operand: "docker:web", ContainerID: "docker://" + p.docker("inspect", "--format", "{{.Id}}", "web"), Image: image,
		Kernel: release, Arch: runtime.GOARCH, ABIs: dump.Source.ABIs, PID: p.pid("web"), Comm: "workload",
	}
	if fmt.Sprint(dump.Source) != fmt.Sprint(want) {
		t.Errorf("source is %+v\nwant %+v", dump.Source, want)
	}
	if s := dump.States[0]; s.Mode != "filter" || s.FilterCount != 1 || len(s.Filters) != 1 || s.Instructions < 100 {
		t.Errorf("state is %+v", s.Confinement)
	}
	// What is saved is what it was, under whichever name.
	saved := filepath.Join(t.TempDir(), "web.json")
	if err := os.WriteFile(saved, []byte(stdout), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, same := range []string{saved, "docker:" + want.ContainerID[len("docker://"):][:12], fmt.Sprintf("pid:%d", want.PID)} {
		if code, _, stderr := p.run("diff", same, "docker:web"); code != 0 {
			t.Errorf("diff %s docker:web: exit code %d: %s", same, code, stderr)
		}
	}
}

// diff returns how two sources stand to each other.
func (p plugin) diff(args ...string) v1alpha1.Diff {
	p.t.Helper()
	code, stdout, stderr := p.run(append([]string{"diff", "-o", "json"}, args...)...)
	if code > 1 {
		p.t.Fatal(stderr)
	}
	var d v1alpha1.Diff
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		p.t.Fatal(err)
	}
	if (d.Relation == v1alpha1.Identical) != (code == 0) {
		p.t.Errorf("relation is %s, exit code %d", d.Relation, code)
	}
	return d
}

func testDiff(t *testing.T, p plugin) {
	p.run("diff", "docker:web", "docker:bare") // for the log
	d := p.diff("docker:web", "docker:bare")
	if d.Relation != v1alpha1.Looser || d.A.Mode != "filter" || d.B.Mode != "disabled" {
		t.Errorf("diff docker:web docker:bare: %s, %s and %s", d.Relation, d.A.Mode, d.B.Mode)
	}
	if d := p.diff("Unconfined", "docker:bare"); d.Relation != v1alpha1.Identical {
		t.Errorf("diff Unconfined docker:bare: %s", d.Relation)
	}
	// Docker's own documentation has these among what its default denies.
	denied := make(map[string]bool)
	for _, difference := range p.diff("docker:bare", "docker:web", "--reduce").Differences {
		if difference.Condition == "" && difference.Direction == v1alpha1.DirectionTighter {
			denied[difference.Syscall] = true
		}
	}
	for _, name := range []string{"mount", "umount2", "bpf", "add_key", "keyctl", "kexec_load", "init_module", "pivot_root", "perf_event_open", "setns", "unshare", "reboot", "swapon"} {
		if !denied[name] {
			t.Errorf("%s is not among what docker:web denies", name)
		}
	}
}

// testProfile holds what Docker made of a profile against what is said of it.
func testProfile(t *testing.T, p plugin, file string) {
	for _, container := range []string{"own", "own-ptrace"} {
		if d := p.diff("profile:"+file, "docker:"+container, "--runtime", "docker"); d.Relation != v1alpha1.Identical || d.A.Reader != "Docker with runc" {
			t.Errorf("diff profile docker:%s: %s, read as by %s", container, d.Relation, d.A.Reader)
		}
	}
	// What differs between the two is what the profile has about capabilities.
	got := make(map[string]string)
	for _, d := range p.diff("docker:own", "docker:own-ptrace").Differences {
		if d.ABI == runtime.GOARCH {
			got[d.Syscall] = d.A.Action + d.A.Errno + " " + d.B.Action + d.B.Errno
		}
	}
	want := map[string]string{"ptrace": "ERRNOEPERM ALLOW", "process_vm_readv": "ERRNOEPERM ALLOW", "process_vm_writev": "ALLOW ERRNOEACCES"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("own and own-ptrace differ in %v, want %v", got, want)
	}
	if d := p.diff("profile:"+file, "docker:web", "--runtime", "docker"); d.Relation == v1alpha1.Identical {
		t.Errorf("another container is taken for one with the profile")
	}
}

func testErrors(t *testing.T, p plugin) {
	p.docker("stop", "--time", "0", "bare")
	nobody := p
	nobody.as = &syscall.Credential{Uid: 65534, Gid: 65534}
	for _, c := range []struct {
		plugin
		operand, want string
	}{
		{p, "docker:none", "^error: find docker:none: No such container: none; `docker ps` lists those that run\n$"},
		{p, "docker:bare", `^error: find docker:bare: it does not run \(exited\); .docker start bare. starts it` + "\n$"},
		{nobody, "docker:web", "^error: find docker:web: ask Docker at .*: permission denied; run it as root: `sudo kubectl-seccomp …`\n$"},
		{nobody, fmt.Sprintf("pid:%d", p.pid("web")), "^error: read pid:[0-9]+ on this machine: .*it lacks CAP_SYS_PTRACE and CAP_SYS_ADMIN: run it as root: `sudo kubectl-seccomp …`\n$"},
	} {
		code, stdout, stderr := c.plugin.run("dump", c.operand)
		if code != 2 || stdout != "" || !regexp.MustCompile(c.want).MatchString(stderr) {
			t.Errorf("dump %s: exit code %d, %q, want %q", c.operand, code, stderr, c.want)
		}
	}
}

// testPaused has a container that does not stop where cgroups are of version 1, and
// stops all the same where they are of version 2.
func testPaused(t *testing.T, p plugin) {
	p.docker("pause", "web")
	code, _, stderr := p.run("dump", "docker:web")
	p.docker("unpause", "web")
	if code == 2 && strings.Count(stderr, "\n") != 1 || code != 0 && code != 2 {
		t.Errorf("dump of a paused container: exit code %d: %s", code, stderr)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid("web")))
	if err != nil || !regexp.MustCompile(`(?m)^TracerPid:\t0$`).Match(status) || regexp.MustCompile(`(?m)^State:\t[Tt]`).Match(status) {
		t.Errorf("the container's process: %v\n%s", err, status)
	}
	if code, _, stderr := p.run("dump", "docker:web"); code != 0 {
		t.Errorf("dump of a container that was paused: exit code %d: %s", code, stderr)
	}
}
