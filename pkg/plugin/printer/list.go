package printer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

func (o *output) list(l *v1alpha1.ConfinementList, h Human) {
	if len(l.Items) == 0 {
		o.printf("Nothing with a filter was found.\n")
		return
	}
	t := table{header: []string{"SOURCE", "NODE", "MODE", "FILTERS", "DECLARED", "DEFAULT", "ALLOWED", "FINGERPRINT", "NOTE"}, wrap: []int{0, 8}}
	if h.Wide {
		t.header = append(t.header, "PID", "COMMAND", "PROCESSES", "THREADS", "NO_NEW_PRIVS", "CAPABILITIES")
		t.wrap = append(t.wrap, 14)
	}
	for _, i := range l.Items {
		style := terminal.Plain
		if len(i.Mismatches) > 0 {
			style = terminal.Yellow
		}
		cells := []string{listed(i), i.Node, i.Mode, "", "", "", "", fingerprint(i.Fingerprint, h.Wide), notes(i)}
		if i.Declared != nil {
			cells[4] = declared(*i.Declared)
		}
		if i.Read {
			cells[3] = fmt.Sprintf("%d (%d)", i.FilterCount, i.Instructions)
			cells[6] = allowed(i)
			if i.Default != nil {
				cells[5] = action(*i.Default)
			} else if i.Mode != "strict" {
				cells[5] = "by argument"
			}
		} else {
			cells[2] = "?"
		}
		if h.Wide {
			cells = append(cells, fmt.Sprint(i.PID), i.Comm, fmt.Sprint(i.Processes), fmt.Sprint(i.Threads), yesNo(i.NoNewPrivs), capabilities(i.Capabilities))
		}
		t.rows = append(t.rows, row{cells, style})
	}
	t.dropEmpty()
	o.table(t)
}

// listed names a container, or a process with its command.
func listed(i v1alpha1.ConfinementItem) string {
	if i.Container == "" && i.Comm != "" {
		return container(i.Source) + " (" + i.Comm + ")"
	}
	return container(i.Source)
}

// allowed is the share of the native ABI's syscalls that are executed, whatever
// their arguments; those that are at times are behind a plus.
func allowed(i v1alpha1.ConfinementItem) string {
	if i.Syscalls == 0 {
		return ""
	}
	text := fmt.Sprintf("%d%%", 100*i.Allowed/i.Syscalls)
	if i.Conditional > 0 {
		text += fmt.Sprintf(" +%d", i.Conditional)
	}
	return text
}

// shortFingerprint is how much of one is shown to people: two that differ do so
// there but once in 2^48.
const shortFingerprint = len("s:") + 12

func fingerprint(text string, wide bool) string {
	if len(text) > shortFingerprint && !wide {
		return text[:shortFingerprint]
	}
	return text
}

// notes are what stands out about an item, and what could not be read of it.
func notes(i v1alpha1.ConfinementItem) string {
	var list []string
	if i.Read {
		list = slices.Clone(i.Mismatches)
	}
	for _, p := range i.Problems {
		list = append(list, p.Message)
	}
	if len(list) == 0 && !i.Read {
		list = []string{"not read"}
	}
	return strings.Join(list, "; ")
}
