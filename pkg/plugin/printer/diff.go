package printer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

func (o *output) diff(d *v1alpha1.Diff) {
	style := map[v1alpha1.Relation]terminal.Style{
		v1alpha1.Identical: terminal.Green, v1alpha1.Tighter: terminal.Green,
		v1alpha1.Looser: terminal.Red, v1alpha1.Incomparable: terminal.Red,
	}[d.Relation]
	if style == terminal.Plain {
		style = terminal.Yellow
	}
	o.verdict(style, "%s", verdict(d))
	o.printf("\n")
	o.table(sides(d))
	if len(d.Differences) > 0 {
		o.printf("\n")
		o.table(differing(d.Differences))
	}
}

// verdict says in one line how B stands to A.
func verdict(d *v1alpha1.Diff) string {
	a, b := d.A.Operand, d.B.Operand
	switch d.Relation {
	case v1alpha1.Identical:
		if slices.Equal(d.A.Filters, d.B.Filters) {
			if len(d.A.Filters) == 0 {
				return fmt.Sprintf("%s and %s are identical: neither has a filter", a, b)
			}
			return fmt.Sprintf("%s and %s are identical: the same filters, byte for byte", a, b)
		}
		return fmt.Sprintf("%s and %s are identical: different filters that do the same with every call", a, b)
	case v1alpha1.Tighter:
		return fmt.Sprintf("%s is tighter than %s: %s", b, a, extent(d.Differences, ""))
	case v1alpha1.Looser:
		return fmt.Sprintf("%s is looser than %s: %s", b, a, extent(d.Differences, ""))
	case v1alpha1.SameAccess:
		return fmt.Sprintf("%s gives the same access as %s, but acts differently: %s", b, a, extent(d.Differences, ""))
	case v1alpha1.Incomparable:
		return fmt.Sprintf("%s is neither tighter nor looser than %s: looser for %s; tighter for %s", b, a,
			extent(d.Differences, v1alpha1.DirectionLooser), extent(d.Differences, v1alpha1.DirectionTighter))
	}
	return fmt.Sprintf("how %s stands to %s is undecided: a filter computes more than the analysis has room for", b, a)
}

// extent says how many syscalls the differences of one direction are about, for
// each ABI: "4 amd64 and 3 386 syscalls".
func extent(list []v1alpha1.Difference, direction v1alpha1.Direction) string {
	type tally struct {
		names   map[string]bool
		numbers bool
	}
	var order []string
	tallies := make(map[string]*tally)
	for _, d := range list {
		if direction != "" && d.Direction != direction {
			continue
		}
		if tallies[d.ABI] == nil {
			tallies[d.ABI] = &tally{names: make(map[string]bool)}
			order = append(order, d.ABI)
		}
		if d.Syscall != "" {
			tallies[d.ABI].names[d.Syscall] = true
		} else {
			tallies[d.ABI].numbers = true
		}
	}
	var parts []string
	for _, abi := range order {
		var what []string
		if n := len(tallies[abi].names); n > 0 {
			what = append(what, count(n, "syscall"))
		}
		if tallies[abi].numbers {
			what = append(what, "unassigned numbers")
		}
		parts = append(parts, abi+" "+strings.Join(what, " and "))
	}
	return strings.Join(parts, ", ")
}

// sides says who A and B are.
func sides(d *v1alpha1.Diff) table {
	t := table{header: []string{"", "CONTAINER", "NODE", "PID", "FILTERS", "NO_NEW_PRIVS", "CAPABILITIES"}, wrap: []int{6}}
	for _, s := range []struct {
		name string
		v1alpha1.Side
	}{{"A", d.A}, {"B", d.B}} {
		t.add(s.name, container(s.Source), s.Node, fmt.Sprint(s.PID), filtersOf(s.Confinement), yesNo(s.NoNewPrivs), capabilities(s.Capabilities))
	}
	return t
}

// directions are in the order in which they are shown: what opens first.
var directions = map[v1alpha1.Direction]struct {
	order int
	text  string
	style terminal.Style
}{
	v1alpha1.DirectionLooser:    {0, "looser", terminal.Red},
	v1alpha1.DirectionUndecided: {1, "undecided", terminal.Yellow},
	v1alpha1.DirectionChanged:   {2, "changed", terminal.Yellow},
	v1alpha1.DirectionTighter:   {3, "tighter", terminal.Green},
}

// differing has a row for all syscalls of an ABI that differ alike.
func differing(list []v1alpha1.Difference) table {
	type key struct {
		abi, when, a, b string
		direction       v1alpha1.Direction
	}
	var keys []key
	groups := make(map[key][]v1alpha1.Difference)
	conditions := false
	for _, d := range list {
		k := key{d.ABI, when(d.Condition, d.Outline), action(d.A), action(d.B), d.Direction}
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], d)
		conditions = conditions || d.Condition != ""
	}
	slices.SortStableFunc(keys, func(a, b key) int {
		return cmp.Compare(directions[a.direction].order, directions[b.direction].order)
	})
	t := table{header: []string{"ABI", "SYSCALL", "A", "B", "B IS"}, wrap: []int{1}}
	if conditions {
		t.header, t.wrap = slices.Insert(t.header, 2, "WHEN"), []int{1, 2}
	}
	for _, k := range keys {
		cells := []string{k.abi, subjects(groups[k]), k.a, k.b, directions[k.direction].text}
		if conditions {
			cells = slices.Insert(cells, 2, k.when+example(groups[k]))
		}
		t.rows = append(t.rows, row{cells, directions[k.direction].style})
	}
	return t
}

// subjects names the syscalls and the numbers that differences are about.
func subjects(list []v1alpha1.Difference) string {
	var names []string
	var rest []v1alpha1.Numbers
	for _, d := range list {
		if d.Syscall != "" {
			names = append(names, d.Syscall)
		} else if d.Numbers != nil {
			rest = append(rest, *d.Numbers)
		}
	}
	slices.Sort(names)
	if len(rest) > 0 {
		names = append(names, unassigned(rest, false))
	}
	return strings.Join(names, ", ")
}

// example is a call that shows differences under a condition.
func example(list []v1alpha1.Difference) string {
	if d := list[0]; d.Condition != "" && d.Witness != nil {
		return "\ne.g. " + d.Witness.Call
	}
	return ""
}
