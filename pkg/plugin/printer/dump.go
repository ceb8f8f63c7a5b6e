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
const maxListed = 100

// dumps prints each dump, those of containers that are confined alike as one.
func (o *output) dumps(dumps []v1alpha1.Dump, h Human) {
	for len(dumps) > 0 {
		first := dumps[0]
		alike := []v1alpha1.Dump{first}
		dumps = slices.DeleteFunc(slices.Clone(dumps[1:]), func(d v1alpha1.Dump) bool {
			if !confinedAlike(first, d) {
				return false
			}
			alike = append(alike, d)
			return true
		})
		o.dump(alike, h)
		if len(dumps) > 0 {
			o.printf("\n")
		}
	}
}

// confinedAlike reports whether two containers have the same states, whatever
// the number of threads that have them.
func confinedAlike(a, b v1alpha1.Dump) bool {
	return a.Source.Kernel == b.Source.Kernel && slices.Equal(a.Source.ABIs, b.Source.ABIs) &&
		slices.EqualFunc(a.States, b.States, func(s, t v1alpha1.State) bool {
			return s.Subject == t.Subject && reflect.DeepEqual(s.Confinement, t.Confinement)
		})
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
	o.verdict(terminal.Bold, "%s %s %s", name, verb, confinedBy(subject))
	o.printf("\n")

	facts := table{wrap: []int{1}}
	for i, a := range alike {
		key := ""
		if len(alike) > 1 {
			key = container(a.Source)
		}
		s := a.Source
		process := fmt.Sprintf("node %s, pid %d, %s in %s", s.Node, s.PID, count(a.Threads, "thread"), count(a.Processes, "process"))
		if i == 0 && len(alike) == 1 {
			key = "Process"
		}
		if n := presumed(a); n > 0 {
			process += fmt.Sprintf(", %d not stopped but presumed alike", n)
		}
		facts.add(key, process)
	}
	facts.add("Kernel", "Linux "+d.Source.Kernel+", "+d.Source.Arch)
	facts.add("Mode", subject.Mode)
	facts.add("Filters", filtersOf(subject.Confinement))
	facts.add("no_new_privs", yesNo(subject.NoNewPrivs))
	facts.add("Capabilities", capabilities(subject.Capabilities))
	o.table(facts)

	if subject.Mode == "filter" {
		o.printf("\n")
		o.table(unconditional(subject.Syscalls, h.Wide))
		if t := conditional(subject.Syscalls); len(t.rows) > 0 {
			o.printf("\n")
			o.table(t)
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

func presumed(d v1alpha1.Dump) (n int) {
	for _, s := range d.States {
		n += s.Presumed
	}
	return n
}

// confinedBy is a sentence's end about a container.
func confinedBy(s v1alpha1.State) string {
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
	text += fmt.Sprintf(": of %d %s syscalls %d are allowed", len(all), native.ABI, by[executed])
	for _, part := range []struct {
		n    int
		what string
	}{{len(byArgument), "depend on arguments"}, {by[mediated], "are mediated"}, {by[denied], "are denied"}, {by[unknown], "are undecided"}} {
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
	case "ALLOW", "LOG":
		return executed
	case "TRACE", "USER_NOTIF":
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
	case len(c.Filters) == 1:
		return fmt.Sprintf("1 of %s", count(c.Instructions, "instruction"))
	}
	return fmt.Sprintf("%d of %s together", len(c.Filters), count(c.Instructions, "instruction"))
}

// capabilities says it in one word where the three sets that count are alike,
// as those of root in a container are.
func capabilities(c v1alpha1.Capabilities) string {
	effective, permitted, bounding := capability.SetOf(c.Effective), capability.SetOf(c.Permitted), capability.SetOf(c.Bounding)
	ambient := capability.SetOf(c.Ambient)
	if effective == permitted && permitted == bounding && ambient == 0 {
		return effective.String()
	}
	text := "effective " + effective.String()
	if permitted != effective {
		text += "; permitted " + permitted.String()
	}
	if ambient != 0 {
		text += "; ambient " + ambient.String()
	}
	return text + "; bounding " + bounding.String()
}

// unconditional has a row for each ABI and action: what is done whatever the
// arguments. ABIs that are treated as a whole, as foreign ones are, share a row.
func unconditional(list []v1alpha1.Summary, wide bool) table {
	t := table{header: []string{"ABI", "ACTION", "SYSCALLS", "NAMES"}, wrap: []int{3}}
	wholes := make(map[v1alpha1.Action][]string)
	for _, s := range list {
		if len(s.Groups) == 1 && s.Groups[0].Condition == "" {
			wholes[s.Groups[0].Action] = append(wholes[s.Groups[0].Action], s.ABI)
		}
	}
	for _, s := range list {
		if len(s.Groups) == 1 && s.Groups[0].Condition == "" {
			a := s.Groups[0].Action
			if abis := wholes[a]; abis != nil {
				t.add(strings.Join(abis, ", "), action(a), "all", "")
				delete(wholes, a)
			}
			continue
		}
		for _, g := range s.Groups {
			if g.Condition != "" {
				continue
			}
			var names []string
			if len(g.Syscalls) <= maxListed || wide {
				names = slices.Clone(g.Syscalls)
				slices.Sort(names)
			}
			if len(g.Numbers) > 0 {
				names = append(names, unassigned(g.Numbers, wide))
			}
			t.add(s.ABI, action(g.Action), fmt.Sprint(len(g.Syscalls)), strings.Join(names, ", "))
		}
	}
	return t
}

// maxRanges is the most ranges of numbers without a name that are listed without
// being asked.
const maxRanges = 3

// unassigned names numbers that no syscall has.
func unassigned(list []v1alpha1.Numbers, all bool) string {
	if len(list) > maxRanges && !all {
		return fmt.Sprintf("%d ranges of unassigned numbers", len(list))
	}
	var texts []string
	for _, n := range list {
		texts = append(texts, numberRange(n))
	}
	return "unassigned " + strings.Join(texts, ", ")
}

// conditional has a row for each action that some calls of a syscall get, by
// their arguments. The last says "otherwise": the conditions of all exclude each
// other and cover all calls.
func conditional(list []v1alpha1.Summary) table {
	t := table{header: []string{"ABI", "SYSCALL", "ACTION", "WHEN"}, wrap: []int{3}}
	type entry struct {
		name string
		abis []string
		rows [][2]string
	}
	var entries []*entry
	for _, s := range list {
		of := make(map[string]*entry)
		var names []string
		for _, g := range s.Groups {
			if g.Condition == "" {
				continue
			}
			subjects := g.Syscalls
			for _, n := range g.Numbers {
				subjects = append(slices.Clone(subjects), numberRange(n))
			}
			for _, name := range subjects {
				if of[name] == nil {
					of[name] = &entry{name: name}
					names = append(names, name)
				}
				of[name].rows = append(of[name].rows, [2]string{action(g.Action), when(g.Condition, g.Outline)})
			}
		}
		for _, name := range names {
			e := of[name]
			slices.SortStableFunc(e.rows, func(a, b [2]string) int { return len(a[1]) - len(b[1]) })
			e.rows[len(e.rows)-1][1] = "otherwise"
			if i := slices.IndexFunc(entries, func(o *entry) bool { return o.name == e.name && slices.Equal(o.rows, e.rows) }); i >= 0 {
				e = entries[i]
			} else {
				entries = append(entries, e)
			}
			e.abis = append(e.abis, s.ABI)
		}
	}
	for _, e := range entries {
		for i, r := range e.rows {
			if i == 0 {
				t.add(strings.Join(e.abis, ", "), e.name, r[0], r[1])
			} else {
				t.add("", "", r[0], r[1])
			}
		}
	}
	return t
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
