package policy

import (
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// A Rule is what a policy does with the calls of one Scope.
type Rule struct {
	Scope
	// Decisions are the outcomes, each with the condition for it, the shortest
	// first. Exactly one holds for every call, unless the Partition is
	// truncated: the last can be read as "otherwise".
	Decisions []Decision
}

// A Decision is an outcome and when it is.
type Decision struct {
	Outcome   Outcome
	Condition *Condition
}

// A Partition is a whole policy as a list.
type Partition struct {
	Rules []Rule
	// Truncated tells that there are more Rules, or more Decisions of one of
	// them, too many to list.
	Truncated bool
}

// Find returns the rule for an arch and nr; false only if the Partition is
// truncated.
func (p *Partition) Find(arch, nr uint32) (Rule, bool) {
	for _, r := range p.Rules {
		if r.Has(arch, nr) {
			return r, true
		}
	}
	return Rule{}, false
}

// Partition lists what p does with every call: with each number of each ABI,
// those without a name and unknown architectures included. The error, if any,
// is an internal one.
func (p *Policy) Partition(o Options) (*Partition, error) {
	m := bdd.New(compareNodes)
	var root bdd.Ref
	if err := m.Try(compareNodes, func() { root = m.Import(p.diagram) }); err != nil {
		return nil, err
	}
	list, complete := regions(m, root, o.ABIs)
	result := &Partition{Truncated: !complete}
	conditions := newConditions(m, p.form, p.written != nil)
	total := 0
	for _, r := range list {
		rule := Rule{Scope: r.Scope}
		leaves := conditions.leavesOf(r.sub)
		if total += len(leaves); total > maxListed || conditions.full() {
			result.Truncated = true
			return result, nil
		}
		for i, leaf := range leaves {
			var holds bdd.Ref
			if i == maxOutcomes || conditions.full() || m.Try(compareNodes, func() { holds = m.Is(r.sub, leaf) }) != nil {
				result.Truncated = true
				break
			}
			c, err := conditions.of(r.Scope, holds)
			if err != nil {
				return nil, err
			}
			rule.Decisions = append(rule.Decisions, Decision{outcome(leaf), c})
		}
		slices.SortStableFunc(rule.Decisions, func(x, y Decision) int { return x.Condition.cost() - y.Condition.cost() })
		result.Rules = append(result.Rules, rule)
	}
	return result, nil
}
