package plugin

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// fromReport makes a source of what a probe read of a container: the subject's
// state first. What the node or the container had a say in is escaped here, for
// whatever prints it.
func fromReport(o target.Operand, w wanted, r *report.Report, t *report.Target) *source.Source {
	from := containerSource(w.container)
	from.Operand, from.Node, from.PID = o.Text, w.node, t.PID
	if from.Container == "" {
		from.Comm = terminal.Escape(comm(t))
	}
	describeNode(&from, r)
	s := &source.Source{ABIs: r.ABIs, Dump: v1alpha1.Dump{
		TypeMeta:  v1alpha1.TypeMeta("Dump"),
		Processes: t.Processes,
		Threads:   t.Threads,
		Compat:    t.Compat,
		Source:    from,
	}}
	states := slices.Clone(t.States)
	slices.SortStableFunc(states, func(a, b *report.State) int { return order(b.Subject) - order(a.Subject) })
	for _, state := range states {
		if state.Policy != nil {
			s.Keep(len(s.Stacks), state.Policy)
		}
		s.Stacks = append(s.Stacks, state.Stack)
		s.Dump.States = append(s.Dump.States, v1alpha1.State{
			Confinement: source.Confinement(state, s.Order()),
			Subject:     state.Subject,
			Processes:   state.Processes,
			Threads:     state.Threads,
			Presumed:    state.Presumed,
			Sample:      slices.Concat(threads(state.Read, true), threads(state.Sample, false)),
		})
		hashes := s.Dump.States[len(s.Dump.States)-1].Filters
		for i, f := range state.Stack {
			if !slices.ContainsFunc(s.Dump.Filters, func(f v1alpha1.Filter) bool { return f.SHA256 == hashes[i] }) {
				s.Dump.Filters = append(s.Dump.Filters, v1alpha1.Filter{SHA256: hashes[i], Instructions: len(f), Program: f.Encode(s.Order())})
			}
		}
	}
	s.Dump.Problems = source.Problems(t.Problems)
	return s
}

// comm is the name of a target's main thread.
func comm(t *report.Target) string {
	for _, s := range t.States {
		for _, thread := range slices.Concat(s.Read, s.Sample) {
			if thread.TID == t.PID {
				return thread.Comm
			}
		}
	}
	return ""
}

// containerSource is what the cluster says of a container.
func containerSource(c target.Container) v1alpha1.Source {
	return v1alpha1.Source{
		Operand: c.String(), Namespace: c.Namespace, Pod: c.Pod, PodUID: c.PodUID, Workload: terminal.Escape(c.Workload),
		Container: c.Name, ContainerID: c.ID, Image: terminal.Escape(c.Image), Node: c.Node,
	}
}

// describeNode adds to a source what a report says of its node.
func describeNode(s *v1alpha1.Source, r *report.Report) {
	s.Kernel, s.Arch = terminal.Escape(r.Hello.Kernel), r.Hello.Arch
	for _, abi := range r.ABIs {
		s.ABIs = append(s.ABIs, abi.String())
	}
}

// order sorts false before true.
func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fingerprintOf is that of a state's policy, whatever is selected of it; "" if it is
// undecided.
func fingerprintOf(s *source.Source, state int) (string, error) {
	p, err := s.Policy(state)
	if err != nil {
		return "", err
	}
	print, err := p.Fingerprint()
	if errors.Is(err, policy.ErrUndecided) {
		return "", nil
	}
	return print, err
}

// newDump returns what is known of a source, and what its filters do.
func newDump(s *source.Source, sel *selection) (*v1alpha1.Dump, error) {
	d := s.Dump.DeepCopy()
	d.Selection = sel.shown()
	var names []string
	for i := range d.States {
		state := &d.States[i]
		if state.Mode != wire.ModeDisabled.String() && s.Stacks[i] == nil {
			continue
		}
		p, err := sel.policyOf(s, i)
		if err != nil {
			return nil, err
		}
		if state.Fingerprint, err = fingerprintOf(s, i); err != nil {
			return nil, err
		}
		if state.Syscalls, state.Truncated, err = summarize(p, s.ABIs, sel); err != nil {
			return nil, err
		}
		for _, summary := range state.Syscalls {
			for _, group := range summary.Groups {
				names = append(names, group.Syscalls...)
			}
		}
		if state.Findings, err = findings(s, p, sel.has); err != nil {
			return nil, err
		}
	}
	d.Risks = sel.risks(names)
	return d, nil
}

// findings are those about a policy of a source that has chooses, by ABI and syscall.
func findings(s *source.Source, p *policy.Policy, has func(abi, syscall string) bool) (list []v1alpha1.Finding, err error) {
	all, err := p.LintOn(s.ABIs, s.Kernel())
	for _, f := range all {
		if has(abiName(f.ABI), f.Call) {
			list = append(list, v1alpha1.Finding{Check: string(f.Check), ABI: abiName(f.ABI), Syscall: f.Call, Detail: f.Detail})
		}
	}
	return list, err
}

// abiName is the name of an ABI, "" for none.
func abiName(abi syscalls.ABI) string {
	if abi == 0 {
		return ""
	}
	return abi.String()
}

func threads(refs []wire.ThreadRef, read bool) (list []v1alpha1.Thread) {
	for _, t := range refs {
		list = append(list, v1alpha1.Thread{
			PID: t.PID, TID: t.TID, NSPID: t.NSPID, Comm: terminal.Escape(t.Comm), Read: read, StoppedNanoseconds: t.StoppedNS,
		})
	}
	return list
}

// summarize lists what a policy does, for each ABI, and tells whether that is not
// all.
func summarize(p *policy.Policy, abis []syscalls.ABI, sel *selection) (list []v1alpha1.Summary, truncated bool, err error) {
	partition, err := p.Partition(policy.Options{ABIs: abis})
	if err != nil {
		return nil, false, err
	}
	for _, rule := range partition.Rules {
		abi, archs := scopeABI(rule.Scope)
		parts := slices.DeleteFunc(split(rule.Scope), func(part policy.Scope) bool { return !sel.has(abi, part.Name()) })
		if len(parts) == 0 {
			continue
		}
		i := slices.IndexFunc(list, func(s v1alpha1.Summary) bool { return s.ABI == abi && slices.Equal(s.Archs, archs) })
		if i < 0 {
			i = len(list)
			list = append(list, v1alpha1.Summary{ABI: abi, Archs: archs})
		}
		for _, group := range decisions(rule, sel) {
			list[i].Groups = addParts(list[i].Groups, parts, group)
		}
	}
	for i := range list {
		slices.SortStableFunc(list[i].Groups, func(a, b v1alpha1.Group) int {
			switch {
			case (a.Condition == "") != (b.Condition == ""):
				return len(a.Condition) - len(b.Condition)
			case a.Condition == "":
				return len(b.Syscalls) - len(a.Syscalls)
			}
			return 0
		})
	}
	return list, partition.Truncated, nil
}

// decisions are what is done with the calls of a rule, and when.
func decisions(rule policy.Rule, sel *selection) (list []v1alpha1.Group) {
	for _, d := range rule.Decisions {
		g := v1alpha1.Group{Action: sel.action(d.Outcome, rule.ABI)}
		g.Condition, g.Outline = words(d.Condition)
		list = append(list, g)
	}
	// Reduced, all can be the same: then there is nothing to tell apart.
	if len(list) > 1 && !slices.ContainsFunc(list, func(g v1alpha1.Group) bool { return g.Action != list[0].Action }) {
		return []v1alpha1.Group{{Action: list[0].Action}}
	}
	return list
}

// addParts adds calls to the group of those with which the same is done.
func addParts(groups []v1alpha1.Group, parts []policy.Scope, like v1alpha1.Group) []v1alpha1.Group {
	i := slices.IndexFunc(groups, func(g v1alpha1.Group) bool {
		return g.Action == like.Action && g.Condition == like.Condition && slices.Equal(g.Outline, like.Outline)
	})
	if i < 0 {
		i = len(groups)
		groups = append(groups, like)
	}
	for _, part := range parts {
		if name := part.Name(); name != "" {
			groups[i].Syscalls = append(groups[i].Syscalls, name)
		} else {
			groups[i].Numbers = append(groups[i].Numbers, numbers(part.NR))
		}
	}
	return groups
}

// split parts a scope into single named system calls, and the runs of numbers
// without a name between them.
func split(scope policy.Scope) (parts []policy.Scope) {
	add := func(first, last uint32) {
		part := scope
		part.NR = policy.Run{First: first, Last: last}
		parts = append(parts, part)
	}
	next, more := scope.NR.First, true
	if scope.ABI != 0 {
		for _, call := range scope.ABI.Table() {
			if call.Number < scope.NR.First || call.Number > scope.NR.Last {
				continue
			}
			if next < call.Number {
				add(next, call.Number-1)
			}
			add(call.Number, call.Number)
			if more = call.Number != scope.NR.Last; !more {
				break
			}
			next = call.Number + 1
		}
	}
	if more {
		add(next, scope.NR.Last)
	}
	return parts
}

// scopeABI returns the name of a scope's ABI, and the architectures it stands
// for if there is none.
func scopeABI(scope policy.Scope) (string, []v1alpha1.Numbers) {
	if scope.ABI != 0 {
		return scope.ABI.String(), nil
	}
	var archs []v1alpha1.Numbers
	for _, r := range scope.Arch {
		archs = append(archs, numbers(r))
	}
	return v1alpha1.OtherABI, archs
}

func numbers(r policy.Run) v1alpha1.Numbers {
	return v1alpha1.Numbers{First: fmt.Sprintf("%#x", r.First), Last: fmt.Sprintf("%#x", r.Last)}
}

// maxOutline is how many rows of a condition that is too long for words are
// shown.
const maxOutline = 64

func words(c *policy.Condition) (text string, outline []string) {
	if c == nil || c.Always() {
		return "", nil
	}
	if c.Wide() {
		rows, complete := c.Rows(maxOutline)
		for _, row := range rows {
			outline = append(outline, fmt.Sprintf("%*s%s", 2*row.Depth, "", row.Text))
		}
		if !complete {
			outline = append(outline, "…")
		}
	}
	return c.String(), outline
}

func actionOf(o policy.Outcome, abi syscalls.ABI) v1alpha1.Action {
	if o.Undecided {
		return v1alpha1.Action{Action: v1alpha1.ActionUndecided}
	}
	out := v1alpha1.Action{Action: o.Return.Action().String(), Data: o.Return.Data()}
	if o.Return.Action() == bpf.Errno {
		out.Errno, _ = abi.Errno(o.Return.Data())
	}
	return out
}
