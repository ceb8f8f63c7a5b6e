package policy

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// A Row is a line of a wide condition laid out as an outline. Rows of one depth
// under the same head are alternatives. A row whose next is deeper needs that
// one, or an alternative to it, to hold too.
type Row struct {
	Depth int
	Text  string
}

// rowSpans is how many values a Row names.
const rowSpans = 16

// Rows returns the condition as an outline of at most limit rows, one operand
// after the other, and whether it is complete. Where a row has too many values
// to name, or there are too many rows, it is not. A condition that relates the
// bits of different arguments to each other has no outline: it is nil.
func (c *Condition) Rows(limit int) (rows []Row, complete bool) {
	m := bdd.New(conditionNodes)
	complete = true
	if m.Try(conditionNodes, func() {
		o := outline{x: expresser{m: m, memo: map[bdd.Ref]expr{}}, naming: c.naming, limit: limit}
		complete = o.walk(c.form.in(m, Sequential, c.diagram), 0)
		rows = o.rows
	}) != nil {
		return nil, false
	}
	return rows, complete
}

type outline struct {
	x      expresser
	naming *naming
	limit  int
	rows   []Row
}

// walk adds the rows for f and tells whether they are complete.
func (o *outline) walk(f bdd.Ref, depth int) bool {
	m := o.x.m
	if m.IsLeaf(f) {
		return true
	}
	first := operand64((m.Level(f) - levelFree) / 64)
	end := first.level() + 64
	complete := true
	for _, sub := range m.Below(f, end) {
		if sub == bdd.False {
			continue
		}
		if len(o.rows) == o.limit {
			return false
		}
		values := m.Replace(f, end, func(g bdd.Ref) bdd.Ref {
			if g == sub {
				return bdd.True
			}
			return bdd.False
		})
		text, whole := o.values(first, values)
		o.rows = append(o.rows, Row{depth, text})
		complete = o.walk(sub, depth+1) && complete && whole
	}
	return complete
}

// values describes a set of values of one operand.
func (o *outline) values(op operand64, f bdd.Ref) (text string, complete bool) {
	if f == bdd.True {
		return "any " + o.naming.bare(op), true
	}
	if e := o.x.single(op, f); e != nil {
		return e.format(o.naming), true
	}
	e := &in{operand: op, part: o.x.partOf(op, f)}
	m := o.x.m
	m.Runs(f, e.part.level(op), e.part.bits(), func(first, last uint64, sub bdd.Ref) bool {
		if sub == bdd.True {
			e.spans = append(e.spans, span{first, last})
		}
		return len(e.spans) < rowSpans
	})
	return fmt.Sprintf("%s and more", e.format(o.naming)), false
}
