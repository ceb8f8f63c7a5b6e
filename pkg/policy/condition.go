package policy

import (
	"cmp"
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
// in braces and ranges as first..last. What is added to or subtracted from each
// other has 32 bits, and so has the result, as in a filter. See naming for how
// arguments are called.
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
		if o := operandOf(w); !slices.Contains(list, o) {
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

	// One of these is m, the other is made when it is needed.
	sequential, interleaved *bdd.Manager
	done                    map[bdd.Ref]Condition // without naming
	kept                    int                   // nodes of those
	leaves                  map[bdd.Ref][]uint64
	spent                   int // of wordSteps
	unrelated               int // conditions in which no relation was found
}

func newConditions(m *bdd.Manager, form Form, kernel bool) *conditions {
	c := &conditions{m: m, form: form, kernel: kernel, done: map[bdd.Ref]Condition{}, leaves: map[bdd.Ref][]uint64{}}
	*c.manager(form) = m
	return c
}

func (c *conditions) manager(form Form) **bdd.Manager {
	if form == Interleaved {
		return &c.interleaved
	}
	return &c.sequential
}

// in brings a diagram of the form from into the Manager of another form. ok is
// false if there is no room.
func (c *conditions) in(to, from Form, f bdd.Ref) (m *bdd.Manager, g bdd.Ref, ok bool) {
	source, target := *c.manager(from), c.manager(to)
	if *target == nil {
		*target = bdd.New(compareNodes)
	}
	if m = *target; m == source {
		return m, f, true
	}
	err := m.Try(reorderNodes, func() { g = from.in(m, to, source.Export(f)) })
	return m, g, err == nil
}

// What putting one condition in words may take, and before that bringing it
// into the sequential form: what is large there has no words.
const (
	conditionNodes = 1 << 18
	reorderNodes   = 1 << 11
	// wordSteps is what putting all of them in words may take, in steps of their
	// Managers. Policies from practice need half of it. What comes later has no
	// words.
	wordSteps = 1 << 18
	// keptNodes is how many nodes all conditions of a list may have: each has a
	// diagram of its own, however much of it the Manager holds once for them all.
	// Policies from practice need some 7,000.
	keptNodes = 1 << 21
)

// leavesOf returns the distinct values of a sub-diagram of what is listed. They are
// looked for once: thousands of runs of numbers can have the same.
func (c *conditions) leavesOf(f bdd.Ref) []uint64 {
	list, ok := c.leaves[f]
	if !ok {
		list = c.m.Leaves(f)
		c.leaves[f] = list
	}
	return list
}

// full tells that there may be no more conditions.
func (c *conditions) full() bool { return c.kept >= keptNodes }

// of returns the condition that a Boolean diagram of c.m, on which arch and nr
// have no influence, is of a scope.
func (c *conditions) of(s Scope, f bdd.Ref) (*Condition, error) {
	condition, ok := c.done[f]
	if !ok {
		condition = Condition{form: c.form, diagram: c.m.Export(f)}
		c.kept += condition.diagram.Size()
		if c.spent < wordSteps {
			before := c.steps()
			var err error
			if condition.expr, err = c.express(f); err != nil {
				return nil, err
			}
			c.spent += c.steps() - before
		}
		c.done[f] = condition
	}
	condition.naming = newNaming(s, c.kernel)
	return &condition, nil
}

// steps returns the work that the Managers have done.
func (c *conditions) steps() (n int) {
	for _, m := range []*bdd.Manager{c.sequential, c.interleaved} {
		if m != nil {
			n += m.Steps()
		}
	}
	return n
}

// express puts f in words and takes the words for a diagram again. It returns
// nil if there are too many, and an error if they mean something else.
func (c *conditions) express(f bdd.Ref) (expr, error) {
	if m, g, ok := c.in(Sequential, c.form, f); ok {
		if e, err := proven(m, Sequential, conditionNodes, g, express); e != nil || err != nil {
			return e, err
		}
	}
	if c.unrelated == relatedMisses {
		return nil, nil
	}
	m, g, ok := c.in(Interleaved, c.form, f)
	if !ok || c.form == Sequential && 2*m.Count(g) > c.m.Count(f) {
		return nil, nil // relations are small if interleaved, and only then
	}
	var failed error
	e, err := proven(m, Interleaved, relatedNodes, g, func(m *bdd.Manager, f bdd.Ref) expr {
		r := &relater{m: m, simple: func(f bdd.Ref) expr {
			m, f, ok := c.in(Sequential, Interleaved, f)
			if !ok {
				return nil
			}
			e, err := proven(m, Sequential, relatedNodes, f, express)
			failed = cmp.Or(failed, err)
			return e
		}}
		return r.express(f, relatedDepth)
	})
	if e == nil {
		c.unrelated++
	}
	return e, cmp.Or(failed, err)
}

// proven puts f in words and proves them, if that takes no more than some nodes.
func proven(m *bdd.Manager, form Form, nodes int, f bdd.Ref, words func(m *bdd.Manager, f bdd.Ref) expr) (e expr, err error) {
	budget := m.Try(nodes, func() {
		e = words(m, f)
		if e != nil && e.diagram(m, form) != f {
			err = fmt.Errorf("internal error: condition %q is not what was to be described", e.format(newNaming(Scope{}, false)))
		}
	})
	if budget != nil {
		return nil, nil
	}
	return e, err
}
