package plugin

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/recording"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// newTightening compares what a source's policy allows with what was called. Both are
// looked at as the kernel does: what it ignores of an argument makes no difference. With
// start, what containers call to start is not unused.
func newTightening(s *source.Source, r *v1alpha1.Recording, start bool) (*v1alpha1.Tightening, error) {
	if s.Dump.States[0].Mode == wire.ModeStrict.String() {
		return nil, fmt.Errorf("tighten %s: its main thread is in seccomp's strict mode, which has no filters", s.Name())
	}
	if r.Source.Arch != s.Dump.Source.Arch {
		return nil, fmt.Errorf("tighten %s: it is of %s, and the recording of %s: record on a machine of that kind", s.Name(), s.Dump.Source.Arch, r.Source.Arch)
	}
	t := &tightener{source: s, recording: r, Tightening: &v1alpha1.Tightening{
		TypeMeta: v1alpha1.TypeMeta("Tightening"), Source: s.Dump.Source, Recorded: r.Source, Runs: max(len(r.Runs), 1),
		Coverage: r.Coverage, Unused: []v1alpha1.UnusedCall{}, Refused: r.Refused,
	}}
	var err error
	if t.calls, err = recording.Calls(&r.RecordedRun); err != nil {
		return nil, err
	}
	p, err := s.Policy(0)
	if err != nil {
		return nil, err
	}
	if err := t.count(p); err != nil {
		return nil, err
	}
	used, err := t.policyOf(nil, t.calls)
	if err != nil {
		return nil, err
	}
	c, err := policy.Compare(p.KernelView(), used, policy.Options{ABIs: s.ABIs})
	if err != nil {
		return nil, err
	}
	for _, d := range c.Differences {
		if err := t.add(d); err != nil {
			return nil, err
		}
	}
	t.unused(start)
	return t.Tightening, nil
}

// tightener collects a v1alpha1.Tightening.
type tightener struct {
	*v1alpha1.Tightening
	source    *source.Source
	recording *v1alpha1.Recording
	calls     []recording.Call
	open      []openCall
}

// openCall is a call that is allowed and was not made under a condition.
type openCall struct {
	abi             syscalls.ABI
	name, condition string
}

// policyOf is the kernel's view of filters on top of which only these calls are allowed.
func (t *tightener) policyOf(stack bpf.Stack, calls []recording.Call) (*policy.Policy, error) {
	f, err := recording.Filter(calls)
	if err != nil {
		return nil, err
	}
	p, err := policy.Of(append(slices.Clone(stack), f), t.source.Order())
	if err != nil {
		return nil, err
	}
	return p.KernelView(), nil
}

// called tells whether a syscall was, in an ABI or, if that is 0, in any.
func (t *tightener) called(abi syscalls.ABI, name string) bool {
	return slices.ContainsFunc(t.recording.Calls, func(c v1alpha1.RecordedCall) bool {
		return c.Syscall == name && (abi == 0 || c.ABI == abi.String())
	})
}

// entered tells whether a call was made in an ABI.
func (t *tightener) entered(abi syscalls.ABI) bool {
	return slices.ContainsFunc(t.calls, func(c recording.Call) bool { return c.ABI == abi })
}

// count counts what is allowed and what was used.
func (t *tightener) count(p *policy.Policy) error {
	partition, err := p.Partition(policy.Options{ABIs: t.source.ABIs})
	if err != nil {
		return err
	}
	allowed := make(map[string]bool)
	for i, abi := range t.source.ABIs {
		if i > 0 && !t.entered(abi) {
			continue
		}
		for _, call := range abi.Table() {
			if rule, ok := partition.Find(abi.AuditArch(), call.Number); ok && slices.ContainsFunc(rule.Decisions, passes) {
				allowed[call.Name] = true
			}
		}
	}
	t.Allowed = len(allowed)
	names := make(map[string]bool)
	for _, c := range t.recording.Calls {
		if c.Syscall != "" {
			names[c.Syscall] = true
		}
	}
	t.Used = len(names)
	return nil
}

// passes tells whether a decision is one by which a call gets somewhere.
func passes(d policy.Decision) bool {
	return !d.Outcome.Undecided && policy.AccessOf(d.Outcome.Return.Action()) != policy.Denied
}

// add looks at a difference between what is allowed, A, and what was used, B.
func (t *tightener) add(d policy.Difference) error {
	if d.ABI == 0 || d.A.Undecided {
		return nil
	}
	a, b := policy.AccessOf(d.A.Return.Action()), policy.AccessOf(d.B.Return.Action())
	for _, scope := range split(d.Scope) {
		name := scope.Name()
		switch {
		case a != policy.Denied && b == policy.Denied && name != "":
			condition, _ := words(d.Condition)
			t.open = append(t.open, openCall{d.ABI, name, condition})
		case a == policy.Denied && b != policy.Denied:
			for nr := scope.NR.First; ; nr++ {
				if err := t.missing(d.ABI, nr); err != nil {
					return err
				}
				if nr == scope.NR.Last {
					break
				}
			}
		}
	}
	return nil
}

// missing lists a call that was made, and that the policy denies for some arguments at
// least: for each value that was recorded, whether for all others.
func (t *tightener) missing(abi syscalls.ABI, nr uint32) error {
	i := slices.IndexFunc(t.calls, func(c recording.Call) bool { return c.ABI == abi && c.NR == nr })
	made := slices.IndexFunc(t.recording.Calls, func(c v1alpha1.RecordedCall) bool { return c.ABI == abi.String() && c.NR == fmt.Sprintf("%#x", nr) })
	if i < 0 || made < 0 {
		return nil
	}
	call := t.recording.Calls[made]
	if slices.ContainsFunc(t.Missing, func(m v1alpha1.MissingCall) bool { return m.ABI == call.ABI && m.NR == call.NR }) {
		return nil // by another condition
	}
	list := []v1alpha1.MissingCall{{RecordedCall: call}}
	each := []recording.Call{t.calls[i]}
	if each[0].Arg >= 0 {
		list, each = nil, nil
		for _, v := range t.recording.Values {
			if v.ABI == call.ABI && v.NR == call.NR {
				list = append(list, v1alpha1.MissingCall{RecordedCall: v.RecordedCall, Parameter: v.Parameter, Value: v.Value, Text: v.Text})
			}
		}
		for _, v := range t.calls[i].Values {
			one := t.calls[i]
			one.Values = []uint32{v}
			each = append(each, one)
		}
	}
	for n := range list {
		all, err := t.policyOf(nil, each[n:n+1])
		if err != nil {
			return err
		}
		let, err := t.policyOf(t.source.Stacks[0], each[n:n+1])
		if err != nil {
			return err
		}
		c, err := policy.Compare(all, let, policy.Options{ABIs: []syscalls.ABI{abi}})
		if err != nil {
			return err
		}
		partition, err := let.Partition(policy.Options{ABIs: []syscalls.ABI{abi}})
		if err != nil {
			return err
		}
		rule, _ := partition.Find(abi.AuditArch(), nr)
		list[n].Certain = !slices.ContainsFunc(rule.Decisions, passes)
		if slices.ContainsFunc(c.Differences, func(d policy.Difference) bool {
			return d.Has(abi.AuditArch(), nr) && !d.B.Undecided && policy.AccessOf(d.A.Return.Action()) == policy.Executed && policy.AccessOf(d.B.Return.Action()) == policy.Denied
		}) {
			t.Missing = append(t.Missing, list[n])
		}
	}
	return nil
}

// unused lists what is open by syscall, the risky ones first.
func (t *tightener) unused(start bool) {
	byName := make(map[string]*v1alpha1.UnusedCall)
	abis := make(map[syscalls.ABI]bool)
	starts := profile.StartNames()
	for _, o := range t.open {
		abis[o.abi] = true
		if o.abi != t.source.ABIs[0] && !t.entered(o.abi) {
			continue // all of that ABI is unused
		}
		anywhere := t.called(0, o.name)
		if anywhere && !t.called(o.abi, o.name) {
			continue // that is another ABI's
		}
		if start && slices.Contains(starts, o.name) {
			if !anywhere && !slices.Contains(t.Start, o.name) {
				t.Start = append(t.Start, o.name)
			}
			continue
		}
		u := byName[o.name]
		if u == nil {
			background, _ := syscalls.BackgroundOf(o.name)
			u = &v1alpha1.UnusedCall{Syscall: o.name, Called: anywhere, Condition: o.condition, Risk: background.Risk, Capability: background.Capability}
			byName[o.name] = u
		}
		if abi := o.abi.String(); !slices.Contains(u.ABIs, abi) {
			u.ABIs = append(u.ABIs, abi)
		}
	}
	slices.Sort(t.Start)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		t.Unused = append(t.Unused, *byName[name])
	}
	slices.SortStableFunc(t.Unused, func(a, b v1alpha1.UnusedCall) int {
		return cmp.Or(order(a.Risk == "")-order(b.Risk == ""), order(a.Called)-order(b.Called))
	})
	for _, abi := range t.source.ABIs {
		if abis[abi] && !t.entered(abi) {
			t.UnusedABIs = append(t.UnusedABIs, abi.String())
		}
	}
}

// remaining is the profile that allows what a source allows and was used, and nothing
// else. What was not used fails with EPERM, and what the source denies for its arguments
// as it does there.
func remaining(s *source.Source, uses []profile.Use, abis []syscalls.ABI) ([]byte, error) {
	used, err := profile.Parse(profile.Allowing(uses, abis).JSON())
	if err != nil {
		return nil, err
	}
	// What runc puts in front of any profile (ENOSYS for numbers that are newer than it)
	// denies in another manner, and allows nothing: it need not be said.
	target := profile.Target{Arch: s.Dump.Source.Arch, OCIRuntime: profile.Crun}
	loaded, err := used.Load(target)
	if err != nil {
		return nil, err
	}
	// Of two filters that return an error, the newer one's error counts.
	both, err := policy.Of(slices.Concat(s.Stacks[0], loaded.Stack()), s.Order())
	if err != nil {
		return nil, err
	}
	out, err := profile.FromPolicy(both, target)
	if err != nil {
		return nil, fmt.Errorf("tighten %s: %w", s.Name(), err)
	}
	return out.JSON(), nil
}
