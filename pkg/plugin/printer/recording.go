package printer

import (
	"fmt"
	"math"
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
		calls = plus(calls, c.Count)
	}
	for _, c := range r.Refused {
		refused = plus(refused, c.Count)
	}
	style := terminal.Green
	if refused > 0 || r.Coverage.Lost != nil {
		style = terminal.Yellow
	}
	line := fmt.Sprintf("%s: %s of %s in %s", container(r.Source), many(calls, "call"), many(int64(len(syscallsOf(r.Calls))), "syscall"), duration(r))
	if refused > 0 {
		line += "; " + many(refused, "more call") + " refused"
	}
	o.verdict(style, "%s", line)

	if h.Wide && len(r.Runs) > 0 {
		o.printf("\n")
		o.table(runs(r))
	}
	t := table{header: []string{"ABI", "SYSCALL", "CALLS", "REFUSED", "SEEN IN", "ARGUMENTS"}, wrap: []int{5}}
	for _, c := range rowsOf(r) {
		cells := []string{c.ABI, called(c), "", refusals(r, c), seenIn(r, c), values(r, c, h.Wide)}
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

// duration is how long was recorded; of several runs, together.
func duration(r *v1alpha1.Recording) string {
	took := func(r v1alpha1.RecordedRun) time.Duration { return r.Ended.Sub(r.Began.Time) }
	if len(r.Runs) == 0 {
		return took(r.RecordedRun).Round(100 * time.Millisecond).String()
	}
	var sum time.Duration
	for _, run := range r.Runs {
		sum += took(run)
	}
	return fmt.Sprintf("%d runs, %v together", len(r.Runs), sum.Round(100*time.Millisecond))
}

// runs are those that were merged, the oldest first.
func runs(r *v1alpha1.Recording) table {
	t := table{header: []string{"RUN OF", "NODE", "BEGAN", "TOOK", "CALLS"}, wrap: []int{0}}
	list := slices.Clone(r.Runs)
	slices.SortStableFunc(list, func(a, b v1alpha1.RecordedRun) int { return a.Began.Compare(b.Began.Time) })
	for _, run := range list {
		var calls int64
		for _, c := range run.Calls {
			calls = plus(calls, c.Count)
		}
		t.add(container(run.Source), terminal.Escape(run.Source.Node), run.Began.UTC().Format(time.RFC3339),
			run.Ended.Sub(run.Began.Time).Round(100*time.Millisecond).String(), fmt.Sprint(calls))
	}
	return t
}

// seenIn says in how many of several runs a call was made or refused.
func seenIn(r *v1alpha1.Recording, call v1alpha1.RecordedCall) string {
	if len(r.Runs) == 0 {
		return ""
	}
	n := 0
	for _, run := range r.Runs {
		if slices.ContainsFunc(run.Calls, func(c v1alpha1.RecordedCall) bool { return same(c, call) }) ||
			slices.ContainsFunc(run.Refused, func(c v1alpha1.RefusedCall) bool { return same(c.RecordedCall, call) }) {
			n++
		}
	}
	return fmt.Sprintf("%d of %d runs", n, len(r.Runs))
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
	switch starts := starts(r); {
	case len(r.Runs) > 0 && starts == 0:
		notes = append(notes, "It ran when each of the runs began: what it called at its start is not here.")
	case len(r.Runs) > 0 && starts < len(r.Runs):
		notes = append(notes, fmt.Sprintf("It ran when %d of %d runs began; the others have what it called at its start.", len(r.Runs)-starts, len(r.Runs)))
	case !r.Coverage.Start:
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
		calls = plus(calls, c.Count)
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

// starts is how many of several runs saw the container's first calls.
func starts(r *v1alpha1.Recording) (n int) {
	for _, run := range r.Runs {
		if run.Coverage.Start {
			n++
		}
	}
	return n
}

func syscallsOf(calls []v1alpha1.RecordedCall) (names []string) {
	for _, c := range calls {
		if name := c.ABI + " " + called(c); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// plus is the sum of two numbers of calls, or the largest there is: files say what
// they like.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
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
