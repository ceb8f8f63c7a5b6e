//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestFiltersBytes compares what the plugin prints of a container's filters with
// what an independent program in C reads from the same thread: byte by byte, and
// in the same order. The nodes are this machine, so a PID is the same to both.
func TestFiltersBytes(t *testing.T) {
	bare := bareProgram(t)
	crun := pod("bytes-crun", "node-b", "args")
	crun.Spec.RuntimeClassName = new("crun")
	for _, test := range []struct {
		pod     *corev1.Pod
		filters int
	}{
		{pod("bytes-default-a", "node-a", "sleep"), 1},
		{pod("bytes-default-b", "node-b", "sleep"), 1},
		{pod("bytes-stack", "node-a", "stack"), 4}, // the runtime's and three of its own
		{crun, 2},
	} {
		t.Run(test.pod.Name, func(t *testing.T) {
			launch(t, test.pod)
			d := dump(t, test.pod.Name)
			var got []string
			for _, f := range filters(t, d, subject(t, d)) {
				got = append(got, hex.EncodeToString(f.Encode(binary.NativeEndian)))
			}
			out, err := exec.Command(bare, "dump", strconv.Itoa(d.Source.PID)).Output()
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Fields(string(out))
			if len(want) != test.filters {
				t.Errorf("the C program reads %d filters, want %d", len(want), test.filters)
			}
			if !slices.Equal(got, want) {
				t.Errorf("the plugin's %d filters are not the C program's %d", len(got), len(want))
			}
		})
	}
}

// TestFiltersStack finds every filter of a stack, oldest first: the runtime's,
// then the workload's in the order in which it installed them.
func TestFiltersStack(t *testing.T) {
	launch(t, pod("stack", "node-b", "stack"))
	d := dump(t, "stack")
	stack := filters(t, d, subject(t, d))
	if len(stack) != 4 {
		t.Fatalf("%d filters, want 4", len(stack))
	}
	// The workload's filter i refuses one call with errno i.
	for i, name := range []string{"acct", "add_key", "adjtimex"} {
		errno := uint16(i + 1)
		nr, _ := syscalls.AMD64.Number(name)
		call := bpf.Data{Arch: syscalls.AMD64.AuditArch(), NR: nr}
		if got, want := stack[i+1].Run(&call, binary.LittleEndian).Ret, bpf.Errno.With(errno); got != want {
			t.Errorf("filter %d: %s gets %v, want %v", i+1, name, got, want)
		}
	}
	if n := len(stack[0]); n < 500 {
		t.Errorf("the oldest filter has %d instructions: it is not the runtime's", n)
	}
}

// TestFiltersThreads finds the thread that differs, by its number of filters at
// first sight; two threads whose filters differ and not their number only if
// every thread is read, and until then says what was presumed.
func TestFiltersThreads(t *testing.T) {
	launch(t, pod("threads", "node-a", "threads"))
	d := dump(t, "threads")
	if len(d.States) != 2 || d.States[0].FilterCount != 1 || d.States[1].FilterCount != 2 {
		t.Fatalf("states %+v, want one with 1 filter and one with 2", d.States)
	}
	if odd := d.States[1]; odd.Threads != 1 || odd.Sample[0].Comm != "one-more" {
		t.Errorf("the state with 2 filters has %d threads, %+v; want one-more alone", odd.Threads, odd.Sample)
	}
	if r := seccomp(t, "dump", "threads"); !strings.Contains(r.stdout+r.stderr, "one-more") {
		t.Errorf("dump does not name the thread that differs:\n%s%s", r.stdout, r.stderr)
	}

	launch(t, pod("same-count", "node-a", "threads", "-same-count"))
	d = dump(t, "same-count")
	if len(d.States) != 2 || d.States[1].Threads != 2 || d.States[1].Presumed != 1 {
		t.Errorf("states %+v; want two threads with 2 filters, one of them presumed", d.States)
	}
	d = dump(t, "same-count", "--all-threads")
	var apart []string
	for _, s := range d.States {
		if s.FilterCount == 2 && s.Threads == 1 && s.Presumed == 0 {
			apart = append(apart, s.Sample[0].Comm)
		}
	}
	slices.Sort(apart)
	if !slices.Equal(apart, []string{"left", "right"}) {
		t.Errorf("with --all-threads %q are told apart, want left and right; states %+v", apart, d.States)
	}
}

// TestBlocked probes workloads a thousand times in a row that are blocked in
// calls which take a stop differently, and lets each tell what it saw: none is
// ever interrupted, as of threads with equal filters the one is read that does
// not notice. Reading every thread interrupts epoll_wait, and neither of the
// others.
func TestBlocked(t *testing.T) {
	const times = 1000
	for _, call := range []string{"epoll", "futex", "read"} {
		t.Run(call, func(t *testing.T) {
			name := "blocked-" + call
			launch(t, pod(name, "node-a", call))
			collectTimes(t, name, times, false)
			if n := interruptions(t, name); n != 0 {
				t.Errorf("%d of %d probes interrupted it", n, times)
			}
			collectTimes(t, name, times, true)
			switch n := interruptions(t, name); {
			case call == "epoll" && n == 0:
				t.Errorf("reading every thread %d times did not interrupt epoll_wait: were they stopped?", times)
			case call != "epoll" && n != 0:
				t.Errorf("reading every thread interrupted it %d times of %d", n, times)
			default:
				t.Logf("%d probes: 0 EINTR; %d of every thread: %d EINTR", times, times, n)
			}
			pod, err := client.CoreV1().Pods(ns).Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if s := pod.Status.ContainerStatuses[0]; s.State.Running == nil || s.RestartCount != 0 {
				t.Errorf("it did not survive: %+v", s)
			}
		})
	}
}

// TestKilledProbe kills probes at any moment of their work with SIGKILL: no
// thread of a target stays stopped or traced.
func TestKilledProbe(t *testing.T) {
	program := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-o", program, "./images/probe")
	build.Dir = root()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	launch(t, pod("survivor", "node-a", "stack"))
	id, pid := containerID(t, "survivor"), dump(t, "survivor").Source.PID
	args := []string{"collect", "--run", "killed", "--all-threads", "--target", id}

	start := time.Now()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("probe: %v\n%s", err, out)
	}
	whole := time.Since(start)
	cut := 0
	for range 200 {
		cmd := exec.Command(program, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(rand.N(whole), func() { cmd.Process.Kill() })
		if cmd.Wait() != nil {
			cut++
		}
		timer.Stop()
		for tid, status := range statuses(t, pid) {
			if status["State"] == "" {
				continue // it ended while its status was read
			}
			if strings.ContainsAny(status["State"][:1], "tT") || status["TracerPid"] != "0" {
				t.Fatalf("thread %d is left in state %s, traced by %s", tid, status["State"], status["TracerPid"])
			}
		}
	}
	if cut == 0 {
		t.Error("no probe was killed before its end")
	}
	t.Logf("%d of 200 probes killed before their end (they take %v): nothing left stopped", cut, whole)
}

// TestForking reads a container whose processes come and go.
func TestForking(t *testing.T) {
	launch(t, pod("forks", "node-b", "fork"))
	for range 3 {
		d := dump(t, "forks")
		if s := subject(t, d); s.FilterCount != 1 || len(s.Filters) != 1 {
			t.Errorf("its init has %d filters, %d of them read", s.FilterCount, len(s.Filters))
		}
	}
}

// TestDiffTruths compares pods whose relation is known.
func TestDiffTruths(t *testing.T) {
	free := pod("free", "node-a", "sleep")
	free.Spec.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
	launch(t, free)
	launch(t, pod("same", "node-a", "sleep"))
	for _, test := range []struct {
		a, b     string
		code     int
		relation v1alpha1.Relation
	}{
		{"a", "a", 0, v1alpha1.Identical},
		{"a", "same", 0, v1alpha1.Identical},
		{"a", "free", 1, v1alpha1.Looser},
		{"free", "a", 1, v1alpha1.Tighter},
		{"a", "b", 1, v1alpha1.Incomparable},
	} {
		t.Run(test.a+" "+test.b, func(t *testing.T) {
			r := seccomp(t, "diff", test.a, test.b, "-o", "json")
			if r.code != test.code {
				t.Errorf("exit code %d, want %d; stderr %s", r.code, test.code, r.stderr)
			}
			var d v1alpha1.Diff
			if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
				t.Fatal(err)
			}
			if d.Relation != test.relation {
				t.Errorf("relation %s, want %s", d.Relation, test.relation)
			}
			if (len(d.Differences) == 0) != (test.relation == v1alpha1.Identical) {
				t.Errorf("%d differences", len(d.Differences))
			}
		})
	}
	nothingLeft(t, probepod.DefaultNamespace)
}

// launch starts a pod, waits until its behaviour is in place, and deletes it at the
// end of the test.
func launch(t *testing.T, p *corev1.Pod) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := start(ctx, p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.CoreV1().Pods(ns).Delete(context.Background(), p.Name, metav1.DeleteOptions{}) })
	if err := poll(ctx, func() error {
		if log := podLog(t, p.Name); !strings.HasPrefix(log, "ready\n") {
			return fmt.Errorf("%s says %q", p.Name, log)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func podLog(t *testing.T, name string) string {
	t.Helper()
	log, err := client.CoreV1().Pods(ns).GetLogs(name, &corev1.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// dump returns what `dump -o json` prints.
func dump(t *testing.T, pod string, args ...string) v1alpha1.Dump {
	t.Helper()
	r := seccomp(t, append([]string{"dump", pod, "-o", "json"}, args...)...)
	if r.code != 0 {
		t.Fatalf("dump %s: exit code %d; stderr %s", pod, r.code, r.stderr)
	}
	var d v1alpha1.Dump
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func subject(t *testing.T, d v1alpha1.Dump) v1alpha1.State {
	t.Helper()
	for _, s := range d.States {
		if s.Subject {
			return s
		}
	}
	t.Fatalf("no subject in %+v", d)
	panic("not reached")
}

// filters returns the stack of a state, oldest filter first.
func filters(t *testing.T, d v1alpha1.Dump, s v1alpha1.State) (stack bpf.Stack) {
	t.Helper()
	for _, sum := range s.Filters {
		i := slices.IndexFunc(d.Filters, func(f v1alpha1.Filter) bool { return f.SHA256 == sum })
		if i < 0 {
			t.Fatalf("no filter %s", sum)
		}
		f, err := bpf.Decode(d.Filters[i].Program, binary.NativeEndian)
		if err != nil {
			t.Fatal(err)
		}
		stack = append(stack, f)
	}
	return stack
}

// bareProgram compiles the C program that reads filters.
func bareProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bare")
	source := filepath.Join(root(), "pkg", "probe", "ptrace", "testdata", "bare.c")
	if out, err := exec.Command("gcc", "-O1", "-Wall", "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return program
}

func containerID(t *testing.T, pod string) string {
	t.Helper()
	p, err := client.CoreV1().Pods(ns).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Status.ContainerStatuses[0].ContainerID
}

// collectTimes reads a pod so many times, by the probe's own code in this process:
// the nodes are this machine. On one that is busy a thread may not stop in time,
// which is a problem of that name; that must be rare, and does not count.
func collectTimes(t *testing.T, pod string, times int, allThreads bool) {
	t.Helper()
	id := containerID(t, pod)
	late := 0
	for done := 0; done < times; {
		var read lastSubject
		if err := probe.Collect(t.Context(), probe.Request{Targets: []string{id}, AllThreads: allThreads}, &read); err != nil {
			t.Fatal(err)
		}
		switch {
		case read.state != nil && read.state.Stack != wire.NoStack:
			done++
		case len(read.problems) > 0 && !slices.ContainsFunc(read.problems, func(p *wire.Problem) bool { return p.Code != wire.CodeDoesNotStop }):
			if late++; late > times/100 {
				t.Fatalf("%d of %d threads did not stop in time", late, done+late)
			}
		default:
			t.Fatalf("the subject was not read: %+v, %v", read.state, read.problems)
		}
	}
	if late > 0 {
		t.Logf("%d of %d probes: the thread did not stop in time", late, times+late)
	}
}

// lastSubject is a sink that keeps what is said of the subject.
type lastSubject struct {
	state    *wire.State
	problems []*wire.Problem
}

func (s *lastSubject) Write(m wire.Message) error {
	switch m := m.(type) {
	case *wire.State:
		if m.Subject {
			s.state = m
		}
	case *wire.Problem:
		s.problems = append(s.problems, m)
	}
	return nil
}

// interruptions returns how often a blocked workload has seen EINTR.
func interruptions(t *testing.T, pod string) int {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(podLog(t, pod)), "\n")
	count, found := strings.CutPrefix(lines[len(lines)-1], "eintr ")
	if !found {
		return 0
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// statuses returns /proc/PID/task/TID/status of every thread of a process.
func statuses(t *testing.T, pid int) map[int]map[string]string {
	t.Helper()
	m := make(map[int]map[string]string)
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		tid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		m[tid] = make(map[string]string)
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			m[tid][key] = strings.TrimSpace(value)
		}
	}
	if len(m) == 0 {
		t.Fatalf("pid %d has no threads", pid)
	}
	return m
}
