package printer

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// What is listed without being asked: rows of an arrow's differences and reasons for
// it, and names, of syscalls in a row or of containers of which the same is to be
// said.
const (
	maxShown = 8
	maxNames = 12
)

func (o *output) verification(v *v1alpha1.Verification, h Human) {
	style, text := verifiedVerdict(v)
	o.verdict(style, "%s", text)
	if len(v.Namespaces) > 1 {
		o.printf("\n")
		o.table(namespaces(v))
	}
	o.printf("\n")
	o.table(verified(v))
	for _, alike := range sameArrows(v.Items) {
		o.arrows(alike, h, len(v.Items) == 1)
	}
}

// verifiedVerdict says in one line whether all containers are confined as declared.
func verifiedVerdict(v *v1alpha1.Verification) (style terminal.Style, text string) {
	total := v1alpha1.VerifiedNamespace{}
	for _, n := range v.Namespaces {
		total.Containers += n.Containers
		total.Holds += n.Holds
		total.Broken += n.Broken
		total.Unknown += n.Unknown
	}
	style = terminal.Green
	switch {
	case total.Broken > 0:
		style = terminal.Red
		text = some(v.Items, total.Broken) + " not confined as declared"
	case total.Unknown > 0:
		style = terminal.Yellow
		text = some(v.Items, total.Unknown) + " not verified: not everything could be read"
	case total.Containers == 1:
		text = container(v.Items[0].Source) + " is confined as declared"
	default:
		text = fmt.Sprintf("all %d containers are confined as declared", total.Containers)
	}
	if total.Broken > 0 && total.Unknown > 0 {
		text += fmt.Sprintf(", %d not verified", total.Unknown)
	}
	return style, text
}

// namespaces has a row for each.
func namespaces(v *v1alpha1.Verification) table {
	t := table{header: []string{"NAMESPACE", "CONTAINERS", "AS DECLARED", "NOT", "UNKNOWN"}}
	for _, n := range v.Namespaces {
		t.rows = append(t.rows, row{[]string{n.Namespace, fmt.Sprint(n.Containers), fmt.Sprint(n.Holds), fmt.Sprint(n.Broken), fmt.Sprint(n.Unknown)}, holdStyle(n)})
	}
	return t
}

// verified has a row for each container.
func verified(v *v1alpha1.Verification) table {
	t := table{header: []string{"VERDICT", "CONTAINER", "NODE", "DECLARED", "CONFIGURED", "ENFORCED"}, wrap: []int{1, 3}}
	for _, item := range v.Items {
		t.rows = append(t.rows, row{[]string{
			holds[item.Holds].text, container(item.Source), item.Source.Node,
			declared(item.Declared), reading(item, 0), reading(item, 1),
		}, holds[item.Holds].style})
	}
	return t
}

// sameArrows groups containers of which the same is to be said.
func sameArrows(items []v1alpha1.VerifiedContainer) (groups [][]v1alpha1.VerifiedContainer) {
	for _, item := range items {
		i := slices.IndexFunc(groups, func(g []v1alpha1.VerifiedContainer) bool { return reflect.DeepEqual(g[0].Arrows, item.Arrows) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], item)
	}
	return groups
}

// some is the subject of a sentence about n containers.
func some(items []v1alpha1.VerifiedContainer, n int) string {
	switch {
	case len(items) == 1:
		return container(items[0].Source) + " is"
	case n == 1:
		return fmt.Sprintf("1 of %d containers is", len(items))
	}
	return fmt.Sprintf("%d of %d containers are", n, len(items))
}

func holdStyle(n v1alpha1.VerifiedNamespace) terminal.Style {
	switch {
	case n.Broken > 0:
		return terminal.Red
	case n.Unknown > 0:
		return terminal.Yellow
	}
	return terminal.Plain
}

var holds = map[v1alpha1.Holds]struct {
	text  string
	style terminal.Style
}{
	v1alpha1.HoldsYes:     {"ok", terminal.Green},
	v1alpha1.HoldsNo:      {"NOT", terminal.Red},
	v1alpha1.HoldsUnknown: {"unknown", terminal.Yellow},
}

// declared is a declaration in a word: RuntimeDefault, Localhost(audit.json),
// unset (Unconfined).
func declared(d v1alpha1.Declaration) string {
	text := d.Type
	switch {
	case d.Type == "Localhost":
		text += "(" + d.Localhost + ")"
	case d.Type == "" && d.Means != "":
		text = "unset (" + d.Means + ")"
	case d.Type == "":
		text = "unset"
	}
	if d.Privileged {
		text += ", privileged"
	}
	return text
}

// reading is what an arrow leads to, as seen from where it begins.
func reading(c v1alpha1.VerifiedContainer, n int) string {
	a := c.Arrows[n]
	what := ""
	switch {
	case n == 0 && c.Configured != nil && c.Configured.Unconfined:
		what = ", no profile"
	case n == 1 && c.Enforced != nil && c.Enforced.Mode == "disabled":
		what = ", no filter"
	}
	if a.Relation == "" {
		return "?" + what
	}
	return relations[a.Relation] + what
}

var relations = map[v1alpha1.Relation]string{
	v1alpha1.Identical: "identical", v1alpha1.Tighter: "tighter", v1alpha1.Looser: "looser",
	v1alpha1.Incomparable: "incomparable", v1alpha1.SameAccess: "same access", v1alpha1.Undecided: "undecided",
}

// worthSaying are the reasons of an arrow, without those that are no news where there
// are many containers: what is so of most of them.
func worthSaying(a v1alpha1.Arrow, alone bool) []v1alpha1.Reason {
	if alone {
		return a.Reasons
	}
	return slices.DeleteFunc(slices.Clone(a.Reasons), func(r v1alpha1.Reason) bool { return r.Code == v1alpha1.ReasonDoor })
}

func arrowRelation(a v1alpha1.Arrow) string {
	if a.Relation == "" {
		return "not known"
	}
	return relations[a.Relation]
}

// arrows prints what there is to say of the arrows of containers that have the
// same: nothing, if both are as they should be.
func (o *output) arrows(alike []v1alpha1.VerifiedContainer, h Human, alone bool) {
	said := false
	for _, a := range alike[0].Arrows {
		reasons := worthSaying(a, h.Wide || alone)
		if a.Holds == v1alpha1.HoldsYes && len(reasons) == 0 {
			continue
		}
		if !said {
			var names []string
			for _, c := range alike {
				names = append(names, container(c.Source))
			}
			o.printf("\n")
			o.verdict(holds[alike[0].Holds].style, "%s", wrap(enumerated(names, h), max(o.width, minWrap)))
			said = true
		}
		o.printf("%s → %s: %s\n", a.From, a.To, arrowRelation(a))
		hidden := len(reasons) - maxShown
		if hidden <= 1 || h.Wide {
			hidden = 0
		}
		for _, r := range reasons[:len(reasons)-hidden] {
			o.printf("%s\n", item(r.Detail, o.width))
		}
		if hidden > 0 {
			o.printf("%s\n", item(fmt.Sprintf("… and %d more reasons; -o wide lists all", hidden), o.width))
		}
		if a.Holds != v1alpha1.HoldsNo && !h.Wide || len(a.Differences) == 0 {
			continue
		}
		most := maxNames
		if h.Wide {
			most = 0
		} else if nothing(alike[0], a) {
			continue // then the differences are all that was to be denied
		}
		t := differing(a.Differences, most, h.Wide)
		t.header[0], t.header[1], t.header[2] = "IS", strings.ToUpper(a.From), strings.ToUpper(a.To)
		more := len(t.rows) - maxShown
		if more > 1 && !h.Wide {
			t.rows = t.rows[:maxShown]
		}
		o.table(t)
		if more > 1 && !h.Wide {
			o.sentence("… and %d more rows; -o wide lists all", more)
		}
		if a.Truncated {
			o.sentence("There are more differences, too many to list. The verdict takes them into account.")
		}
	}
}

// enumerated lists names: all of them, or few.
func enumerated(names []string, h Human) string {
	if more := len(names) - maxNames; more > 1 && !h.Wide {
		names = append(names[:maxNames:maxNames], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// nothing tells whether an arrow leads to no filter at all.
func nothing(c v1alpha1.VerifiedContainer, a v1alpha1.Arrow) bool {
	if a.To == v1alpha1.ReadingConfigured {
		return c.Configured != nil && c.Configured.Unconfined
	}
	return c.Enforced != nil && c.Enforced.Mode == "disabled"
}

// item is a text behind a dash, wrapped to a width.
func item(text string, width int) string {
	const dash = "  - "
	return dash + strings.ReplaceAll(wrap(text, max(width-len(dash), minWrap)), "\n", "\n    ")
}
