package plugin

import (
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// compareByName tells how policy q of b stands to policy p of a, which is of
// another architecture.
func compareByName(a, b *source.Source, p, q *policy.Policy, sel *selection) (*v1alpha1.Diff, error) {
	c, err := policy.CompareByName(p, q, a.ABIs, b.ABIs)
	if err != nil {
		return nil, err
	}
	d := newDiff(a, b, c.Relation, c.Truncated, sel)
	d.ByName = &v1alpha1.ByName{
		ABIA: c.A.String(), ABIB: c.B.String(), Common: c.Common,
		OnlyInA: names(c.OnlyA), OnlyInB: names(c.OnlyB),
	}
	for _, abi := range c.Shared {
		d.ByName.Shared = append(d.ByName.Shared, abi.String())
	}
	for _, l := range c.Limits {
		d.ByName.Limits = append(d.ByName.Limits, v1alpha1.Limit{Syscall: l.Name, Param: l.Param, Compared: l.Compared, Reason: l.Reason})
	}
	for _, difference := range c.Differences {
		if difference.ABI == difference.ScopeB.ABI {
			if err := d.add(difference.Difference); err != nil {
				return nil, err
			}
			continue
		}
		d.addNamed(difference)
	}
	return d.done(), nil
}

func names(calls []syscalls.Syscall) []string {
	list := []string{} // an array in JSON, in any case
	for _, call := range calls {
		list = append(list, call.Name)
	}
	return list
}

// addNamed lists a difference between calls of one name under two ABIs, if either
// is selected.
func (d *differ) addNamed(difference policy.NamedDifference) {
	name, abi, abiB := difference.Name(), difference.ABI, difference.ScopeB.ABI
	if !d.sel.has(abi.String(), name) && !d.sel.has(abiB.String(), name) || d.sel.Reduced && difference.Direction == policy.DirectionChanged {
		d.Selection.Hidden++
		return
	}
	out := v1alpha1.Difference{
		ABI: abi.String(), ABIB: abiB.String(), Syscall: name,
		A: d.sel.action(difference.A, abi), B: d.sel.action(difference.B, abiB),
		Direction: directions[difference.Direction],
	}
	out.Condition, out.Outline = words(difference.Condition)
	if difference.OfB && out.Condition != "" {
		out.ConditionABI = abiB.String()
	}
	if w := difference.Witness; w != nil {
		out.Witness = newWitness(difference.Scope, w.CallA)
		other := newWitness(difference.ScopeB, w.CallB)
		out.Witness.ArchB, out.Witness.NRB = other.Arch, other.NR
		if w.CallA.Args != w.CallB.Args {
			out.Witness.ArgsB = other.Args
		}
		if difference.OfB {
			out.Witness.Call = other.Call
		}
	}
	d.list(out)
}
