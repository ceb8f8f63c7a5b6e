//go:build linux

package profile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// compilerProgram is testdata/libseccomp.c, compiled.
var compilerProgram string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "profile")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		compilerProgram = filepath.Join(dir, "libseccomp")
		out, err := exec.Command("gcc", "-O1", "-Wall", "-o", compilerProgram, filepath.Join("testdata", "libseccomp.c"), "-lseccomp").CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "these tests need gcc and libseccomp (apt-get install gcc libc6-dev libseccomp-dev): compile libseccomp.c: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// scmp is a running testdata/libseccomp.c.
type scmp struct {
	t    testing.TB
	in   io.Writer
	out  *bufio.Reader
	seen map[string]bool
}

func newSCMP(t testing.TB) *scmp {
	t.Helper()
	cmd := exec.Command(compilerProgram)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("libseccomp.c: %v", err)
		}
	})
	return &scmp{t: t, in: in, out: bufio.NewReader(out), seen: map[string]bool{}}
}

func (s *scmp) ask(format string, args ...any) string {
	s.t.Helper()
	fmt.Fprintf(s.in, format, args...)
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Fatalf("ask libseccomp.c: %v", err)
	}
	return strings.TrimSpace(line)
}

// known is Target.Known of the installed libseccomp.
func (s *scmp) known(name string) bool {
	if strings.ContainsAny(name, " \t\n") || name == "" {
		return false
	}
	k, ok := s.seen[name]
	if !ok {
		k = s.ask("known %s\n", name) == "1"
		s.seen[name] = k
	}
	return k
}

// filter compiles a profile, or returns libseccomp's errno.
func (s *scmp) filter(l *LinuxSeccomp, optimize int) (bpf.Filter, error) {
	s.t.Helper()
	var b strings.Builder
	action := func(name string, errno *uint) uint32 {
		a := actions[name]
		data := uint16(0)
		if a == bpf.Errno || a == bpf.Trace {
			data = 1
			if errno != nil {
				data = uint16(*errno)
			}
		}
		return uint32(a.With(data))
	}
	fmt.Fprintf(&b, "filter %x %d\n", action(l.DefaultAction, l.DefaultErrnoRet), optimize)
	for _, a := range l.Architectures {
		fmt.Fprintf(&b, "arch %s\n", strings.ToLower(strings.TrimPrefix(a, "SCMP_ARCH_")))
	}
	ops := map[string]int{"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7}
	for _, e := range l.Syscalls {
		for _, name := range e.Names {
			fmt.Fprintf(&b, "entry %x %s %d", action(e.Action, e.ErrnoRet), name, len(e.Args))
			for _, a := range e.Args {
				fmt.Fprintf(&b, " %d %d %d %d", a.Index, ops[a.Op], a.Value, a.ValueTwo)
			}
			b.WriteByte('\n')
		}
	}
	b.WriteString("end\n")
	words := strings.Fields(s.ask("%s", b.String()))
	number := func(i int) uint32 {
		n, err := strconv.ParseUint(words[i], 10, 32)
		if err != nil {
			s.t.Fatal(err)
		}
		return uint32(n)
	}
	if errno := number(0); errno != 0 {
		name, _ := syscalls.AMD64.Errno(uint16(errno))
		return nil, errors.New(name)
	}
	f := make(bpf.Filter, number(1))
	for i := range f {
		f[i] = bpf.Instruction{Op: bpf.Op(number(2 + 4*i)), Jt: uint8(number(3 + 4*i)), Jf: uint8(number(4 + 4*i)), K: number(5 + 4*i)}
	}
	return f, nil
}

// policyOf returns the policy of one filter.
func policyOf(t testing.TB, f bpf.Filter) *policy.Policy {
	t.Helper()
	p, err := policy.Of(bpf.Stack{f}, syscalls.OfMachine(runtime.GOARCH)[0].ByteOrder())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func fingerprint(t testing.TB, p *policy.Policy) string {
	t.Helper()
	s, err := p.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// random makes profiles.
type random struct{ *rand.Rand }

func pick[T any](r random, list ...T) T { return list[r.IntN(len(list))] }

var (
	someNames = []string{"read", "socket", "accept4", "send", "shmctl", "semtimedop", "clone", "personality", "openat",
		"ioctl", "socketcall", "ipc", "stat64", "clone3", "mmap2", "arch_prctl", "quotactl_fd"}
	someValues = []uint64{0, 1, 2, 3, 8, 0xff, 0x7e020000, 0xfffffffe, 0xffffffff, 1 << 32, 1<<32 | 1, 1 << 63, ^uint64(0)}
	someOps    = []string{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"}
)

func (r random) profile(entries func(name string) []LinuxSyscall) *LinuxSeccomp {
	l := &LinuxSeccomp{DefaultAction: pick(r, "SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS")}
	for _, a := range []string{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"} {
		if r.IntN(3) > 0 {
			l.Architectures = append(l.Architectures, a)
		}
	}
	names := r.Perm(len(someNames))[:1+r.IntN(4)]
	for _, i := range names {
		l.Syscalls = append(l.Syscalls, entries(someNames[i])...)
	}
	r.Shuffle(len(l.Syscalls), func(i, j int) { l.Syscalls[i], l.Syscalls[j] = l.Syscalls[j], l.Syscalls[i] })
	return l
}

func (r random) action(e *LinuxSyscall) {
	e.Action = pick(r, "SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_TRAP", "SCMP_ACT_TRACE", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_KILL_PROCESS")
	if (e.Action == "SCMP_ACT_ERRNO" || e.Action == "SCMP_ACT_TRACE") && r.IntN(2) > 0 {
		n := uint(r.IntN(5))
		e.ErrnoRet = &n
	}
}

func (r random) args(n int, ops []string, values []uint64) []LinuxSeccompArg {
	var args []LinuxSeccompArg
	for _, i := range r.Perm(6)[:n] {
		args = append(args, LinuxSeccompArg{Index: uint(i), Op: pick(r, ops...), Value: pick(r, values...), ValueTwo: pick(r, values...)})
	}
	return args
}

// safe returns entries for one call that do not compete.
func (r random) safe(name string) []LinuxSyscall {
	var e LinuxSyscall
	e.Names = []string{name}
	r.action(&e)
	var list []LinuxSyscall
	add := func(args []LinuxSeccompArg) {
		e.Args = args
		list = append(list, e)
	}
	switch r.IntN(4) {
	case 0:
		add(nil)
	case 1:
		add(r.args(1+r.IntN(6), someOps, someValues))
	case 2:
		for range 1 + r.IntN(5) {
			add(r.args(1+r.IntN(3), []string{"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"}, someValues))
		}
	case 3:
		index := uint(r.IntN(6))
		for range 1 + r.IntN(5) {
			args := r.args(1, someOps, someValues[:9])
			if r.IntN(3) > 0 {
				args[0].Index = index
			}
			add(args)
		}
	}
	return list
}

// wild returns any entries for one call.
func (r random) wild(name string) []LinuxSyscall {
	var list []LinuxSyscall
	e := LinuxSyscall{Names: []string{name}}
	r.action(&e)
	for range 1 + r.IntN(5) {
		if r.IntN(4) == 0 {
			e.ErrnoRet = nil
			r.action(&e)
		}
		e.Args = r.args(r.IntN(4), someOps, someValues)
		for i := range e.Args {
			e.Args[i].Index %= 3 // so that some are compared twice
		}
		list = append(list, e)
	}
	return list
}

// optimization is the layout that runc asks libseccomp for: a tree of numbers for
// more than 32 rules, a list otherwise.
func optimization(l *LinuxSeccomp) int {
	rules := 0
	for _, e := range l.Syscalls {
		rules += len(e.Names)
	}
	if rules > 32 {
		return 2
	}
	return 1
}

// compare compiles a profile both ways, and tells how the results differ or whether
// it was refused. Those with competing rules are compared if marked is set.
func compare(t *testing.T, s *scmp, l *LinuxSeccomp, marked bool) (loaded *Loaded, diff string, refused bool) {
	t.Helper()
	p, err := Parse(l.JSON())
	if err != nil {
		t.Fatalf("%v\n%s", err, l.JSON())
	}
	loaded, err = p.Load(Target{Arch: "amd64", OCIRuntime: Crun, Known: s.known})
	if err == nil && len(loaded.Dependent) > 0 && !marked {
		return loaded, "", false
	}
	want, wantErr := s.filter(l, optimization(l))
	if err != nil || wantErr != nil {
		if err == nil && len(loaded.Dependent) > 0 {
			return loaded, "", true
		}
		if err == nil || wantErr == nil {
			t.Fatalf("Load: %v; libseccomp: %v\n%s", err, wantErr, l.JSON())
		}
		return nil, "", true
	}
	got := policyOf(t, loaded.Filter)
	compiled := policyOf(t, want)
	if fingerprint(t, got) == fingerprint(t, compiled) {
		return loaded, "", false
	}
	return loaded, differences(t, got, compiled, "amd64"), false
}

// each runs n times f, on all CPUs.
func each(t *testing.T, n int, f func(s *scmp, r random)) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Fatal("this test compiles profiles for amd64, by a libseccomp of amd64")
	}
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		s := newSCMP(t)
		wg.Go(func() {
			r := random{rand.New(rand.NewPCG(1, uint64(w)))}
			for i := w; i < n && !t.Failed(); i += workers {
				f(s, r)
			}
		})
	}
	wg.Wait()
}

// TestCompiler holds Load against libseccomp's compiler, where rules do not
// compete.
func TestCompiler(t *testing.T) {
	const profiles = 10000
	var marked atomic.Int64
	each(t, profiles, func(s *scmp, r random) {
		for {
			l := r.profile(r.safe)
			loaded, diff, refused := compare(t, s, l, false)
			switch {
			case refused || len(loaded.Dependent) > 0:
				// Names of one call through another, as socket and socketcall, can
				// still come to compete. They are not of the ones to count.
				marked.Add(1)
				continue
			case diff != "":
				t.Errorf("differs from what libseccomp makes of it:\n%s%s", diff, l.JSON())
			}
			return
		}
	})
	t.Logf("%d the same, %d more left out", profiles, marked.Load())
}

// TestCompilerCompeting does so for any rules: what differs must be marked.
func TestCompilerCompeting(t *testing.T) {
	const profiles = 2000
	var mu sync.Mutex
	var marked, markedSame, refusals int
	each(t, profiles, func(s *scmp, r random) {
		l := r.profile(r.wild)
		loaded, diff, refused := compare(t, s, l, true)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case refused:
			refusals++
		case len(loaded.Dependent) > 0:
			marked++
			if diff == "" {
				markedSame++
			}
		case diff != "":
			t.Errorf("differs from what libseccomp makes of it, and is not marked:\n%s%s", diff, l.JSON())
		}
	})
	t.Logf("of %d: %d refused, %d marked, of which %d are the same all the same", profiles, refusals, marked, markedSame)
}
