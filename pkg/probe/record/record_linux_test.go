package record

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestObjects holds the objects against the source that they say they are of.
func TestObjects(t *testing.T) {
	source, err := os.ReadFile("program/record.c")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(source)
	for name, object := range map[string][]byte{"record_bpfel.o": littleEndian, "record_bpfeb.o": bigEndian} {
		f, err := elf.NewFile(bytes.NewReader(object))
		if err != nil {
			t.Fatal(err)
		}
		section := f.Section("source")
		if section == nil {
			t.Fatalf("%s does not say what it was compiled from", name)
		}
		text, err := section.Data()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimRight(string(text), "\x00"); got != hex.EncodeToString(sum[:]) {
			t.Errorf("%s is not compiled from record.c: run `make generate`", name)
		}
	}
}

// TestLayouts holds the classes' tables against those of the ABIs.
func TestLayouts(t *testing.T) {
	for arch, l := range layouts {
		table := watchedNumbers(l)
		for c, abi := range l.abis {
			if abi == 0 {
				continue
			}
			for name := range watched {
				nr, ok := abi.Number(name)
				if !ok {
					continue
				}
				want := Watched(abi, name) + 1
				if got := int(table[c*numbers+int(nr&^x32Bit)]); got != want {
					t.Errorf("%s: argument %d of %v %s is watched, want %d", arch, got, abi, name, want)
				}
				if want == 0 && abi != syscalls.X32 { // it has a ptrace of its own, whose parameters nobody knows
					t.Errorf("%s: %v %s has no parameter %q", arch, abi, name, watched[name])
				}
			}
			for _, call := range abi.Table() {
				if call.Number&^x32Bit >= numbers && c == int(native) {
					t.Errorf("%s: %v %s is number %d: more than are told apart", arch, abi, call.Name, call.Number)
				}
			}
		}
	}
}

// caller is a process in a container's cgroup.
type caller struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out io.Reader

	cgroup string
}

var build struct {
	sync.Once
	path string
	err  error
}

// hierarchy is one in which the tests make cgroups.
func hierarchy(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("these tests load BPF programs and make cgroups: run them as root")
	}
	for _, dir := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return dir
		}
	}
	t.Fatal("these tests need cgroups at /sys/fs/cgroup")
	return ""
}

// newID is a container ID that no container has.
func newID() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// newCgroup makes a cgroup, and removes it when the test is done.
func newCgroup(t *testing.T, path ...string) string {
	t.Helper()
	dir := filepath.Join(path...)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Rmdir(dir); err != nil {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	return dir
}

// start starts a caller in a cgroup.
func start(t *testing.T, cgroup string) *caller {
	t.Helper()
	build.Do(func() {
		dir, err := os.MkdirTemp("", "record")
		if build.err = err; err == nil {
			build.path, build.err = cprogram.Build(dir, "testdata/caller.c")
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	c := &caller{t: t, cmd: exec.Command(build.path), cgroup: cgroup}
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, out
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.cmd.Wait()
	})
	if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(c.cmd.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	// A letter without a meaning: it has been through main once.
	c.do("-")
	return c
}

// do has a caller do what the letters say.
func (c *caller) do(letters string) {
	c.t.Helper()
	for _, l := range letters {
		if _, err := fmt.Fprintf(c.in, "%c", l); err != nil {
			c.t.Fatal(err)
		}
		var b [1]byte
		if _, err := io.ReadFull(c.out, b[:]); err != nil || rune(b[0]) != l {
			c.t.Fatalf("%c: the caller says %q, %v", l, b, err)
		}
	}
}

// end has a caller end, without another call.
func (c *caller) end() {
	c.t.Helper()
	if _, err := io.WriteString(c.in, "q"); err != nil {
		c.t.Fatal(err)
	}
	if n, err := c.out.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		c.t.Fatalf("the caller does not end: %d, %v", n, err)
	}
}

// record records what callers do, each as a container.
func record(t *testing.T, do func(), callers ...*caller) []Counts {
	t.Helper()
	var containers []Process
	var controllers string
	for _, c := range callers {
		pid := c.cmd.Process.Pid
		id, err := proc.Host.ContainerOf(pid)
		if err != nil || id == "" {
			t.Fatalf("pid %d is in container %q, %v", pid, id, err)
		}
		places, err := proc.Host.Places(pid, id)
		if err != nil || len(places) == 0 {
			t.Fatalf("pid %d is in %v, %v", pid, places, err)
		}
		controllers = places[0].Controllers
		containers = append(containers, Process{pid, places[0].Up})
	}
	r, err := Load(Options{Controllers: controllers, Containers: len(containers)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found, err := r.Add(containers)
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range found {
		if !ok {
			t.Fatalf("the cgroup of pid %d was not found", containers[i].PID)
		}
	}
	if err := r.Begin(); err != nil {
		t.Fatal(err)
	}
	do()
	result, err := r.End()
	if err != nil {
		t.Fatal(err)
	}
	counts := result.Counts
	for i := range counts {
		if counts[i].Lost.Any() {
			t.Errorf("container %d: lost %+v", i+1, counts[i].Lost)
		}
	}
	return counts
}

// list writes counts in a form to compare.
func list(c Counts) (s []string) {
	name := func(c Call) string {
		name, ok := c.ABI.Name(c.NR)
		if !ok {
			name = fmt.Sprint(c.NR)
		}
		if c.Runtime {
			name = "runtime's " + name
		}
		return c.ABI.String() + " " + name
	}
	for _, n := range c.Calls {
		s = append(s, fmt.Sprintf("%s ×%d", name(n.Call), n.Count))
	}
	for _, v := range c.Values {
		s = append(s, fmt.Sprintf("%s argument %d = %#x ×%d", name(v.Call), v.Arg, v.Value, v.Count))
	}
	for _, r := range c.Refused {
		s = append(s, fmt.Sprintf("%s refused with %d ×%d", name(r.Call), r.Return, r.Count))
	}
	if c.Unclear > 0 {
		s = append(s, fmt.Sprintf("unclear ×%d", c.Unclear))
	}
	return s
}

func diff(t *testing.T, what string, got Counts, want string) {
	t.Helper()
	if s := strings.Join(list(got), "\n"); s != strings.TrimSpace(want) {
		t.Errorf("%s: recorded\n%s\nwant\n%s", what, s, strings.TrimSpace(want))
	}
}

// TestCounts has two containers make known calls, of every ABI, and one that is
// not recorded beside them. Their first call, a read, has begun before.
func TestCounts(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the calls are those of amd64")
	}
	dir := hierarchy(t)
	pod := newCgroup(t, dir, "kubepods-record-"+newID()[:8])
	first := start(t, newCgroup(t, pod, newID()))
	second := start(t, newCgroup(t, pod, newID()))
	other := start(t, newCgroup(t, pod, newID()))
	counts := record(t, func() {
		other.do("gs")
		first.do("gnxs")
		second.do("s")
		first.end()
		second.end()
	}, first, second)
	diff(t, "the first", counts[0], `
amd64 read ×4
amd64 write ×4
amd64 close ×5
amd64 socket ×5
amd64 getpgid ×100000
amd64 exit_group ×1
amd64 4294967295 ×6
x32 getpid ×7
amd64 socket argument 0 = 0x1 ×3
amd64 socket argument 0 = 0x2 ×2`)
	diff(t, "the second", counts[1], `
amd64 read ×1
amd64 write ×1
amd64 close ×5
amd64 socket ×5
amd64 exit_group ×1
amd64 socket argument 0 = 0x1 ×3
amd64 socket argument 0 = 0x2 ×2`)
}

// TestCompat makes calls of i386 in a 64-bit process. Not every machine takes them.
func TestCompat(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the calls are those of amd64")
	}
	c := start(t, newCgroup(t, hierarchy(t), newID()))
	try := exec.Command(build.path)
	try.Stdin = strings.NewReader("i")
	if err := try.Run(); err != nil {
		t.Skipf("int $0x80 here: %v", err)
	}
	diff(t, "32-bit calls", record(t, func() { c.do("i"); c.end() }, c)[0], `
amd64 read ×1
amd64 write ×1
amd64 exit_group ×1
386 getpid ×500
386 socket ×6
386 socket argument 0 = 0x3039 ×6`)
}

// TestNested records a process in a cgroup that the container has made.
func TestNested(t *testing.T) {
	container := newCgroup(t, hierarchy(t), newID())
	inner := newCgroup(t, container, "inner")
	c := start(t, newCgroup(t, inner, newID())) // which names no container: it is inside of one
	sibling := start(t, newCgroup(t, container, "sibling"))
	n := func(counts Counts) (n uint64) {
		for _, c := range counts.Calls {
			if name, _ := c.ABI.Name(c.NR); name == "getpgid" {
				n += c.Count
			}
		}
		return n
	}
	if got := n(record(t, func() { c.do("g"); sibling.do("g") }, c)[0]); got != 200000 {
		t.Errorf("%d calls in two cgroups of the container, want 200000", got)
	}
}

// TestRefused has a filter refuse calls: of the thread that was there, of one that
// is made, and of a child process.
func TestRefused(t *testing.T) {
	kerneltest.New(t).Spend(2, 0)
	dir := hierarchy(t)
	c := start(t, newCgroup(t, dir, newID()))
	before := start(t, newCgroup(t, dir, newID()))
	before.do("f")
	counts := record(t, func() {
		c.do("rfrtcr")
		before.do("rr")
	}, c, before)
	refused := func(c Counts) []string { return list(Counts{Refused: c.Refused, Unclear: c.Unclear}) }
	if got, want := refused(counts[0]), []string{"amd64 getpgid refused with -1 ×40"}; !equal(got, want) {
		t.Errorf("refused %q, want %q: 11, 5 of a thread, 13 of a child, 11", got, want)
	}
	var passed uint64
	for _, n := range counts[0].Calls {
		if name, _ := n.ABI.Name(n.NR); name == "getpgid" {
			passed = n.Count
		}
	}
	if passed != 11 {
		t.Errorf("%d calls before there was a filter, want 11", passed)
	}
	// The first call that it came back from is the read that it was in.
	if got, want := refused(counts[1]), []string{"amd64 getpgid refused with -1 ×22", "unclear ×1"}; !equal(got, want) {
		t.Errorf("refused %q, want %q", got, want)
	}
}

func equal(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }

// TestRuntime brings a process into a container as runtimes do: it makes calls
// there, changes to the container's mount namespace and executes a program.
func TestRuntime(t *testing.T) {
	container := newCgroup(t, hierarchy(t), newID())
	c := start(t, container)
	counts := record(t, func() {
		// The shell is the runtime, in a mount namespace of its own. What it
		// executes there is, too; what that executes in the container's, which is
		// this process', is not.
		const script = `echo $$ >"$1/cgroup.procs"; umask 0
			exec sh -c 'umask 0; exec nsenter --mount="$2" sh -c "umask 0; umask 0; umask 0; umask 0"' sh "$@"`
		namespace := fmt.Sprintf("/proc/%d/ns/mnt", os.Getpid())
		if out, err := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", container, namespace).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}, c)
	of := make(map[string]uint64)
	for _, n := range counts[0].Calls {
		name, _ := n.ABI.Name(n.NR)
		of[fmt.Sprint(name, n.Runtime)] += n.Count
	}
	// A shell makes three calls each time.
	if of["umasktrue"] != 3*2 || of["umaskfalse"] != 3*4 {
		t.Errorf("umask: %d calls of the runtime and %d of the workload, want 6 and 12", of["umasktrue"], of["umaskfalse"])
	}
	if of["setnstrue"] != 1 || of["execvefalse"] != 0 || of["exit_groupfalse"] != 1 || of["exit_grouptrue"] != 0 {
		t.Errorf("%v, want setns and execve of the runtime, and exit_group of the workload", of)
	}
}

// TestNewcomers has containers come while others are recorded, one more than there is
// room for, and processes brought into the first as a runtime does: by a shell, which
// changes to a mount namespace of the container's own and executes the program there,
// or does not.
func TestNewcomers(t *testing.T) {
	dir := hierarchy(t)
	there := start(t, newCgroup(t, dir, newID()))
	places, err := proc.Host.Places(there.cmd.Process.Pid, mustContainer(t, there))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Load(Options{Controllers: places[0].Controllers, Containers: 1, New: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Add([]Process{{there.cmd.Process.Pid, places[0].Up}}); err != nil {
		t.Fatal(err)
	}
	if err := r.Begin(); err != nil {
		t.Fatal(err)
	}
	// In the container that was there, none is new, nor is one by another name.
	newCgroup(t, there.cgroup, newID())
	pod := newCgroup(t, dir, "kubepods-record-"+newID()[:8])
	newCgroup(t, pod, "crio-"+newID()[1:])
	id := newID()[:63] + "e"
	container := newCgroup(t, pod, "cri-containerd-"+id+".scope")
	inner := newCgroup(t, container, newID())
	for cgroup, then := range map[string]string{container: "unshare --mount sh", inner: "sh"} {
		script := `echo $$ >"$1/cgroup.procs"; umask 0; exec ` + then + ` -c "umask 0; umask 0; umask 0"`
		if out, err := exec.Command("sh", "-c", script, "sh", cgroup).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	second := newID()[:63] + "e"
	newCgroup(t, pod, second)
	newCgroup(t, pod, newID())
	so, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	result, err := r.End()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(so.New, result.New) {
		t.Errorf("before the end %+v, at the end %+v", so.New, result.New)
	}
	if result.LeftOut != 1 || len(result.New) != 2 || result.New[0].Cgroup != "cri-containerd-"+id+".scope" || result.New[1].Cgroup != second {
		t.Fatalf("%+v, want %s and %s, and one left out", result, id, second)
	}
	of := make(map[string]uint64)
	for _, n := range result.New[0].Calls {
		name, _ := n.ABI.Name(n.NR)
		of[fmt.Sprint(name, n.Runtime)] += n.Count
	}
	// A shell makes three calls each time. What is executed in the runtime's own mount
	// namespace is the runtime's.
	if of["umasktrue"] != 3*(1+1+3) || of["umaskfalse"] != 3*3 {
		t.Errorf("umask: %d calls of the runtime and %d of the workload, want 15 and 9", of["umasktrue"], of["umaskfalse"])
	}
	if of["exit_groupfalse"] != 1 || of["exit_grouptrue"] != 1 || of["execvefalse"] != 0 || of["execvetrue"] == 0 {
		t.Errorf("%v, want exit_group of both, and execve of the runtime", of)
	}
	if n := result.New[0]; n.After <= 0 || n.Lost.Any() || len(result.New[1].Calls) > 0 {
		t.Errorf("%+v", result.New)
	}
}

// TestEnded records a container whose processes are gone before it is looked at.
func TestEnded(t *testing.T) {
	c := start(t, newCgroup(t, hierarchy(t), newID()))
	places, err := proc.Host.Places(c.cmd.Process.Pid, mustContainer(t, c))
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Process.Kill()
	c.cmd.Wait()
	r, err := Load(Options{Controllers: places[0].Controllers, Containers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	found, err := r.Add([]Process{{c.cmd.Process.Pid, places[0].Up}})
	if err != nil || found[0] {
		t.Errorf("found: %v, %v", found, err)
	}
}

func mustContainer(t *testing.T, c *caller) proc.ContainerID {
	t.Helper()
	id, err := proc.Host.ContainerOf(c.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestNoSuchController has no hierarchy to look in.
func TestNoSuchController(t *testing.T) {
	if _, err := Load(Options{Controllers: "name=systemd"}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, want %v", err, ErrUnsupported)
	}
}
