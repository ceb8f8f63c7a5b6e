package v1alpha1

import (
	"slices"
	"strings"
)

// The names that -o name prints: of what a kind lists, in a form that a command
// takes.

// ref is the operand by which a source is found again.
func (s Source) ref() string {
	if s.Format != "" {
		return s.Operand // the file, not what it is of
	}
	return s.Name()
}

// Names is the operand of the source.
func (d *Dump) Names() []string { return []string{d.Source.ref()} }

// Names are the operands of the sources.
func (l *DumpList) Names() (names []string) {
	for i := range l.Items {
		names = append(names, l.Items[i].Source.ref())
	}
	return names
}

// Names is the operand of the source.
func (r *Recording) Names() []string { return []string{r.Source.ref()} }

// Names are the operands of the sources.
func (l *RecordingList) Names() (names []string) {
	for i := range l.Items {
		names = append(names, l.Items[i].Source.ref())
	}
	return names
}

// Names is the operand of the source.
func (e *Explanation) Names() []string { return []string{e.Source.ref()} }

// Names are the operands of the containers and processes.
func (l *ConfinementList) Names() (names []string) {
	for i := range l.Items {
		names = append(names, l.Items[i].Source.ref())
	}
	return names
}

// Names are the operands of the containers, whether what is declared is enforced
// or not.
func (v *Verification) Names() (names []string) {
	for i := range v.Items {
		names = append(names, v.Items[i].Source.ref())
	}
	return names
}

// Names are the syscalls that differ, each once and sorted, and behind them the
// numbers without a name: one, or FIRST..LAST.
func (d *Diff) Names() (names []string) {
	var numbers []string
	for i := range d.Differences {
		switch d := &d.Differences[i]; {
		case d.Syscall != "":
			names = append(names, d.Syscall)
		case d.Numbers == nil:
		case d.Numbers.First == d.Numbers.Last:
			numbers = append(numbers, d.Numbers.First)
		default:
			numbers = append(numbers, d.Numbers.First+".."+d.Numbers.Last)
		}
	}
	slices.Sort(names)
	slices.SortStableFunc(numbers, byFirst)
	return append(slices.Compact(names), slices.Compact(numbers)...)
}

// byFirst compares hexadecimal numbers, or ranges by where they begin.
func byFirst(a, b string) int {
	a, _, _ = strings.Cut(a, "..")
	b, _, _ = strings.Cut(b, "..")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// Names are the objects that were deleted, or would be, as kubectl delete names them.
func (c *Cleanup) Names() (names []string) {
	for _, l := range c.Items {
		if l.Deleted {
			names = append(names, strings.ToLower(l.Kind)+"/"+l.Name)
		}
	}
	return names
}

// Names is the version.
func (v *Version) Names() []string { return []string{v.Version} }

// Names are the nodes, whether all is well with them or not.
func (d *Diagnosis) Names() (names []string) {
	for _, c := range d.Checks {
		if name := "node/" + c.Node; c.Node != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
