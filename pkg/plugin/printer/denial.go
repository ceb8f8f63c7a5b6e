package printer

import (
	"fmt"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// denial prints one call as it happens, on a line.
func (o *output) denial(d *v1alpha1.Denial, h Human) {
	line := fmt.Sprintf("%s %s %s: %s", d.Time.Format("15:04:05.000"), container(d.Source), caller(d.Process), call(d))
	who := terminal.Plain
	if o.color {
		who = denialStyle(d)
	}
	line += " " + paint(who, outcomeText(d))
	if d.DecidedBy != nil {
		line += ", by " + decidedBy(d.DecidedBy)
	}
	if d.Condition != "" && len(d.Outline) == 0 {
		line += ", as " + d.Condition
	}
	if d.Detail != "" {
		line += ": " + d.Detail
	}
	if d.Count > 1 {
		line += fmt.Sprintf(" (and %d like it before)", d.Count-1)
	}
	o.printf("%s\n", line)
	if h.Wide && d.DecidedBy != nil {
		o.listing(d.DecidedBy)
	}
	if d.Remedy != nil {
		for _, line := range remedyLines(d.Remedy, h.Wide) {
			o.printf("    %s\n", line)
		}
	}
}

func paint(style terminal.Style, text string) string {
	if style == terminal.Plain {
		return text
	}
	return style.Paint(text)
}

func denialStyle(d *v1alpha1.Denial) terminal.Style {
	if d.Refused() {
		return terminal.Red
	}
	return terminal.Yellow
}

// call is the call that a denial is about; of an ABI that is not the machine's own,
// with its name.
func call(d *v1alpha1.Denial) string {
	if len(d.Source.ABIs) > 0 && d.ABI != d.Source.ABIs[0] {
		return d.Call + " (" + d.ABI + ")"
	}
	return d.Call
}

// caller names a thread, by its process and, if it is not the main one, itself.
func caller(c v1alpha1.Caller) string {
	text := fmt.Sprintf("%s[%d]", c.Comm, c.PID)
	if c.TID != c.PID {
		text += fmt.Sprintf(" thread %s[%d]", c.Thread, c.TID)
	}
	if c.Runtime {
		text += " (the runtime)"
	}
	return text
}

// outcomeText is what became of a call, and by which action.
func outcomeText(d *v1alpha1.Denial) string {
	what := ""
	if d.Action != nil {
		what = action(*d.Action)
	}
	switch d.Outcome {
	case v1alpha1.OutcomeExecuted:
		return "is executed, " + what
	case v1alpha1.OutcomeKilled:
		return "ends the thread, " + what
	case v1alpha1.OutcomeSignal:
		return "gets SIGSYS, " + what
	}
	if d.Action != nil && d.Action.Action == "ERRNO" && d.Detail == "" {
		return "gets " + what
	}
	return strings.TrimSuffix("returns "+d.Result+", "+what, ", ")
}

// remedyLines are how a call could be allowed, in lines.
func remedyLines(r *v1alpha1.Remedy, wide bool) (lines []string) {
	if r.Rule != "" {
		lines = append(lines, "to allow it: "+r.Rule)
	} else {
		lines = append(lines, "to allow it: "+r.Change)
	}
	if len(r.Allows) > 0 {
		lines = append(lines, "that allows: "+strings.Join(r.Allows, "; "))
	}
	if wide && r.Risk != "" {
		lines = append(lines, "risk: "+r.Risk)
	}
	return lines
}

func (o *output) listing(by *v1alpha1.Instruction) {
	for i, line := range by.Listing {
		mark := " "
		if by.First+i == by.PC {
			mark = ">"
		}
		o.printf("    %s %s\n", mark, strings.TrimRight(line, " "))
	}
}

// denials prints the calls that filters did not simply allow, those alike as one.
func (o *output) denials(l *v1alpha1.DenialList, h Human) {
	var refused, executed, runtimes, others int64
	for _, d := range l.Items {
		switch {
		case d.Process.Runtime:
			runtimes = plus(runtimes, d.Count)
		case d.Refused():
			refused = plus(refused, d.Count)
		case d.Outcome != v1alpha1.OutcomeExecuted:
			others = plus(others, d.Count)
		default:
			executed = plus(executed, d.Count)
		}
	}
	for _, w := range l.Containers {
		for _, c := range w.Counted {
			if c.Outcome != v1alpha1.OutcomeExecuted {
				refused = plus(refused, c.Count)
			} else {
				executed = plus(executed, c.Count)
			}
		}
	}
	where := count(len(l.Containers), "container")
	if len(l.Containers) == 1 {
		where = container(l.Containers[0].Source)
	}
	style, line := terminal.Green, where+": no call was refused"
	if refused > 0 {
		style, line = terminal.Red, fmt.Sprintf("%s: %s refused", where, many(refused, "call"))
	}
	if executed > 0 {
		line += fmt.Sprintf("; %s logged or handed on, and executed", many(executed, "call"))
		if refused == 0 {
			style = terminal.Yellow
		}
	}
	if others > 0 {
		line += fmt.Sprintf("; %s left out by something else than filters", many(others, "call"))
	}
	unknown := false
	for _, w := range l.Containers {
		unknown = unknown || w.Unclear > 0 || w.Lost != nil
	}
	if unknown && refused == 0 {
		style, line = terminal.Yellow, line+", as far as is known"
	}
	if runtimes > 0 {
		line += fmt.Sprintf("; %s of a runtime that brought processes into it (exec, probes)", many(runtimes, "call"))
	}
	o.verdict(style, "%s", line)

	t := table{header: []string{"CALLS", "CONTAINER", "PROCESS", "CALL", "WHAT BECAME OF IT", "BY", "WHEN"}, wrap: []int{3, 4, 6}}
	for i := range l.Items {
		d := &l.Items[i]
		cells := []string{fmt.Sprint(d.Count), "", caller(d.Process), call(d), outcomeText(d), "", when(d.Condition, d.Outline)}
		if len(l.Containers) > 1 {
			cells[1] = container(d.Source)
		}
		if by := d.DecidedBy; by != nil {
			cells[5] = fmt.Sprintf("filter %d of %d, instruction %d", by.Filter+1, by.Filters, by.PC)
		}
		if d.Detail != "" {
			cells[6] = strings.TrimPrefix(cells[6]+"\n"+d.Detail, "\n")
		}
		t.rows = append(t.rows, row{cells, denialStyle(d)})
	}
	if len(t.rows) > 0 {
		t.dropEmpty()
		o.printf("\n")
		o.table(t)
	}
	o.remedies(l.Items, h)
	for i := range l.Containers {
		notes := Unseen(&l.Containers[i])
		if len(notes) > 0 {
			o.printf("\n")
		}
		for _, note := range notes {
			o.printf("%s\n", note)
		}
	}
}

// remedies prints how calls could be allowed, each once.
func (o *output) remedies(items []v1alpha1.Denial, h Human) {
	seen := make(map[string]bool)
	for i := range items {
		d := &items[i]
		if d.Remedy == nil {
			continue
		}
		lines := remedyLines(d.Remedy, h.Wide)
		subject := d.Syscall
		if subject == "" {
			subject = "syscall " + number(d.NR)
		}
		text := strings.Join(append([]string{subject}, lines...), "\n")
		if seen[text] {
			continue
		}
		seen[text] = true
		o.printf("\n%s\n", subject)
		if h.Wide && d.DecidedBy != nil {
			o.listing(d.DecidedBy)
		}
		for _, line := range lines {
			o.printf("  %s\n", o.fit(line))
		}
	}
}

// Unseen says of a container what of its refused calls could not be told.
func Unseen(w *v1alpha1.Watched) (notes []string) {
	who := container(w.Source)
	if w.Mode == "disabled" {
		notes = append(notes, who+": its main thread has no filters, which refuse nothing")
	}
	for _, c := range w.Counted {
		name := c.Syscall
		if name == "" {
			name = "numbers that no syscall has"
		}
		result := ""
		if c.Result != "" {
			result = ", result " + c.Result
		}
		notes = append(notes, fmt.Sprintf("%s: %s of %s (%s) only counted: %s%s", who, many(c.Count, "more call"), name, c.ABI, strings.ToLower(string(c.Outcome)), result))
	}
	if w.Unclear > 0 {
		notes = append(notes, fmt.Sprintf("%s: of %s it is not known whether filters had a part in it: they began before, or were only counted", who, many(w.Unclear, "call")))
	}
	if l := w.Lost; l != nil {
		for _, lost := range []struct {
			n    int64
			what string
		}{{l.Calls, "refused call"}, {l.Stacks, "filter stack"}, {l.Runs, "program run"}} {
			if lost.n > 0 {
				notes = append(notes, fmt.Sprintf("%s: lost: %s", who, many(lost.n, lost.what)))
			}
		}
	}
	return notes
}
