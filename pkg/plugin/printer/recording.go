package printer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// recordings prints what containers called.
func (o *output) recordings(items []v1alpha1.Recording, h Human) {
	for i := range items {
		if i > 0 {
			o.printf("\n")
		}
		o.recording(&items[i], h)
	}
}

func (o *output) recording(r *v1alpha1.Recording, h Human) {
	var calls, refused int64
	for _, c := range r.Calls {
		calls += c.Count
	}
	for _, c := range r.Refused {
		refused += c.Count
	}
	style := terminal.Green
	if refused > 0 || r.Coverage.Lost != nil {
		style = terminal.Yellow
	}
	line := fmt.Sprintf("%s: %s of %s in %v", container(r.Source), many(calls, "call"), many(int64(len(syscallsOf(r.Calls))), "syscall"), r.Ended.Sub(r.Began.Time).Round(100*time.Millisecond))
	if refused > 0 {
		line += "; " + many(refused, "more call") + " refused"
	}
	o.verdict(style, "%s", line)

	t := table{header: []string{"ABI", "SYSCALL", "CALLS", "REFUSED", "ARGUMENTS"}, wrap: []int{4}}
	for _, c := range rowsOf(r) {
		cells := []string{c.ABI, called(c), "", refusals(r, c), values(r, c, h.Wide)}
		if c.Count > 0 {
			cells[2] = fmt.Sprint(c.Count)
		}
		style := terminal.Plain
		if cells[3] != "" {
			style = terminal.Yellow
		}
		t.rows = append(t.rows, row{cells, style})
	}
	if len(t.rows) > 0 {
		t.dropEmpty()
		o.printf("\n")
		o.table(t)
	}
	notes := coverage(r)
	if len(notes) > 0 {
		o.printf("\n")
	}
	for _, note := range notes {
		o.printf("%s\n", note)
	}
}

// rowsOf are the calls that were made or refused, by ABI and name.
func rowsOf(r *v1alpha1.Recording) []v1alpha1.RecordedCall {
	rows := slices.Clone(r.Calls)
	for _, c := range r.Refused {
		if !slices.ContainsFunc(rows, func(d v1alpha1.RecordedCall) bool { return same(c.RecordedCall, d) }) {
			rows = append(rows, v1alpha1.RecordedCall{ABI: c.ABI, Syscall: c.Syscall, NR: c.NR})
		}
	}
	slices.SortStableFunc(rows, func(a, b v1alpha1.RecordedCall) int {
		i, j := slices.Index(r.Source.ABIs, a.ABI), slices.Index(r.Source.ABIs, b.ABI)
		if i != j {
			return i - j
		}
		if (a.Syscall == "") != (b.Syscall == "") {
			return strings.Compare(b.Syscall, a.Syscall) // those without a name last
		}
		return strings.Compare(a.Syscall, b.Syscall)
	})
	return rows
}

func same(a, b v1alpha1.RecordedCall) bool { return a.ABI == b.ABI && a.NR == b.NR }

func called(c v1alpha1.RecordedCall) string {
	switch {
	case c.Syscall != "":
		return c.Syscall
	case c.NR != "":
		return c.NR
	}
	return "no syscall's number"
}

func refusals(r *v1alpha1.Recording, call v1alpha1.RecordedCall) string {
	var list []string
	for _, c := range r.Refused {
		if !same(c.RecordedCall, call) {
			continue
		}
		how := c.Errno
		switch how {
		case "":
			how = "SIGSYS"
		case "0":
			how = "returned 0"
		}
		list = append(list, fmt.Sprintf("%d %s", c.Count, how))
	}
	return strings.Join(list, ", ")
}

// maxValues is how many values of an argument are shown, unless all are asked for.
const maxValues = 8

func values(r *v1alpha1.Recording, call v1alpha1.RecordedCall, all bool) string {
	var list []string
	parameter := ""
	for _, v := range r.Values {
		if same(v.RecordedCall, call) {
			parameter = v.Parameter
			text := v.Text
			if text == "" {
				text = v.Value
			}
			list = append(list, fmt.Sprintf("%s (%d)", text, v.Count))
		}
	}
	if len(list) == 0 {
		return ""
	}
	if more := len(list) - maxValues; more > 0 && !all {
		list = append(list[:maxValues], fmt.Sprintf("… and %d more", more))
	}
	return parameter + ": " + strings.Join(list, ", ")
}

// coverage is what the recording did not see.
func coverage(r *v1alpha1.Recording) (notes []string) {
	if !r.Coverage.Start {
		notes = append(notes, "It ran when the recording began: what it called at its start is not here.")
	}
	if r.FilterCount > 0 {
		notes = append(notes, "It ran under a filter: what is called after a call that was refused is not here either.")
	}
	if r.Coverage.Unclear > 0 {
		notes = append(notes, fmt.Sprintf("%s had begun before, or %s refused.", many(r.Coverage.Unclear, "call"), was(r.Coverage.Unclear)))
	}
	var calls int64
	for _, c := range r.Runtime {
		calls += c.Count
	}
	if calls > 0 {
		notes = append(notes, fmt.Sprintf("%s by which a runtime brought processes into it (exec, probes) %s counted apart: see -o json.", many(calls, "call"), was(calls)))
	}
	if l := r.Coverage.Lost; l != nil {
		for _, lost := range []struct {
			n          int64
			what, rest string
		}{
			{l.Calls, "call", "not counted, as there were too many different ones"},
			{l.Values, "argument", "not kept, as there were too many different ones"},
			{l.Refused, "refused call", "not counted, as there were too many different ones"},
			{l.Origins, "call", "counted as the container's that may be a runtime's"},
			{l.Runs, "call on the node", "not seen, as the kernel did not run the program"},
		} {
			if lost.n > 0 {
				notes = append(notes, fmt.Sprintf("LOST: %d × %s: %s.", lost.n, lost.what, lost.rest))
			}
		}
	}
	return notes
}

func syscallsOf(calls []v1alpha1.RecordedCall) (names []string) {
	for _, c := range calls {
		if name := c.ABI + " " + called(c); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func many(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func was(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
