package policy

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
)

// ErrBudget says that to work out a policy takes more than Try may.
var ErrBudget = errors.New("the policy takes more than the budget to work out")

// Try returns the policy of a stack, as Of does, if that can be done in the
// sequential form and with little: no more than some number of nodes, and time
// and memory in proportion to it. Otherwise the error is ErrBudget. As for Of,
// it does not depend on the machine whether a budget is enough.
//
// SmallBudget is enough for filters from practice, twice over and more, and takes
// at most some 20 MiB and 200 ms, whatever the filter.
func Try(s bpf.Stack, order binary.ByteOrder, nodes int) (*Policy, error) {
	for i, f := range s {
		if err := f.Check(); err != nil {
			return nil, fmt.Errorf("filter %d: %w", i, err)
		}
	}
	p := &Policy{stack: s, order: order, form: Sequential}
	if p.diagram = strict(s, order, small(nodes)); p.diagram == nil {
		return nil, ErrBudget
	}
	return p, nil
}

// SmallBudget is a number of nodes for Try.
const SmallBudget = 1 << 18

// small returns limits for a construction of that many nodes, in proportion to the
// default ones; but with SmallBudget a single bit gets as much as by default.
func small(nodes int) limits {
	return limits{nodes: nodes, gate: nodes / 4, gates: nodes * 4, failures: 1, work: nodes / 8, states: nodes / 16, vectors: nodes / 16}
}
