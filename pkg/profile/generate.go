package profile

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// An InexpressibleError says why there is no OCI profile for a policy.
type InexpressibleError struct {
	Scope  policy.Scope // the calls that stand against it; zero if it is the whole
	Reason string
}

func (e *InexpressibleError) Error() string {
	const what = "write a policy as an OCI profile: "
	if e.Scope.Arch == nil {
		return what + e.Reason
	}
	s := e.Scope
	name := s.Name()
	switch {
	case name != "":
	case s.NR.First == s.NR.Last:
		name = fmt.Sprintf("number %d", s.NR.First)
	default:
		name = fmt.Sprintf("numbers %d to %d", s.NR.First, s.NR.Last)
	}
	abi := "other architectures"
	if s.ABI != 0 {
		abi = s.ABI.String()
	}
	return fmt.Sprintf("%s%s of %s: %s", what, name, abi, e.Reason)
}

// FromPolicy returns an OCI profile that gives exactly the policy when the target
// loads it. A profile cannot say everything that a filter can; then the error is
// an *[InexpressibleError]. The result has been loaded and compared.
//
// A filter that runc loaded is best written for runc, whose ENOSYS stub is part of
// it and of what the profile comes to.
func FromPolicy(p *policy.Policy, t Target) (*LinuxSeccomp, error) {
	machine := syscalls.OfMachine(t.Arch)
	if len(machine) == 0 {
		return nil, fmt.Errorf("write a policy as an OCI profile: no architecture is called %q: want a GOARCH such as amd64", t.Arch)
	}
	// The result is plain OCI: what reads it does not matter.
	t.Runtime = Containerd
	parts, err := p.Partition(policy.Options{ABIs: machine})
	if err != nil {
		return nil, err
	}
	if parts.Truncated {
		return nil, &InexpressibleError{Reason: "it has more regions than can be listed"}
	}
	g := &generator{policy: p, target: t, rules: parts.Rules}
	if err := g.survey(machine); err != nil {
		return nil, err
	}
	var first error
	for _, byDefault := range g.defaults() {
		l, err := g.attempt(byDefault)
		if err == nil {
			return l, nil
		}
		var not *InexpressibleError
		if !errors.As(err, &not) {
			return nil, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

type generator struct {
	policy *policy.Policy
	target Target
	rules  []policy.Rule
	abis   []syscalls.ABI  // to be listed, the machine's own first
	strict map[string]bool // calls for which the first way to say it did not do
}

// attempt generates a profile with a given default. One and the same thing can be
// said of a call's 64-bit arguments in two ways, and cut down to 32 bits they are not
// the same. So where an ABI is not content with one, the other is tried.
func (g *generator) attempt(byDefault bpf.Return) (*LinuxSeccomp, error) {
	g.strict = map[string]bool{}
	for {
		l, err := g.generate(byDefault)
		var not *InexpressibleError
		if !errors.As(err, &not) || not.Scope.Name() == "" || g.strict[not.Scope.Name()] {
			return l, err
		}
		g.strict[not.Scope.Name()] = true
	}
}

// A style is how comparisons are written: strict with < and > instead of <= and >=.
type style struct{ strict bool }

// survey finds which ABIs are to be listed: those whose calls do not all kill the
// thread, which is what comes of not listing one.
func (g *generator) survey(machine []syscalls.ABI) error {
	g.abis = machine[:1]
	for _, rule := range g.rules {
		for _, d := range rule.Decisions {
			if d.Outcome.Undecided {
				return &InexpressibleError{rule.Scope, "what happens is undecided"}
			}
			switch {
			case d.Outcome.Return == bpf.KillThread.With(0) || slices.Contains(g.abis, rule.ABI):
			case rule.ABI == 0 || !slices.Contains(machine, rule.ABI):
				return &InexpressibleError{rule.Scope, "calls of an architecture that is not the machine's do not all kill the thread"}
			default:
				g.abis = append(slices.Clone(g.abis), rule.ABI)
			}
		}
	}
	return nil
}

// generate writes the profile with a given default, and proves that it is right.
func (g *generator) generate(byDefault bpf.Return) (*LinuxSeccomp, error) {
	l := &LinuxSeccomp{}
	var ok bool
	if l.DefaultAction, l.DefaultErrnoRet, ok = actionOf(byDefault); !ok {
		return nil, &InexpressibleError{Reason: fmt.Sprintf("no profile has the default action %s", byDefault)}
	}
	for i, abi := range g.abis {
		// An old runc puts a stub in front for what is listed only, and its machine's
		// own ABI need not be.
		if i == 0 && g.target.OCIRuntime == OldRunc && g.end(abi) == lastNumber(abi) {
			continue
		}
		l.Architectures = append(l.Architectures, abi.SCMP())
	}
	named := g.named(byDefault)
	l.Syscalls = append(l.Syscalls, LinuxSyscall{Names: named.ends, Action: l.DefaultAction, ErrnoRet: l.DefaultErrnoRet})
	plain := map[bpf.Return]int{}
	for _, abi := range g.abis {
		for _, call := range abi.Table() {
			if named.calls[call.Name] != abi {
				continue
			}
			entries, err := g.entries(abi, call, byDefault)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if len(e.Args) > 0 {
					l.Syscalls = append(l.Syscalls, e.LinuxSyscall)
					continue
				}
				i, ok := plain[e.ret]
				if !ok {
					i = len(l.Syscalls)
					plain[e.ret] = i
					e.Names = nil
					l.Syscalls = append(l.Syscalls, e.LinuxSyscall)
				}
				l.Syscalls[i].Names = append(l.Syscalls[i].Names, call.Name)
			}
		}
	}
	l.Syscalls = slices.DeleteFunc(l.Syscalls, func(e LinuxSyscall) bool { return len(e.Names) == 0 })
	for i := range l.Syscalls {
		slices.Sort(l.Syscalls[i].Names)
	}
	return l, g.prove(l)
}

// rule returns what the policy does with a number.
func (g *generator) rule(abi syscalls.ABI, nr uint32) *policy.Rule {
	i := slices.IndexFunc(g.rules, func(r policy.Rule) bool { return r.ABI == abi && r.NR.First <= nr && nr <= r.NR.Last })
	if i < 0 {
		return nil
	}
	return &g.rules[i]
}

// A generated entry and what it returns.
type generated struct {
	LinuxSyscall
	ret bpf.Return
}

// entries returns the entries for a call.
func (g *generator) entries(abi syscalls.ABI, call syscalls.Syscall, byDefault bpf.Return) ([]generated, error) {
	rule := g.rule(abi, call.Number)
	if rule == nil {
		return nil, fmt.Errorf("internal error: the partition lacks %s of %s", call.Name, abi)
	}
	scope := rule.Scope
	scope.NR = policy.Run{First: call.Number, Last: call.Number}
	var list []generated
	for _, d := range rule.Decisions {
		if d.Outcome.Return == byDefault {
			continue
		}
		e := generated{ret: d.Outcome.Return}
		var ok bool
		if e.Action, e.ErrnoRet, ok = actionOf(d.Outcome.Return); !ok {
			return nil, &InexpressibleError{scope, fmt.Sprintf("no profile has the action %s", d.Outcome.Return)}
		}
		e.Names = []string{call.Name}
		sets, why := style{g.strict[call.Name]}.arguments(abi, d.Condition)
		if why != "" {
			return nil, &InexpressibleError{scope, why}
		}
		for _, args := range sets {
			e.Args = args
			list = append(list, e)
		}
	}
	return list, nil
}

// prove loads the profile and compares what it comes to with the policy.
func (g *generator) prove(l *LinuxSeccomp) error {
	parsed, err := Parse(l.JSON())
	if err != nil {
		return fmt.Errorf("internal error: a generated profile is not one: %w", err)
	}
	loaded, err := parsed.Load(g.target)
	if err != nil {
		return &InexpressibleError{Reason: fmt.Sprintf("%s does not take the rules that it needs: %v", g.target.OCIRuntime, err)}
	}
	if len(loaded.Dependent) > 0 {
		d := loaded.Dependent[0]
		if d.NR == NoNumber {
			return &InexpressibleError{Reason: fmt.Sprintf("%s, which %s has not: %s", d.Name, d.ABI, d.Reason)}
		}
		return &InexpressibleError{policy.Scope{ABI: d.ABI, Arch: []policy.Run{{First: d.ABI.AuditArch(), Last: d.ABI.AuditArch()}}, NR: policy.Run{First: d.NR, Last: d.NR}}, d.Reason}
	}
	got, err := policy.Of(loaded.Stack(), g.policy.ByteOrder())
	if err != nil {
		return err
	}
	c, err := policy.Compare(g.policy, got, policy.Options{ABIs: g.abis})
	if err != nil || c.Relation == policy.Identical {
		return err
	}
	if len(c.Differences) == 0 {
		return &InexpressibleError{Reason: "rules that come near it are not the same"}
	}
	d := c.Differences[0]
	return &InexpressibleError{d.Scope, fmt.Sprintf("it has %s where a profile that has the rest right gives %s: an entry is for all architectures listed, and for names only",
		d.A.Format(d.ABI), d.B.Format(d.ABI))}
}

// actionOf returns the action and errno of a profile for a return value.
func actionOf(r bpf.Return) (action string, errnoRet *uint, ok bool) {
	data := uint(r.Data())
	switch r.Action() {
	case bpf.KillProcess:
		return "SCMP_ACT_KILL_PROCESS", nil, data == 0
	case bpf.KillThread:
		return "SCMP_ACT_KILL_THREAD", nil, data == 0
	case bpf.Trap:
		return "SCMP_ACT_TRAP", nil, data == 0
	case bpf.Errno:
		return "SCMP_ACT_ERRNO", &data, true
	case bpf.UserNotif:
		return "SCMP_ACT_NOTIFY", nil, true
	case bpf.Trace:
		return "SCMP_ACT_TRACE", &data, true
	case bpf.Log:
		return "SCMP_ACT_LOG", nil, true
	case bpf.Allow:
		return "SCMP_ACT_ALLOW", nil, true
	}
	return "", nil, false
}

// arguments returns a condition as the arguments of entries, of which one has to
// hold, or why that cannot be done.
func (s style) arguments(abi syscalls.ABI, c *policy.Condition) (sets [][]LinuxSeccompArg, why string) {
	if c.Always() {
		return [][]LinuxSeccompArg{nil}, ""
	}
	// The shortest first: a rule for a conjunction, rules for a disjunction. But
	// what libseccomp may not keep the meaning of is the last resort.
	for _, way := range []func(syscalls.ABI, *policy.Condition) [][]LinuxSeccompArg{s.conjunction, s.disjunction, cubes} {
		found := way(abi, c)
		if found != nil && competing(rulesOf(found)) == "" {
			return found, ""
		}
		if sets == nil {
			sets = found
		}
	}
	if sets == nil {
		return nil, fmt.Sprintf("no few comparisons are the same as %q", clip(c.String()))
	}
	return sets, ""
}

// rulesOf returns what entries with one action come to for a call.
func rulesOf(sets [][]LinuxSeccompArg) []Rule {
	rules := make([]Rule, len(sets))
	for i, set := range sets {
		for _, a := range set {
			rules[i].Conditions = append(rules[i].Conditions, a.condition())
		}
	}
	return rules
}

// conjunction returns entries' arguments for a condition that is one of each
// argument: all ways to choose a comparison for each, as long as there are few. It is
// nil if that cannot be done.
func (s style) conjunction(abi syscalls.ABI, c *policy.Condition) [][]LinuxSeccompArg {
	const most = 64
	factors, ok := c.Factors(false)
	if !ok {
		return nil
	}
	sets := [][]LinuxSeccompArg{nil}
	for _, f := range factors {
		list := s.comparisons(abi, f, f.Ranges)
		if list == nil {
			list = tests(abi, f.Arg, f.In)
		}
		var longer [][]LinuxSeccompArg
		for _, a := range list {
			for _, set := range sets {
				longer = append(longer, append(slices.Clone(set), a))
			}
		}
		if len(longer) == 0 || len(longer) > most {
			return nil
		}
		sets = longer
	}
	return sets
}

// disjunction does so for a condition that is the opposite of such a one: what one
// of the arguments must not be is enough.
func (s style) disjunction(abi syscalls.ABI, c *policy.Condition) [][]LinuxSeccompArg {
	factors, ok := c.Factors(true)
	if !ok {
		return nil
	}
	var sets [][]LinuxSeccompArg
	for _, f := range factors {
		list := s.comparisons(abi, f, gaps(f))
		if list == nil {
			list = tests(abi, f.Arg, f.Out)
		}
		if list == nil {
			return nil
		}
		for _, a := range list {
			sets = append(sets, []LinuxSeccompArg{a})
		}
	}
	return sets
}

// cubes does so for what takes tests of bits only.
func cubes(abi syscalls.ABI, c *policy.Condition) (sets [][]LinuxSeccompArg) {
	list, ok := c.Cubes()
	if !ok {
		return nil
	}
	for _, q := range list {
		var args []LinuxSeccompArg
		for i, mask := range q.Mask {
			if mask != 0 {
				args = append(args, test(abi, i, policy.Masked{Mask: mask, Value: q.Value[i]}))
			}
		}
		sets = append(sets, args)
	}
	return sets
}

// tests returns tests of an argument's bits as comparisons.
func tests(abi syscalls.ABI, arg int, list []policy.Masked) (args []LinuxSeccompArg) {
	for _, t := range list {
		args = append(args, test(abi, arg, t))
	}
	return args
}

func test(abi syscalls.ABI, arg int, t policy.Masked) LinuxSeccompArg {
	if t.Mask == math.MaxUint64>>(64-32*words(abi)) {
		return LinuxSeccompArg{Index: uint(arg), Op: "SCMP_CMP_EQ", Value: t.Value}
	}
	return LinuxSeccompArg{Index: uint(arg), Op: "SCMP_CMP_MASKED_EQ", Value: t.Mask, ValueTwo: t.Value}
}

// gaps returns the ranges between those of a factor.
func gaps(f policy.Factor) []policy.Range {
	if f.Ranges == nil {
		return nil
	}
	var list []policy.Range
	next, last := uint64(0), lastValue(f)
	for _, r := range f.Ranges {
		if r.First > next {
			list = append(list, policy.Range{First: next, Last: r.First - 1})
		}
		if r.Last == last {
			return list
		}
		next = r.Last + 1
	}
	return append(list, policy.Range{First: next, Last: last})
}

func lastValue(f policy.Factor) uint64 { return math.MaxUint64 >> (64 - f.Bits) }

// comparisons returns comparisons of an argument of which one has to hold for it to
// be in one of the ranges. It is nil if there are none: a range with two ends, unless
// of few values, takes two, and of two an entry wants only one to hold.
func (s style) comparisons(abi syscalls.ABI, f policy.Factor, ranges []policy.Range) []LinuxSeccompArg {
	const few = 8
	if f.Bits != 32*words(abi) {
		return nil
	}
	last := lastValue(f)
	one := func(op string, value uint64) LinuxSeccompArg {
		return LinuxSeccompArg{Index: uint(f.Arg), Op: op, Value: value}
	}
	if len(ranges) == 2 && ranges[0].First == 0 && ranges[1].Last == last && ranges[0].Last+2 == ranges[1].First {
		return []LinuxSeccompArg{one("SCMP_CMP_NE", ranges[0].Last+1)}
	}
	var list []LinuxSeccompArg
	for _, r := range ranges {
		switch {
		case r.First == r.Last:
			list = append(list, one("SCMP_CMP_EQ", r.First))
		case r.First == 0 && s.strict:
			list = append(list, one("SCMP_CMP_LT", r.Last+1))
		case r.Last == last && s.strict:
			list = append(list, one("SCMP_CMP_GT", r.First-1))
		case r.First == 0:
			list = append(list, one("SCMP_CMP_LE", r.Last))
		case r.Last == last:
			list = append(list, one("SCMP_CMP_GE", r.First))
		case r.Last-r.First < few:
			for v := r.First; v <= r.Last; v++ {
				list = append(list, one("SCMP_CMP_EQ", v))
			}
		default:
			return nil
		}
	}
	return list
}
