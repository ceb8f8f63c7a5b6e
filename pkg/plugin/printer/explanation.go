package printer

import (
	"fmt"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

func (o *output) explanation(e *v1alpha1.Explanation) {
	syscall := e.Syscall
	if syscall == "" {
		syscall = "syscall " + number(e.NR)
	}
	who := container(e.Source)
	if v := e.Verdict; v != nil {
		style := map[access]terminal.Style{executed: terminal.Green, denied: terminal.Red}[accessOf(v.Action)]
		if style == terminal.Plain {
			style = terminal.Yellow
		}
		subject := v.Call
		if len(e.Decisions) == 1 {
			subject = "every " + syscall
		}
		o.verdict(style, "%s: %s gets %s (%s)%s", who, subject, action(v.Action), e.ABI, view(e.View))
	} else {
		o.verdict(terminal.Bold, "%s: what %s gets depends on its arguments (%s)%s", who, syscall, e.ABI, view(e.View))
	}
	o.printf("\n")

	facts := table{wrap: []int{1}}
	facts.add("Syscall", fmt.Sprintf("%s, number %s of %s", signature(syscall, e.Parameters), number(e.NR), e.ABI))
	if e.Source.Format != "" {
		facts.add("Format", format(e.Source))
	}
	if v := e.Verdict; v != nil {
		if v.ReachedBy != nil {
			facts.add("Reached by", v.ReachedBy.Call+", which the kernel cannot tell from "+v.Call)
		}
		if v.Action.Action != v1alpha1.ActionUndecided {
			facts.add("Decided by", decidedBy(v.DecidedBy))
		}
	}
	o.table(facts)
	if v := e.Verdict; v != nil && v.DecidedBy != nil {
		o.printf("\n")
		for i, line := range v.DecidedBy.Listing {
			mark := " "
			if v.DecidedBy.First+i == v.DecidedBy.PC {
				mark = ">"
			}
			o.printf("%s %s\n", mark, strings.TrimRight(line, " "))
		}
	}
	if len(e.Decisions) > 1 {
		o.printf("\n")
		t := table{header: []string{"ACTION", "WHEN"}, wrap: []int{1}}
		for _, d := range e.Decisions {
			text := when(d.Condition, d.Outline)
			if d.Holds {
				text += "\nwhich holds for this call"
			}
			t.add(action(d.Action), text)
		}
		o.table(t)
	}
	if e.Truncated {
		o.printf("\n")
		o.sentence("When which action is taken cannot be listed: the filters tell too many calls apart.")
	}
	if len(e.Findings) > 0 {
		o.printf("\n")
		t := table{header: []string{"STANDS OUT", "WHAT"}, wrap: []int{1}}
		for _, f := range e.Findings {
			t.add(f.Check, f.Detail)
		}
		o.table(t)
	}
	if b := e.Background; b != nil {
		o.printf("\n")
		o.table(background(b))
	}
}

// signature is a syscall as C declares it.
func signature(name string, params []v1alpha1.Parameter) string {
	if params == nil {
		return name
	}
	var list []string
	for _, p := range params {
		space := " "
		if strings.HasSuffix(p.Type, "*") {
			space = ""
		}
		list = append(list, p.Type+space+p.Name)
	}
	return name + "(" + strings.Join(list, ", ") + ")"
}

func decidedBy(by *v1alpha1.Instruction) string {
	if by == nil {
		return "nothing: there is no filter"
	}
	age := ""
	if by.Filters > 1 {
		switch by.Filter {
		case 0:
			age = ", the oldest"
		case by.Filters - 1:
			age = ", the newest"
		}
	}
	return fmt.Sprintf("filter %d of %d%s, instruction %d", by.Filter+1, by.Filters, age, by.PC)
}

func background(b *v1alpha1.Background) table {
	t := table{wrap: []int{1}}
	capability := ""
	if b.Capability != "" {
		capability = b.Capability
		if b.For != "" {
			capability += ", for " + b.For
		}
	}
	since := ""
	if b.Since != "" {
		since = "Linux " + b.Since
	}
	for _, row := range [][2]string{
		{"What it does", b.What}, {"Risk", b.Risk}, {"Capability", capability}, {"Since", since},
		{"Related", strings.Join(b.Twins, ", ")}, {"Source", b.Source},
	} {
		if row[1] != "" {
			t.add(row[0], row[1])
		}
	}
	return t
}
