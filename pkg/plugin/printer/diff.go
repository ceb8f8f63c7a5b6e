package printer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

func (o *output) diff(d *v1alpha1.Diff, h Human) {
	style := map[v1alpha1.Relation]terminal.Style{
		v1alpha1.Identical: terminal.Green, v1alpha1.Tighter: terminal.Green,
		v1alpha1.Looser: terminal.Red, v1alpha1.Incomparable: terminal.Red,
	}[d.Relation]
	if style == terminal.Plain {
		style = terminal.Yellow
	}
	o.verdict(style, "%s%s%s", verdict(d), scope(d), selected(d.Selection))
	o.printf("\n")
	o.table(sides(d))
	if len(d.Differences) > 0 {
		o.printf("\n")
		o.table(differing(d.Differences, 0, h.Wide))
	}
	for i, sentence := range byName(d.ByName) {
		if i == 0 {
			o.printf("\n")
		}
		o.sentence("%s", sentence)
	}
	o.risks(d.Risks)
	if d.Selection != nil && d.Selection.Hidden > 0 {
		o.printf("\n")
		o.sentence("Not shown: %s. The verdict takes them into account.", count(d.Selection.Hidden, "difference"))
	}
	if d.Truncated {
		o.printf("\n")
		o.sentence("There are more differences, too many to list. The verdict takes them into account.")
	}
}

// verdict says in one line how B stands to A.
func verdict(d *v1alpha1.Diff) string {
	a, b := terminal.Escape(d.A.Operand), terminal.Escape(d.B.Operand)
	switch d.Relation {
	case v1alpha1.Identical:
		if d.ByName == nil && slices.Equal(d.A.Filters, d.B.Filters) || len(d.A.Filters)+len(d.B.Filters) == 0 {
			if len(d.A.Filters) == 0 {
				return fmt.Sprintf("%s and %s are identical: neither has a filter", a, b)
			}
			return fmt.Sprintf("%s and %s are identical: the same filters, byte for byte", a, b)
		}
		return fmt.Sprintf("%s and %s are identical: different filters that do the same with every call", a, b)
	case v1alpha1.Tighter:
		return fmt.Sprintf("%s is tighter than %s: for %s", b, a, among(d, extent(d, v1alpha1.DirectionTighter)))
	case v1alpha1.Looser:
		return fmt.Sprintf("%s is looser than %s: for %s", b, a, among(d, extent(d, v1alpha1.DirectionLooser)))
	case v1alpha1.SameAccess:
		if d.Selection != nil && d.Selection.Reduced {
			return fmt.Sprintf("%s gives the same access as %s to every call: they differ in the manner of denial, mediation or logging only", b, a)
		}
		return fmt.Sprintf("%s gives the same access as %s, in another manner: for %s", b, a, among(d, extent(d, v1alpha1.DirectionChanged)))
	case v1alpha1.Incomparable:
		return fmt.Sprintf("%s is neither tighter nor looser than %s: looser for %s, tighter for %s", b, a,
			among(d, extent(d, v1alpha1.DirectionLooser)), among(d, extent(d, v1alpha1.DirectionTighter)))
	}
	if n := uncompared(d); n > 0 {
		return fmt.Sprintf("how %s stands to %s is undecided: %s cannot be compared", b, a, count(n, "syscall"))
	}
	return fmt.Sprintf("how %s stands to %s is undecided: a filter computes more than the analysis has room for", b, a)
}

// among says of a number of calls that it is not about all, if that is so.
func among(d *v1alpha1.Diff, text string) string {
	switch {
	case d.Selection == nil || d.Selection.Hidden == 0:
		return text
	case text == "":
		return "calls that are not shown"
	}
	return text + " of those shown"
}

// extent says for how many calls there is a difference in one direction. A
// syscall counts once, under however many ABIs.
func extent(d *v1alpha1.Diff, direction v1alpha1.Direction) string {
	syscalls := make(map[string]bool)
	numbers, others := false, false
	for _, d := range d.Differences {
		switch {
		case d.Direction != direction:
		case d.Syscall != "":
			syscalls[d.Syscall] = true
		case d.ABI == v1alpha1.OtherABI:
			others = true
		default:
			numbers = true
		}
	}
	var parts []string
	if n := len(syscalls); n > 0 {
		parts = append(parts, count(n, "syscall"))
	}
	if numbers {
		parts = append(parts, "unassigned numbers")
	}
	if others {
		parts = append(parts, "other architectures")
	}
	if last := len(parts) - 1; last > 0 {
		return strings.Join(parts[:last], ", ") + " and " + parts[last]
	}
	return strings.Join(parts, "")
}

// sides says who A and B are. What is known of processes only is left out where
// there is none.
func sides(d *v1alpha1.Diff) table {
	processes := d.A.PID != 0 || d.B.PID != 0
	t := table{header: []string{"", "SOURCE", "FILTERS"}, wrap: []int{1}}
	if processes {
		what := "CONTAINER"
		if d.A.PID != 0 && d.A.Container == "" || d.B.PID != 0 && d.B.Container == "" {
			what = "SOURCE"
		}
		t = table{header: []string{"", what, "NODE", "PID", "FILTERS", "NO_NEW_PRIVS", "CAPABILITIES"}, wrap: []int{6}}
	}
	for _, s := range []struct {
		name string
		v1alpha1.Side
	}{{"A", d.A}, {"B", d.B}} {
		from := container(s.Source)
		if s.Format != "" {
			from += " (" + format(s.Source) + ")"
		}
		switch {
		case !processes:
			t.add(s.name, from, filtersOf(s.Confinement))
		case s.PID == 0:
			t.add(s.name, from, "", "", filtersOf(s.Confinement), "", "")
		default:
			t.add(s.name, from, nodeName(s.Source), fmt.Sprint(s.PID), filtersOf(s.Confinement), yesNo(s.NoNewPrivs), capabilities(s.Capabilities))
		}
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

// differing has a row for all syscalls that differ alike under the same ABIs, of
// which at most so many are named; 0 is no limit. wide has all numbers listed, and
// for every row a call that shows it.
func differing(list []v1alpha1.Difference, most int, wide bool) table {
	type key struct {
		a, b, when string
		direction  v1alpha1.Direction
	}
	var keys []key
	groups := make(map[key]*folder)
	examples := make(map[key]map[string]string) // by ABI and name, "" for numbers
	for _, d := range list {
		k := key{action(d.A), action(d.B), when(d.Condition, d.Outline), d.Direction}
		if d.ConditionABI != "" {
			k.when = "on " + d.ConditionABI + " " + k.when
		}
		if groups[k] == nil {
			keys = append(keys, k)
			groups[k] = new(folder)
			examples[k] = make(map[string]string)
		}
		if of := abis(d) + " " + d.Syscall; d.Witness != nil && examples[k][of] == "" {
			examples[k][of] = d.Witness.Call
		}
		if d.Syscall != "" {
			groups[k].add(abis(d), d.Syscall)
		} else if d.Numbers != nil {
			groups[k].addNumbers(d.ABI, []v1alpha1.Numbers{*d.Numbers})
		}
	}
	slices.SortStableFunc(keys, func(a, b key) int {
		return cmp.Compare(directions[a.direction].order, directions[b.direction].order)
	})
	t := table{header: []string{"B IS", "A", "B", "ABI", "SYSCALL"}, wrap: []int{4}}
	for _, k := range keys {
		for _, f := range groups[k].fold(wide, most) {
			text := f.names
			if k.when != "" {
				text += " when " + k.when
			}
			if e := example(examples[k], f); e != "" && (k.when != "" || wide) {
				text += "\ne.g. " + e
			}
			d := directions[k.direction]
			t.rows = append(t.rows, row{[]string{d.text, k.a, k.b, f.abis, text}, d.style})
		}
	}
	return t
}

// example is a call of one of the names of a row, "" if there is none.
func example(calls map[string]string, f folded) string {
	abi, _, _ := strings.Cut(f.abis, ", ")
	for _, name := range f.of {
		if call := calls[abi+" "+name]; call != "" {
			return call
		}
	}
	return ""
}

// abis are the names of a difference's ABI on both sides.
func abis(d v1alpha1.Difference) string {
	if d.ABIB == "" {
		return d.ABI
	}
	return d.ABI + "/" + d.ABIB
}
