package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A Check is a kind of Finding.
type Check string

const (
	// WideArgument: calls are denied that the kernel cannot tell from calls
	// that are executed, as they differ in what it ignores.
	WideArgument Check = "wide-argument"
	// OtherABI: a call that is denied for some arguments is executed for all of
	// them, or for some, in another ABI of the machine.
	OtherABI Check = "other-abi"
	// Multiplexer: it is executed for all through socketcall or ipc.
	Multiplexer Check = "multiplexer"
	// Twin: it is executed for all through another call that does the same.
	Twin Check = "twin"
	// ArchUnchecked: numbers of two ABIs, in which they mean different calls,
	// are treated alike.
	ArchUnchecked Check = "arch-unchecked"
	// FakeSuccess: calls are not executed and return 0.
	FakeSuccess Check = "fake-success"
	// NeedsSupervisor: USER_NOTIF, which is ENOSYS without a listener.
	NeedsSupervisor Check = "needs-supervisor"
	// NeedsTracer: TRACE, which is ENOSYS without a tracer.
	NeedsTracer Check = "needs-tracer"
	// OpenEnd: calls that are newer than the filters, or that future kernels add,
	// are executed.
	OpenEnd Check = "open-end"
	// Newer: calls that are newer than the filters get what numbers get that no
	// call has.
	Newer Check = "newer"
	// Exempt: a denied call that some kernels execute without asking filters.
	Exempt Check = "exempt"
)

// A Finding is something about a policy that a reader may not expect.
type Finding struct {
	Check Check
	ABI   syscalls.ABI
	Call  string // name of the system call; "" if it is not about one
	// Detail is a sentence without a full stop.
	Detail string
	// Witness, of WideArgument, is a call that is denied as A, and as B
	// executed, although the kernel sees no difference.
	Witness *Witness
}

// Lint looks for what is surprising in a policy on a machine with the given
// ABIs, the native one first, whatever its kernel is. Findings are facts, not
// faults. The error, if any, is an internal one.
func (p *Policy) Lint(abis []syscalls.ABI) ([]Finding, error) {
	return p.LintOn(abis, syscalls.Release{})
}

// LintOn is Lint for a machine with a kernel: of what depends on its release, it
// says what is so there. The zero Release is any.
func (p *Policy) LintOn(abis []syscalls.ABI, kernel syscalls.Release) ([]Finding, error) {
	if p.written != nil {
		p = p.written
	}
	l := &linter{m: bdd.New(compareNodes), form: p.form, abis: abis, kernel: kernel}
	l.conditions = newConditions(l.m, p.form, true)
	l.zero = l.m.NewOp(true, func(zero, _ uint64) uint64 { return zero })
	l.opened = l.m.NewOp(false, isOpened)
	if err := l.m.Try(compareNodes, func() { l.root = l.m.Import(p.diagram) }); err != nil {
		return nil, err
	}
	if err := l.arguments(p); err != nil {
		return nil, err
	}
	l.architecture()
	for i, abi := range abis {
		for _, call := range abi.Table() {
			if err := l.call(abi, call, i == 0); err != nil {
				return nil, err
			}
		}
		l.end(abi)
	}
	return l.findings, nil
}

type linter struct {
	m            *bdd.Manager
	form         Form
	root         bdd.Ref
	conditions   *conditions
	zero, opened *bdd.Op
	abis         []syscalls.ABI
	kernel       syscalls.Release
	findings     []Finding
}

// any tells that it is about any kernel.
func (l *linter) any() bool { return l.kernel == syscalls.Release{} }

func (l *linter) add(check Check, abi syscalls.ABI, call, format string, args ...any) {
	l.findings = append(l.findings, Finding{Check: check, ABI: abi, Call: call, Detail: fmt.Sprintf(format, args...)})
}

// arguments finds what a caller gains by what the kernel ignores.
func (l *linter) arguments(p *Policy) error {
	c, err := Compare(p.plainView(), p.KernelView(), Options{ABIs: l.abis})
	if err != nil {
		return err
	}
	for _, d := range c.Differences {
		if d.Direction != DirectionLooser || !slices.Contains(l.abis, d.ABI) {
			continue
		}
		call := d.Name()
		l.add(WideArgument, d.ABI, call, "%s when %s, but %s with other bits that the kernel ignores", d.A.Format(d.ABI), d.Condition, d.B.Format(d.ABI))
		l.findings[len(l.findings)-1].Witness = d.Witness
	}
	return nil
}

// architecture compares the ABIs with the native one.
func (l *linter) architecture() {
	for i, abi := range l.abis {
		if i == 0 || abi.AuditArch() == l.abis[0].AuditArch() {
			continue
		}
		native, other := l.arch(l.abis[0]), l.arch(abi)
		if native == other && l.m.Level(native) < levelFree {
			l.add(ArchUnchecked, abi, "", "calls get what the %s calls of the same numbers get, which are others", l.abis[0])
		}
	}
}

func (l *linter) arch(abi syscalls.ABI) bdd.Ref {
	return descend(l.m, l.root, levelArch, abi.AuditArch())
}

// outcomes returns what can happen to a call, nil if the ABI does not have it.
func (l *linter) outcomes(abi syscalls.ABI, name string) []Outcome {
	nr, ok := abi.Number(name)
	if !ok {
		return nil
	}
	return l.outcomesOf(abi, nr)
}

func (l *linter) outcomesOf(abi syscalls.ABI, nr uint32) []Outcome {
	var list []Outcome
	for _, leaf := range l.conditions.leavesOf(descend(l.m, l.arch(abi), levelNR, nr)) {
		list = append(list, outcome(leaf))
	}
	return list
}

// executed tells whether all of some outcomes are that the call is executed.
func executed(list []Outcome) bool {
	return len(list) > 0 && !slices.ContainsFunc(list, func(o Outcome) bool { return o.Undecided || AccessOf(o.Return.Action()) != Executed })
}

// denied tells whether one of them is that it is denied.
func denied(list []Outcome) bool {
	return slices.ContainsFunc(list, func(o Outcome) bool { return !o.Undecided && AccessOf(o.Return.Action()) == Denied })
}

// exempt are the calls of amd64 that the kernel executes without asking filters
// from the named releases on (__seccomp_filter and seccomp_uprobe_exception in
// kernel/seccomp.c). That was brought to stable releases of older kernels, too.
var exempt = map[string]syscalls.Release{"uretprobe": {Major: 6, Minor: 14}, "uprobe": {Major: 6, Minor: 18}}

// exempt looks at a call that filters deny.
func (l *linter) exempt(abi syscalls.ABI, call string) {
	since, ok := exempt[call]
	if !ok || abi != syscalls.AMD64 {
		return
	}
	added, _ := syscalls.Since(call)
	switch {
	case l.any():
		l.add(Exempt, abi, call, "denied by filters, but Linux from %v on does not ask them", since)
	case l.kernel.AtLeast(since):
		l.add(Exempt, abi, call, "denied by filters, but this kernel, Linux %v, does not ask them", l.kernel)
	case l.kernel.AtLeast(added):
		l.add(Exempt, abi, call, "denied by filters, but this kernel, Linux %v, may have the change of %v not to ask them", l.kernel, since)
	}
}

func (l *linter) call(abi syscalls.ABI, call syscalls.Syscall, native bool) error {
	list := l.outcomesOf(abi, call.Number)
	for _, o := range list {
		switch {
		case o.Undecided:
		case o.Return == bpf.Errno.With(0):
			l.add(FakeSuccess, abi, call.Name, "ERRNO(0): the call is not executed and returns 0, as if it had been")
		case o.Return.Action() == bpf.UserNotif:
			l.add(NeedsSupervisor, abi, call.Name, "USER_NOTIF is ENOSYS once no listener is left")
		case o.Return.Action() == bpf.Trace:
			l.add(NeedsTracer, abi, call.Name, "TRACE is ENOSYS without a tracer")
		}
	}
	if !denied(list) {
		return nil
	}
	l.exempt(abi, call.Name)
	for _, other := range l.abis {
		if native && other != abi {
			if executed(l.outcomes(other, call.Name)) {
				l.add(OtherABI, abi, call.Name, "restricted, but every such call of ABI %s is executed", other)
			} else if when, err := l.partly(abi, call, other); err != nil {
				return err
			} else if when != nil {
				l.add(OtherABI, abi, call.Name, "restricted, but such calls of ABI %s are executed when %s", other, when)
			}
		}
		if multiplexer, list := l.through(other, call.Name); (native || other == abi) && executed(list) {
			l.add(Multiplexer, abi, call.Name, "restricted, but every such call by %s of ABI %s is executed", multiplexer, other)
		}
	}
	for _, group := range twins {
		if !slices.Contains(group, call.Name) {
			continue
		}
		for _, twin := range group {
			if executed(l.outcomes(abi, twin)) {
				l.add(Twin, abi, call.Name, "restricted, but every %s, which does the same, is executed", twin)
			}
		}
	}
	return nil
}

// twins are calls of which each does what the others do, given the right
// arguments: where one is restricted and another is not, the restriction stops
// nobody. Calls that are merely related (fork and clone, chroot and pivot_root)
// are none: see [syscalls.Background] for those.
var twins = [][]string{
	{"open", "openat", "openat2"},
	{"clone", "clone3"},
	{"execve", "execveat"},
	{"init_module", "finit_module"},
	{"kexec_load", "kexec_file_load"},
	{"mknod", "mknodat"},
	{"settimeofday", "clock_settime", "clock_settime64"},
	{"quotactl", "quotactl_fd"},
}

// Twins returns the other calls that do what a call does, given the right arguments,
// so that to restrict one of them alone stops nobody; nil if there are none.
func Twins(name string) []string {
	for _, group := range twins {
		if i := slices.Index(group, name); i >= 0 {
			return slices.Delete(slices.Clone(group), i, i+1)
		}
	}
	return nil
}

// through returns the outcomes of a call that is made by socketcall or ipc, nil if it
// cannot be under an ABI.
func (l *linter) through(abi syscalls.ABI, name string) (multiplexer string, list []Outcome) {
	multiplexer, call, ok := syscalls.Multiplexed(name)
	nr, has := abi.Number(multiplexer)
	if !ok || !has {
		return "", nil
	}
	sub := descend(l.m, l.arch(abi), levelNR, nr)
	if l.m.Try(compareNodes, func() {
		// Where the first argument is the one that asks for the call, with nothing
		// above: a filter that looks for something there is left to others.
		first := (&in{operand: 1, spans: []span{{uint64(call), uint64(call)}}}).diagram(l.m, l.form)
		sub = l.m.Restrict(sub, first)
	}) != nil {
		return "", nil
	}
	for _, leaf := range l.m.Leaves(sub) {
		list = append(list, outcome(leaf))
	}
	return multiplexer, list
}

// partly tells when a call that is denied under the native ABI is executed under
// another one, given the same values of all arguments: those that fit 32 bits. It is
// nil if it never is, and where the arguments are not known to be the same.
func (l *linter) partly(native syscalls.ABI, call syscalls.Syscall, other syscalls.ABI) (*Condition, error) {
	nr, ok := other.Number(call.Name)
	x, y := native.Params(call.Name), other.Params(call.Name)
	if !ok || x == nil || !slices.EqualFunc(x, y, func(p, q syscalls.Param) bool { return p.Name == q.Name }) {
		return nil, nil
	}
	open := bdd.False
	if l.m.Try(compareNodes, func() {
		low := func(f bdd.Ref) bdd.Ref {
			return l.m.Quantify(f, func(level int) bool {
				w, _ := l.form.bitOf(level)
				return w >= wordArg0High && w%2 == 0
			}, l.zero)
		}
		f, g := descend(l.m, l.arch(native), levelNR, call.Number), descend(l.m, l.arch(other), levelNR, nr)
		open = l.m.Apply(l.opened, low(f), low(g))
	}) != nil || open == bdd.False || l.conditions.full() {
		return nil, nil
	}
	arch := native.AuditArch()
	return l.conditions.of(Scope{ABI: native, Arch: []Run{{arch, arch}}, NR: Run{call.Number, call.Number}}, open)
}

// isOpened tells whether a call is denied as x, and executed as y.
func isOpened(x, y uint64) uint64 {
	if x != undecided && y != undecided && AccessOf(bpf.Return(x).Action()) == Denied && AccessOf(bpf.Return(y).Action()) == Executed {
		return 1
	}
	return 0
}

// end looks at the numbers that have no call yet, from the one after the last on,
// and at the calls just before it that filters do not tell from them: those are
// newer than the filters, or might be.
func (l *linter) end(abi syscalls.ABI) {
	table := abi.Table()
	if len(table) == 0 {
		return
	}
	last := table[len(table)-1]
	var end Run
	var sub bdd.Ref
	n := 0
	l.m.Runs(l.arch(abi), levelNR, 32, func(first, to uint64, f bdd.Ref) bool {
		end, sub = Run{uint32(first), uint32(to)}, f
		n++
		return end.Last <= last.Number && n < maxRuns
	})
	if end.Last <= last.Number {
		return
	}
	i := slices.IndexFunc(table, func(c syscalls.Syscall) bool { return c.Number >= end.First })
	known, names := last.Name+", the last known here", ""
	if i > 0 {
		// Filters are as old as the last call that they know; but not older than
		// seccomp, so that one from before says nothing.
		if since, ok := syscalls.Since(table[i-1].Name); ok && since.AtLeast(firstFilters) {
			known = fmt.Sprintf("%s of Linux %v, the last that filters tell apart", table[i-1].Name, since)
			names = l.here(table[i:])
		}
	}
	var outcomes []Outcome
	for _, leaf := range l.m.Leaves(sub) {
		outcomes = append(outcomes, outcome(leaf))
	}
	switch {
	case executed(outcomes):
		l.add(OpenEnd, abi, "", "calls that come after %s, are executed%s", known, names)
	case names != "" && len(outcomes) == 1:
		l.add(Newer, abi, "", "calls that come after %s, get %s%s", known, outcomes[0].Format(abi), names)
	}
}

// firstFilters is the release that brought SECCOMP_MODE_FILTER.
var firstFilters = syscalls.Release{Major: 3, Minor: 5}

// here names the first of those calls that the kernel has, behind a colon; "" if it
// has none.
func (l *linter) here(calls []syscalls.Syscall) string {
	var names []string
	for _, c := range calls {
		since, ok := syscalls.Since(c.Name)
		if l.any() || ok && l.kernel.AtLeast(since) {
			names = append(names, c.Name)
		}
	}
	where := ""
	if !l.any() {
		where = fmt.Sprintf(" on this kernel, Linux %v,", l.kernel)
	}
	const most = 6
	switch more := len(names) - most; {
	case len(names) == 0:
		return ""
	case more > 1:
		return fmt.Sprintf(":%s %s and %d more", where, strings.Join(names[:most], ", "), more)
	}
	return fmt.Sprintf(":%s %s", where, strings.Join(names, ", "))
}
