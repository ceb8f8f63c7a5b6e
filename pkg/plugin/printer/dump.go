package printer

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/capability"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// maxListed is the most syscalls of one group that are listed by name without
// being asked: any runtime's denials, but not what it allows.
const maxListed = 150

// maxFindings is the most rows of what stands out that are shown without being
// asked.
const maxFindings = 8

// nodeName is the name of the machine that a source runs on, "" if it is not known.
func nodeName(s v1alpha1.Source) string {
	if s.Node == "" && s.PID != 0 && s.Format == "" {
		return "this machine"
	}
	return s.Node
}

// node is the machine that a source runs on.
func node(s v1alpha1.Source) string {
	text := fmt.Sprintf("Linux %s, %s", s.Kernel, s.Arch)
	if name := nodeName(s); name != "" {
		return name + ", " + text
	}
	return text
}

// dump prints the dump of one container, and in which others it is the same.
func (o *output) dump(alike []v1alpha1.Dump, h Human) {
	d := alike[0]
	subject := d.States[0]
	name := container(d.Source)
	verb := "is"
	if more := len(alike) - 1; more > 0 {
		name += " and " + count(more, "other")
		verb = "are"
	}
	exception := ""
	if len(d.States) > 1 {
		exception = "; not all threads are, see below"
	}
	o.verdict(terminal.Bold, "%s %s %s%s%s", name, verb, confinedBy(subject, d.Selection), selected(d.Selection), exception)
	o.printf("\n")

	facts := table{wrap: []int{1}}
	if d.Source.Format != "" {
		facts.add("Format", format(d.Source))
	}
	if d.Source.PID == 0 {
		machine := d.Source.Arch
		if d.Source.Kernel != "" {
			machine += ", Linux " + d.Source.Kernel
		}
		facts.add("Architecture", machine)
	} else if len(alike) == 1 {
		if d.Source.Container == "" && d.Source.ContainerID != "" {
			facts.add("Container", d.Source.ContainerID)
			facts.add("Image", d.Source.Image)
		}
		facts.add("Process", process(d))
		facts.add("Node", node(d.Source))
	} else {
		allOf(&facts, alike, h.Wide)
	}
	if d.Source.PID != 0 {
		facts.add("Mode", subject.Mode)
	}
	facts.add("Filters", filtersOfAll(alike))
	if d.Source.PID != 0 {
		facts.add("no_new_privs", yesNo(subject.NoNewPrivs))
		facts.add("Capabilities", capabilities(subject.Capabilities))
	}
	o.table(facts)

	if subject.Mode == "filter" {
		o.printf("\n")
		o.table(counts(subject.Syscalls))
		names, all := named(subject, h.Wide)
		if len(names.rows) > 0 {
			o.printf("\n")
			o.table(names)
		}
		o.risks(d.Risks)
		if len(d.Dependent) > 0 {
			o.printf("\n")
			o.table(dependent(d.Dependent))
		}
		if len(subject.Findings) > 0 {
			o.printf("\n")
			rows := findings(subject.Findings)
			more := len(rows.rows) - maxFindings
			if more > 0 && !h.Wide {
				rows.rows = rows.rows[:maxFindings]
				all = false
				rows.add("…", "", "", fmt.Sprintf("and %d more", more))
			}
			o.table(rows)
		}
		if subject.Truncated {
			o.printf("\n")
			o.sentence("This is not all: the filters tell more calls apart than can be listed.")
		}
		if !all {
			o.printf("\n")
			o.sentence("-o wide lists the others, -o asm the filters.")
		}
	}
	if len(d.States) > 1 {
		o.printf("\n")
		o.table(otherStates(d))
	}
	if h.Threads {
		o.printf("\n")
		o.table(threads(d))
	}
}

// format says what a file was taken for, and as whose.
func format(s v1alpha1.Source) string {
	if s.Reader == "" {
		return s.Format
	}
	return s.Format + ", as " + s.Reader + " would load it"
}

// dependent has the calls whose action only a live filter tells.
func dependent(list []v1alpha1.Dependent) table {
	t := table{header: []string{"COMPILER'S CHOICE", "ABI", "WHY"}, wrap: []int{2}}
	groups := make(map[string]*folder)
	var reasons []string
	for _, d := range list {
		if groups[d.Reason] == nil {
			reasons = append(reasons, d.Reason)
			groups[d.Reason] = new(folder)
		}
		groups[d.Reason].add(d.ABI, d.Syscall)
	}
	for _, reason := range reasons {
		for _, f := range groups[reason].fold(false, 0) {
			t.add(f.names, f.abis, reason)
		}
	}
	return t
}

// findings has what stands out, one row for what is said alike of several calls.
func findings(list []v1alpha1.Finding) table {
	t := table{header: []string{"STANDS OUT", "ABI", "SYSCALL", "WHAT"}, wrap: []int{2, 3}}
	type key struct{ check, detail string }
	groups := make(map[key]*folder)
	var keys []key
	for _, f := range list {
		k := key{f.Check, f.Detail}
		if groups[k] == nil {
			keys = append(keys, k)
			groups[k] = new(folder)
		}
		groups[k].add(f.ABI, f.Syscall)
	}
	for _, k := range keys {
		for _, f := range groups[k].fold(false, 0) {
			t.add(k.check, f.abis, f.names, k.detail)
		}
	}
	return t
}

// process says what of a container was looked at, and what was taken on trust.
func process(d v1alpha1.Dump) string {
	name := ""
	if d.Source.Comm != "" {
		name = " (" + d.Source.Comm + ")"
	}
	text := fmt.Sprintf("pid %d%s, %s in %s", d.Source.PID, name, count(d.Threads, "thread"), count(d.Processes, "process"))
	switch {
	case d.Compat == 1 && d.Processes == 1:
		text += ", a 32-bit one"
	case d.Compat > 0:
		text += fmt.Sprintf(", %d of them 32-bit", d.Compat)
	}
	presumed := 0
	for _, s := range d.States {
		presumed += s.Presumed
	}
	if presumed > 0 {
		text += fmt.Sprintf(", %d not stopped and presumed alike", presumed)
	}
	return text
}

// confinedBy is a sentence's end about a container.
func confinedBy(s v1alpha1.State, sel *v1alpha1.Selection) string {
	switch s.Mode {
	case "disabled":
		return "not confined by seccomp: every syscall reaches the kernel"
	case "strict":
		return "in seccomp's strict mode: read, write, exit and sigreturn are allowed, any other call kills the thread"
	}
	text := "confined by " + count(s.FilterCount, "filter")
	if len(s.Syscalls) == 0 {
		return text
	}
	native := s.Syscalls[0]
	by := make(map[access]int)
	all, byArgument := make(map[string]bool), make(map[string]bool)
	for _, g := range native.Groups {
		for _, name := range g.Syscalls {
			all[name] = true
			if g.Condition != "" {
				byArgument[name] = true
			}
		}
		if g.Condition == "" {
			by[accessOf(g.Action)] += len(g.Syscalls)
		}
	}
	syscalls := "syscalls"
	if sel != nil && (len(sel.Syscalls) > 0 || sel.Risky) {
		syscalls = "syscalls asked for"
	}
	text += fmt.Sprintf(": %d of %d %s %s allowed", by[executed], len(all), native.ABI, syscalls)
	for _, part := range []struct {
		n    int
		what string
	}{{len(byArgument), "by argument"}, {by[mediated], "mediated"}, {by[denied], "denied"}, {by[unknown], "undecided"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	return text
}

// access is how much an action lets a call do.
type access int

const (
	denied access = iota
	mediated
	executed
	unknown
)

func accessOf(a v1alpha1.Action) access {
	switch a.Action {
	case "ALLOW", "LOG", v1alpha1.ActionExecuted:
		return executed
	case "TRACE", "USER_NOTIF", v1alpha1.ActionMediated:
		return mediated
	case v1alpha1.ActionUndecided:
		return unknown
	}
	return denied
}

// filtersOf says how many filters there are, and of how many instructions.
func filtersOf(c v1alpha1.Confinement) string {
	switch {
	case c.FilterCount == 0:
		return "none"
	case len(c.Filters) == 0:
		return fmt.Sprintf("%d, not read", c.FilterCount)
	}
	return fmt.Sprintf("%d (%s)", len(c.Filters), count(c.Instructions, "instruction"))
}

// capabilities says it in one word where the three sets that count are alike,
// as those of root in a container are.
func capabilities(c v1alpha1.Capabilities) string {
	effective, permitted, bounding := capability.SetOf(c.Effective), capability.SetOf(c.Permitted), capability.SetOf(c.Bounding)
	ambient := capability.SetOf(c.Ambient)
	if effective == permitted && permitted == bounding && ambient == 0 {
		return effective.String()
	}
	text := effective.String()
	for _, other := range []struct {
		name string
		set  capability.Set
		same bool
	}{{"permitted", permitted, permitted == effective}, {"ambient", ambient, ambient == 0}, {"bounding", bounding, bounding == effective}} {
		if !other.same {
			text += "; " + other.name + " " + other.set.String()
		}
	}
	return text
}

// counts has a row for each ABI: how many of its syscalls get which action, and
// what numbers get that no syscall has.
func counts(list []v1alpha1.Summary) table {
	var actions []v1alpha1.Action
	for _, s := range list {
		for _, g := range s.Groups {
			if s.ABI != v1alpha1.OtherABI && g.Condition == "" && !slices.Contains(actions, g.Action) {
				actions = append(actions, g.Action)
			}
		}
	}
	t := table{header: []string{"ABI"}}
	for _, a := range actions {
		t.header = append(t.header, action(a))
	}
	t.header = append(t.header, "BY ARGUMENT", "UNASSIGNED")
	t.wrap = []int{len(t.header) - 1}
	for _, s := range list {
		cells := []string{s.ABI}
		for _, a := range actions {
			n := 0
			for _, g := range s.Groups {
				if g.Action == a && g.Condition == "" {
					n += len(g.Syscalls)
				}
			}
			cells = append(cells, fmt.Sprint(n))
		}
		byArgument := make(map[string]bool)
		var numbers []string
		for _, g := range s.Groups {
			for _, name := range g.Syscalls {
				if g.Condition != "" {
					byArgument[name] = true
				}
			}
			if len(g.Numbers) > 0 && g.Condition == "" {
				numbers = append(numbers, action(g.Action))
			}
		}
		if s.ABI == v1alpha1.OtherABI {
			for i := range cells[1:] {
				cells[i+1] = ""
			}
			cells = append(cells, "", strings.Join(numbers, ", "))
		} else {
			cells = append(cells, fmt.Sprint(len(byArgument)), strings.Join(numbers, ", "))
		}
		t.add(cells...)
	}
	return t
}

// named has rows for the syscalls with each action, if they are not many or all
// are wanted, and says whether it has all of them.
func named(state v1alpha1.State, wide bool) (t table, all bool) {
	t = table{header: []string{"ACTION", "ABI", "SYSCALL"}, wrap: []int{2}}
	var actions []string
	groups := make(map[string]*folder)
	add := func(action string) *folder {
		if groups[action] == nil {
			actions = append(actions, action)
			groups[action] = new(folder)
		}
		return groups[action]
	}
	for _, s := range state.Syscalls {
		if s.ABI == v1alpha1.OtherABI {
			continue
		}
		for _, g := range s.Groups {
			if g.Condition == "" {
				f := add(action(g.Action))
				for _, name := range g.Syscalls {
					f.add(s.ABI, name)
				}
				f.addNumbers(s.ABI, g.Numbers)
			}
		}
	}
	all = true
	for _, a := range actions {
		if len(groups[a].names) > maxListed && !wide {
			all = false
			continue
		}
		for _, f := range groups[a].fold(wide, 0) {
			t.add(a, f.abis, f.names)
		}
	}
	var byArgument folder
	for _, s := range state.Syscalls {
		for _, text := range conditional(s, !state.Truncated) {
			byArgument.add(s.ABI, text)
		}
	}
	for _, text := range byArgument.names {
		t.add("by argument", strings.Join(byArgument.abis[text], ", "), text)
	}
	return t, all
}

// conditional says of each syscall whose action depends on its arguments how. The
// conditions exclude each other; if the list of them is complete there is one for
// every call, and the last need not be put in words.
func conditional(s v1alpha1.Summary, complete bool) (texts []string) {
	type decision struct{ action, when string }
	var names []string
	of := make(map[string][]decision)
	for _, g := range s.Groups {
		if g.Condition == "" {
			continue
		}
		subjects := slices.Clone(g.Syscalls)
		if len(g.Numbers) > 0 {
			subjects = append(subjects, unassigned(g.Numbers, true))
		}
		for _, name := range subjects {
			if of[name] == nil {
				names = append(names, name)
			}
			of[name] = append(of[name], decision{action(g.Action), when(g.Condition, g.Outline)})
		}
	}
	for _, name := range names {
		list := of[name]
		slices.SortStableFunc(list, func(a, b decision) int { return len(a.when) - len(b.when) })
		var parts []string
		for i, d := range list {
			if complete && i == len(list)-1 {
				parts = append(parts, "otherwise "+d.action)
			} else {
				parts = append(parts, d.action+" when "+d.when)
			}
		}
		texts = append(texts, name+": "+strings.Join(parts, ", "))
	}
	return texts
}

// otherStates has a row for each state but the subject's: what is different.
func otherStates(d v1alpha1.Dump) table {
	t := table{header: []string{"OTHER THREADS", "PROCESSES", "SUCH AS", "WHAT DIFFERS"}, wrap: []int{3}}
	for _, s := range d.States[1:] {
		such := ""
		if len(s.Sample) > 0 {
			such = thread(s.Sample[0])
		}
		t.add(fmt.Sprint(s.Threads), fmt.Sprint(s.Processes), such, strings.Join(differences(d.States[0].Confinement, s.Confinement), "; "))
	}
	return t
}

// differences says in what b differs from a.
func differences(a, b v1alpha1.Confinement) (list []string) {
	if a.Mode != b.Mode {
		list = append(list, "mode "+b.Mode)
	}
	switch {
	case a.FilterCount != 0 && b.FilterCount != 0 && a.FilterCount == b.FilterCount && !slices.Equal(a.Filters, b.Filters):
		list = append(list, fmt.Sprintf("filters: %s, not the same", filtersOf(b)))
	case a.FilterCount != b.FilterCount:
		list = append(list, "filters: "+filtersOf(b))
	}
	if a.NoNewPrivs != b.NoNewPrivs {
		list = append(list, "no_new_privs "+yesNo(b.NoNewPrivs))
	}
	if !reflect.DeepEqual(a.Capabilities, b.Capabilities) {
		list = append(list, "capabilities: "+capabilities(b.Capabilities))
	}
	return list
}

func thread(t v1alpha1.Thread) string {
	if t.TID == t.PID {
		return fmt.Sprintf("%s (pid %d)", t.Comm, t.PID)
	}
	return fmt.Sprintf("%s (tid %d of pid %d)", t.Comm, t.TID, t.PID)
}

// threads lists the threads that are named in a dump.
func threads(d v1alpha1.Dump) table {
	t := table{header: []string{"PID", "TID", "IN CONTAINER", "COMM", "FILTERS", "READ"}}
	for _, s := range d.States {
		for _, thread := range s.Sample {
			t.add(fmt.Sprint(thread.PID), fmt.Sprint(thread.TID), fmt.Sprint(thread.NSPID), thread.Comm, filtersOf(s.Confinement), yesNo(thread.Read))
		}
		if more := s.Threads - len(s.Sample); more > 0 {
			t.add("…", "", "", fmt.Sprintf("and %d more", more), filtersOf(s.Confinement))
		}
	}
	return t
}
