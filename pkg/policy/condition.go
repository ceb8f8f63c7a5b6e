package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// A Condition is a set of calls of one Scope, given by their arguments and
// instruction pointer. It is exact: where it can be put in words, those have
// been turned into a diagram again and found the same.
type Condition struct {
	expr    expr // nil if too long to read
	naming  *naming
	form    Form
	diagram *bdd.Diagram
}

// Always tells whether the condition holds for every call of the scope.
func (c *Condition) Always() bool { return c.diagram.Size() == 1 && c.diagram.Has(1) }

// Holds tells whether the condition holds for a call, which must be of the
// scope.
func (c *Condition) Holds(d *bpf.Data) bool { return c.diagram.Eval(c.form.bits(d)) == 1 }

// Wide tells whether the condition is too long to be put in words. String is
// then no more than a description, and Rows shows it.
func (c *Condition) Wide() bool { return c.expr == nil }

// String returns the condition in Go's notation and with its precedence, sets
// in braces and ranges as first..last. See naming for how arguments are called.
func (c *Condition) String() string {
	if c.expr != nil {
		return c.expr.format(c.naming)
	}
	var names []string
	for _, o := range operandsOf(c.form, c.diagram) {
		names = append(names, c.naming.bare(o))
	}
	return fmt.Sprintf("a decision on %s with %d nodes", strings.Join(names, ", "), c.diagram.Size())
}

// cost measures how much there is to read of c.
func (c *Condition) cost() int {
	if c.expr == nil {
		return maxCost + c.diagram.Size()
	}
	return c.expr.cost()
}

// operandsOf returns what a diagram depends on.
func operandsOf(form Form, d *bdd.Diagram) []operand64 {
	var list []operand64
	for _, level := range d.Levels() {
		w, _ := form.bitOf(level)
		if o := operand64(w-wordIPHigh) / 2; !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	slices.Sort(list)
	return list
}

// conditions derives Conditions from sub-diagrams of a Manager.
type conditions struct {
	m      *bdd.Manager
	form   Form
	kernel bool // arguments are as wide as the kernel takes them

	sequential *bdd.Manager // m, if that is its form
	exprs      map[bdd.Ref]expr
}

func newConditions(m *bdd.Manager, form Form, kernel bool) *conditions {
	c := &conditions{m: m, form: form, kernel: kernel, sequential: m, exprs: map[bdd.Ref]expr{}}
	if form != Sequential {
		c.sequential = bdd.New(compareNodes)
	}
	return c
}

// What putting one condition in words may take, and before that bringing it
// into the sequential form: what is large there has no words.
const (
	conditionNodes = 1 << 18
	reorderNodes   = 1 << 11
)

// of returns the condition that a Boolean diagram of c.m, on which arch and nr
// have no influence, is of a scope.
func (c *conditions) of(s Scope, f bdd.Ref) (*Condition, error) {
	e, ok := c.exprs[f]
	if !ok {
		var err error
		if e, err = c.express(f); err != nil {
			return nil, err
		}
		c.exprs[f] = e
	}
	return &Condition{expr: e, naming: newNaming(s, c.kernel), form: c.form, diagram: c.m.Export(f)}, nil
}

// express puts f in words and takes the words for a diagram again. It returns
// nil if there are too many, and an error if they mean something else.
func (c *conditions) express(f bdd.Ref) (e expr, err error) {
	m := c.sequential
	if c.form != Sequential {
		d := c.m.Export(f)
		if m.Try(reorderNodes, func() { f = c.form.in(m, Sequential, d) }) != nil {
			return nil, nil
		}
	}
	budget := m.Try(conditionNodes, func() {
		e = express(m, f)
		if e != nil && e.diagram(m) != f {
			err = fmt.Errorf("internal error: condition %q is not what was to be described", e.format(newNaming(Scope{}, false)))
		}
	})
	if budget != nil {
		return nil, nil
	}
	return e, err
}
