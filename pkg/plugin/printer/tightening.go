package printer

import (
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// RemainingProfile writes the profile that remains of a policy.
type RemainingProfile struct{}

var _ printers.ResourcePrinter = RemainingProfile{}

// PrintObj implements printers.ResourcePrinter.
func (RemainingProfile) PrintObj(obj runtime.Object, w io.Writer) error {
	t, ok := obj.(*v1alpha1.Tightening)
	if !ok {
		return fmt.Errorf("write the profile that remains of %T: it has none", obj)
	}
	_, err := io.WriteString(w, t.Profile)
	return err
}

// tightening prints what is allowed and was never used.
func (o *output) tightening(t *v1alpha1.Tightening, h Human) {
	style := terminal.Green
	if !t.Fits {
		style = terminal.Red
	}
	o.verdict(style, "%s", tightened(t))
	for _, part := range []table{missing(t), risky(t), harmless(t, h.Wide)} {
		if len(part.rows) > 0 {
			o.printf("\n")
			o.table(part)
		}
	}
	o.printf("\n")
	for _, note := range tighteningNotes(t) {
		o.sentence("%s", note)
	}
}

func (m *markdown) tightening(t *v1alpha1.Tightening) {
	m.printf("**%s**\n", prose(tightened(t)))
	for _, part := range []struct {
		table
		what string
	}{{missing(t), "calls that are not allowed"}, {risky(t), "risky syscalls"}, {harmless(t, true), "other syscalls"}} {
		if len(part.rows) > 0 {
			m.folded(part.table, part.what)
		}
	}
	m.printf("\n")
	for _, note := range tighteningNotes(t) {
		m.printf("- %s\n", prose(note))
	}
}

// tightened is the verdict.
func tightened(t *v1alpha1.Tightening) string {
	never, certain := len(t.Names()), 0
	for _, m := range t.Missing {
		if m.Certain {
			certain++
		}
	}
	text := fmt.Sprintf("%s allows %s, and %d of them %s never called", container(t.Source), count(t.Allowed, "syscall"), never, was(int64(never)))
	if t.Limit != nil && never > *t.Limit {
		text += fmt.Sprintf(", more than %d", *t.Limit)
	}
	if certain > 0 {
		text += fmt.Sprintf("; it denies %s that %s made", count(certain, "call"), was(int64(certain)))
	}
	return text
}

// missing has what was called and is not allowed.
func missing(t *v1alpha1.Tightening) table {
	out := table{header: []string{"DENIED", "ABI", "SYSCALL", "CALLS", "ARGUMENT"}, wrap: []int{4}}
	for _, m := range t.Missing {
		how := "for some arguments"
		if m.Certain {
			how = "always"
		}
		argument := ""
		if m.Parameter != "" {
			argument = m.Parameter + ": " + m.Value
			if m.Text != "" {
				argument = m.Parameter + ": " + m.Text
			}
		}
		out.add(how, m.ABI, called(m.RecordedCall), fmt.Sprint(m.Count), argument)
	}
	return out
}

// risky has what is allowed, was not used, and has a known risk.
func risky(t *v1alpha1.Tightening) table {
	out := table{header: []string{"SYSCALL", "NEVER CALLED", "RISK"}, wrap: []int{1, 2}}
	for _, u := range t.Unused {
		if u.Risk == "" {
			continue
		}
		out.add(u.Syscall, never(u), u.Risk)
	}
	return out
}

func never(u v1alpha1.UnusedCall) string {
	switch {
	case u.Condition == "":
		return "at all"
	case u.Called:
		return "when " + u.Condition
	}
	return "at all; allowed when " + u.Condition
}

// maxUnused is how many syscalls without a known risk are named without being asked.
const maxUnused = 24

// harmless has the others, by what is known of them.
func harmless(t *v1alpha1.Tightening, all bool) table {
	out := table{header: []string{"OTHERS", "SYSCALLS"}, wrap: []int{1}}
	var names, partly []string
	for _, u := range t.Unused {
		switch {
		case u.Risk != "":
		case u.Called:
			partly = append(partly, u.Syscall)
		default:
			names = append(names, u.Syscall)
		}
	}
	for _, row := range []struct {
		what  string
		names []string
	}{{"never called", names}, {"called with some arguments only", partly}, {"not counted: for the start", t.Start}} {
		if more := len(row.names) - maxUnused; more > 1 && !all {
			row.names = append(row.names[:maxUnused:maxUnused], fmt.Sprintf("and %d more", more))
		}
		if len(row.names) > 0 {
			out.add(row.what, strings.Join(row.names, ", "))
		}
	}
	return out
}

// tighteningNotes say what the answer rests on.
func tighteningNotes(t *v1alpha1.Tightening) (notes []string) {
	of := container(t.Recorded)
	if t.Runs > 1 {
		of += fmt.Sprintf(", %d runs", t.Runs)
	}
	notes = append(notes, fmt.Sprintf("The recording (%s) has %s. It covers only what ran: what it has not seen may be needed all the same.", of, count(t.Used, "syscall")))
	if len(t.UnusedABIs) > 0 {
		notes = append(notes, fmt.Sprintf("Open, and no call was made: ABI %s.", strings.Join(t.UnusedABIs, ", ABI ")))
	}
	var refused []string
	for _, c := range t.Refused {
		refused = append(refused, called(c.RecordedCall))
	}
	if len(refused) > 0 {
		notes = append(notes, "Refused while it was recorded: "+strings.Join(refused, ", ")+".")
	}
	if l := t.Coverage.Lost; l != nil && l.Calls+l.Runs > 0 {
		notes = append(notes, fmt.Sprintf("LOST: %d calls were not counted.", plus(l.Calls, l.Runs)))
	}
	return notes
}
