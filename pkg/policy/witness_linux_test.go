//go:build linux && amd64

package policy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// kernel has calls made under real filters, by testdata/call.c, whose guard sees
// to it that none is executed.
type kernel struct {
	t         *testing.T
	budget    *kerneltest.Budget
	program   string
	ip, ip386 uint64 // of its calls; 0 if the kernel has no i386 ABI
	installed int
}

func newKernel(t *testing.T) *kernel {
	t.Helper()
	// Not position-independent: the instruction pointer is the same every time.
	program, err := cprogram.Build(t.TempDir(), "testdata/call.c", "-no-pie")
	if err != nil {
		t.Fatal(err)
	}
	k := &kernel{t: t, program: program, budget: kerneltest.New(t)}
	out, err := exec.Command(k.program).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(out), &k.ip, &k.ip386); err != nil {
		t.Fatalf("instruction pointers %q: %v", out, err)
	}
	return k
}

// guarded is what a call gets that is executed, or mediated, but for the guard.
const guarded = bpf.Return(uint32(bpf.Errno) | 4000)

// job and madeCall are struct job and struct call of testdata/call.c.
type job struct{ Filters, Calls, Installed, Errno uint64 }

type madeCall struct {
	Arch, NR    uint32
	Args        [6]uint64
	State, Data uint32
}

// The states of a call, and a last one for calls that have killed, and Data is
// what.
const (
	notMade = iota
	begun
	returned
	trapped
	killed
)

const killedThread = 3 // exit status

var errRefused = errors.New("the older filters do not let the process install the newer ones")

// make makes calls under a stack and returns what the kernel did with each. The
// error is errRefused or nil.
func (k *kernel) make(s bpf.Stack, calls []bpf.Data) ([]bpf.Return, error) {
	k.t.Helper()
	var buf bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&buf, le, v); err != nil {
			k.t.Fatal(err)
		}
	}
	put(job{Filters: uint64(len(s)), Calls: uint64(len(calls))})
	for _, f := range s {
		put(uint64(len(f)))
		put(f.Encode(le))
	}
	head := bytes.Clone(buf.Bytes())
	made := make([]madeCall, len(calls))
	for i, d := range calls {
		made[i] = madeCall{Arch: d.Arch, NR: d.NR, Args: d.Args}
	}
	path := filepath.Join(k.t.TempDir(), "job")
	for slices.ContainsFunc(made, func(c madeCall) bool { return c.State == notMade }) {
		buf.Reset()
		buf.Write(head)
		put(made)
		if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
			k.t.Fatal(err)
		}
		k.budget.Spend(1+len(s), 0)
		cmd := exec.Command(k.program, path)
		cmd.Stderr = os.Stderr
		cmd.Run() // the status says it all
		if cmd.ProcessState == nil {
			k.t.Fatalf("cannot start %s", k.program)
		}
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)

		raw, err := os.ReadFile(path)
		if err != nil {
			k.t.Fatal(err)
		}
		var j job
		if _, err := binary.Decode(raw, le, &j); err != nil {
			k.t.Fatal(err)
		}
		if _, err := binary.Decode(raw[len(head):], le, made); err != nil {
			k.t.Fatal(err)
		}
		k.installed += int(j.Installed)
		switch {
		case j.Installed == 0:
			k.t.Fatalf("install the guard: %v (wait status %#x)", syscall.Errno(j.Errno), status)
		case j.Installed < uint64(1+len(s)):
			return nil, errRefused
		}
		last := slices.IndexFunc(made, func(c madeCall) bool { return c.State == begun })
		switch {
		case last < 0 && status.Signaled() && status.Signal() == syscall.SIGILL: // all are made
		case last >= 0 && status.Signaled() && status.Signal() == syscall.SIGSYS:
			made[last].State, made[last].Data = killed, uint32(bpf.KillProcess)
		case last >= 0 && status.Exited() && status.ExitStatus() == killedThread:
			made[last].State, made[last].Data = killed, uint32(bpf.KillThread)
		default:
			k.t.Fatalf("make calls: wait status %#x in call %d", status, last)
		}
	}
	rets := make([]bpf.Return, len(made))
	for i, c := range made {
		switch {
		case c.State == returned && c.Data <= bpf.MaxErrno:
			rets[i] = bpf.Errno.With(uint16(c.Data))
		case c.State == trapped:
			rets[i] = bpf.Trap.With(uint16(c.Data))
		case c.State == killed:
			rets[i] = bpf.Return(c.Data)
		default:
			k.t.Fatalf("call %+v is in state %d and has returned %d", calls[i], c.State, -int32(c.Data))
		}
	}
	return rets, nil
}

// A shown is a call and what a witness says that a stack does with it.
type shown struct {
	of   string
	call bpf.Data
	ret  bpf.Return
}

// behindGuard is what the kernel does with the call when the guard is the oldest
// filter.
func (x shown) behindGuard(s bpf.Stack) bpf.Return {
	switch x.ret.Action() {
	case bpf.Allow, bpf.Log, bpf.Trace, bpf.UserNotif:
		return guarded
	}
	// An action that the kernel does not know kills, but only if no other
	// precedes its number.
	if run := s.Run(&x.call, le); run.Filter >= 0 {
		if raw := s[run.Filter].Run(&x.call, le).Ret; !raw.Action().Known() && int32(raw) > int32(guarded) {
			return guarded
		}
	}
	return x.ret
}

func (x shown) lethal() bool {
	return x.ret.Action() == bpf.KillThread || x.ret.Action() == bpf.KillProcess
}

// contradicted makes the calls under s and describes those with which the kernel
// does something else than is said. What it does is counted in seen.
func (k *kernel) contradicted(s bpf.Stack, list []shown, seen map[string]int) ([]string, error) {
	k.t.Helper()
	calls := make([]bpf.Data, len(list))
	for i, x := range list {
		calls[i] = x.call
	}
	rets, err := k.make(s, calls)
	if err != nil {
		return nil, err
	}
	var wrong []string
	for i, x := range list {
		abi, _ := syscalls.Of(x.call.Arch, x.call.NR)
		seen[abi.String()]++
		if rets[i] == guarded {
			seen["executed or mediated"]++
		} else {
			seen[rets[i].Action().String()]++
		}
		if want := x.behindGuard(s); rets[i] != want {
			wrong = append(wrong, fmt.Sprintf("%s: %s %d %#x: the kernel does %v, witness says %v, which is %v behind the guard",
				x.of, abi, x.call.NR, x.call.Args, rets[i], x.ret, want))
		}
	}
	return wrong, nil
}

// sides returns what a witness says of either stack, as calls that the kernel
// can make; or else the reason why it cannot.
func (k *kernel) sides(of string, a, b bpf.Stack, w *Witness) (x, y shown, reason string) {
	x, y = shown{of, w.CallA, w.A.Return}, shown{of, w.CallB, w.B.Return}
	switch d := w.CallA; {
	case d.Arch == archAMD64 && (d.NR == 335 || d.NR == 336):
		return x, y, "uretprobe and uprobe, which the kernel may exempt"
	case d.Arch == archAMD64:
		x.call.IP, y.call.IP = k.ip, k.ip
	case d.Arch == archI386 && k.ip386 == 0:
		return x, y, "of i386, an ABI this kernel does not have"
	case d.Arch == archI386:
		x.call.IP, y.call.IP = k.ip386, k.ip386
	default:
		return x, y, "of another machine"
	}
	if a.Run(&x.call, le).Ret != x.ret || b.Run(&y.call, le).Ret != y.ret {
		return x, y, "from another instruction pointer"
	}
	return x, y, ""
}

// witnessStacks are the fixtures, what libseccomp compiles, several filters on
// one another as containers have them, and the rawStacks.
func witnessStacks(t *testing.T) (names []string, policies []*Policy) {
	l := newLibseccomp(t)
	all := fixtures()
	all["libseccomp chain"] = l.compile(t, lines(libseccompRules()), eperm, 1).stack
	all["libseccomp tree"] = l.compile(t, lines(append(libseccompRules(), deny(2), deny(100))), 0x50026, 2).stack
	for _, last := range []uint64{45, 46} {
		all[fmt.Sprintf("libseccomp families to %d", last)] = l.compile(t, lines(families(last)), eperm, 1, "x32", "x86").stack
	}
	// A container can install filters of its own if its runtime's lets it.
	chain := l.compile(t, lines(append(libseccompRules(), rule{archAMD64, unix.SYS_SECCOMP, nil, allow})), eperm, 1)
	all["libseccomp and others"] = slices.Concat(chain.stack, all["stacked"][:2], bpf.Stack{equalFilter()})
	// The fixture's 512 outcomes would take more time than everything else.
	few := slices.Clone(all["errno from an argument"][0])
	few[1].K = 7
	all["errno from an argument"] = bpf.Stack{few}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		names = append(names, name)
		policies = append(policies, mustOf(t, all[name]))
	}
	raw, stacks := rawStacks(t)
	for i, s := range stacks {
		names = append(names, raw[i])
		policies = append(policies, mustOf(t, s))
	}
	return names, policies
}

// How many witnesses of each pair are sampled; and how many calls that kill the
// thread, and the process, are made under each stack, as each needs a process
// with the filters anew.
const (
	witnessesPerPair = 16
	lethalPerStack   = 3
)

// TestWitnessesInKernel compares every two stacks (or a share of the pairs), as written or as the kernel
// sees them, and has the kernel make the calls of a random sample of witnesses
// under the filters of both. POLICY_SEED repeats a sample.
func TestWitnessesInKernel(t *testing.T) {
	seed := time.Now().UnixNano()
	if s := os.Getenv("POLICY_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("POLICY_SEED=%d", seed)
	rng := rand.New(rand.NewSource(seed))
	k := newKernel(t)
	names, policies := witnessStacks(t)

	lists := make([][]shown, len(policies)) // by stack
	skipped := map[string]int{}
	var pairs [][2]int
	for i := range policies {
		for j := range i {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	rng.Shuffle(len(pairs), func(x, y int) { pairs[x], pairs[y] = pairs[y], pairs[x] })
	pairs = pairs[:kerneltest.Share(len(pairs))]
	witnesses := 0
	for _, pair := range pairs {
		i, j := pair[0], pair[1]
		a, b := policies[i], policies[j]
		of := fmt.Sprintf("%s and %s, as written", names[i], names[j])
		viewA, viewB := a, b
		if rng.Intn(2) == 0 {
			of = fmt.Sprintf("%s and %s, as the kernel sees them", names[i], names[j])
			viewA, viewB = a.KernelView(), b.KernelView()
		}
		c, err := Compare(viewA, viewB, Options{ABIs: syscalls.OfMachine("amd64")})
		if err != nil {
			t.Fatalf("%s: %v", of, err)
		}
		sampled := 0
		for _, n := range rng.Perm(len(c.Differences)) {
			w := c.Differences[n].Witness
			if w == nil || sampled == witnessesPerPair {
				continue
			}
			x, y, reason := k.sides(of, a.stack, b.stack, w)
			if reason != "" {
				skipped[reason]++
				continue
			}
			sampled++
			lists[i], lists[j] = append(lists[i], x), append(lists[j], y)
		}
		witnesses += sampled
	}

	seen := map[string]int{}
	made, refused := 0, 0
	for i, list := range lists {
		rng.Shuffle(len(list), func(x, y int) { list[x], list[y] = list[y], list[x] })
		lethal := map[bpf.Action]int{}
		list = slices.DeleteFunc(list, func(x shown) bool {
			lethal[x.ret.Action()]++
			return x.lethal() && lethal[x.ret.Action()] > lethalPerStack
		})
		wrong, err := k.contradicted(policies[i].stack, list, seen)
		if err != nil {
			t.Logf("%s: %v", names[i], err)
			refused++
			continue
		}
		made += len(list)
		for _, s := range wrong {
			t.Errorf("%s: %s", names[i], s)
		}
	}
	t.Logf("%d pairs of %d stacks, %d witnesses sampled, %d calls made under %d filters: %v; %d stacks refused; not made: %v",
		len(pairs), len(policies), witnesses, made, k.installed, seen, refused, skipped)
	if refused > 1 {
		t.Errorf("%d stacks cannot be installed one filter after the other", refused)
	}
	if k.ip386 != 0 && seen["386"] == 0 {
		t.Error("no call is 386")
	}
	for _, kind := range []string{"amd64", "x32", "executed or mediated", "ERRNO", "TRAP", "KILL_THREAD", "KILL_PROCESS"} {
		if seen[kind] == 0 {
			t.Errorf("no call is %s", kind)
		}
	}
}

// TestSwappedWitnessesInKernel makes calls under the wrong stacks: the kernel
// contradicts every witness whose two sides it can tell apart.
func TestSwappedWitnessesInKernel(t *testing.T) {
	k := newKernel(t)
	a, b := mustOf(t, fixtures()["container"]), mustOf(t, fixtures()["tree"])
	c, err := Compare(a, b, Options{ABIs: syscalls.OfMachine("amd64")})
	if err != nil {
		t.Fatal(err)
	}
	var listA, listB []shown
	for _, d := range c.Differences {
		x, y, reason := k.sides("swapped", a.stack, b.stack, d.Witness)
		if reason == "" && !x.lethal() && !y.lethal() && x.behindGuard(a.stack) != y.behindGuard(b.stack) {
			listA, listB = append(listA, x), append(listB, y)
		}
	}
	if len(listA) == 0 {
		t.Fatal("no witness")
	}
	for _, swapped := range []struct {
		s    bpf.Stack
		list []shown
	}{{a.stack, listB}, {b.stack, listA}} {
		wrong, err := k.contradicted(swapped.s, swapped.list, map[string]int{})
		if err != nil {
			t.Fatal(err)
		}
		if len(wrong) != len(swapped.list) {
			t.Errorf("the kernel contradicts %d of %d swapped witnesses: %q", len(wrong), len(swapped.list), wrong)
		}
	}
	t.Logf("%d witnesses swapped", len(listA))
}
