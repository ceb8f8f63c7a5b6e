package printer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

func (o *output) diagnosis(d *v1alpha1.Diagnosis) {
	n := make(map[v1alpha1.CheckStatus]int)
	for _, c := range d.Checks {
		n[c.Status]++
	}
	failed, unknown, warnings := n[v1alpha1.CheckFailed], n[v1alpha1.CheckUnknown], n[v1alpha1.CheckWarning]
	style, text := terminal.Green, fmt.Sprintf("all %d checks passed", len(d.Checks))
	switch {
	case failed > 0:
		style, text = terminal.Red, fmt.Sprintf("%d of %d checks failed", failed, len(d.Checks))
		if unknown > 0 {
			text += fmt.Sprintf(", %d could not be made", unknown)
		}
	case unknown > 0:
		style, text = terminal.Yellow, fmt.Sprintf("%d of %d checks could not be made", unknown, len(d.Checks))
	case warnings > 0:
		style, text = terminal.Yellow, fmt.Sprintf("nothing failed in %d checks; %s", len(d.Checks), count(warnings, "warning"))
	}
	o.verdict(style, "%s", text)
	o.printf("\n")
	t := table{header: []string{"STATUS", "CHECK", "NODE", "MESSAGE"}, wrap: []int{2, 3}}
	groups := alikeChecks(d.Checks)
	for _, g := range groups {
		t.rows = append(t.rows, row{[]string{statuses[g.check.Status].text, g.check.Name, g.where(), g.check.Message + g.duration()}, statuses[g.check.Status].style})
	}
	t.dropEmpty()
	o.table(t)
	for _, r := range remedies(groups) {
		o.printf("\n%s\n%s\n", wrap(strings.Join(r.of, "; "), o.width), item(r.text, o.width))
	}
}

// remedy is what helps against what some checks have found.
type remedy struct {
	text string
	of   []string // the checks' names, and on which nodes
}

func remedies(groups []*checks) (list []remedy) {
	for _, g := range groups {
		if g.check.Remedy == "" {
			continue
		}
		i := slices.IndexFunc(list, func(r remedy) bool { return r.text == g.check.Remedy })
		if i < 0 {
			i = len(list)
			list = append(list, remedy{text: g.check.Remedy})
		}
		of := g.check.Name
		if where := g.where(); where != "" {
			of += " on " + where
		}
		list[i].of = append(list[i].of, of)
	}
	return list
}

var statuses = map[v1alpha1.CheckStatus]struct {
	text  string
	style terminal.Style
}{
	v1alpha1.CheckOK:      {"ok", terminal.Green},
	v1alpha1.CheckWarning: {"warning", terminal.Yellow},
	v1alpha1.CheckFailed:  {"FAILED", terminal.Red},
	v1alpha1.CheckUnknown: {"unknown", terminal.Yellow},
}

// checks are the same one on a number of nodes, with the same outcome.
type checks struct {
	check v1alpha1.Check
	nodes []string // none: it is of the cluster
	took  []time.Duration
}

// alikeChecks folds what is said of nodes alike. What has one name comes together, in
// the order of the first of each.
func alikeChecks(list []v1alpha1.Check) (groups []*checks) {
	known := make(map[v1alpha1.Check]*checks)
	order := make(map[string]int)
	for _, c := range list {
		key := c
		key.Node, key.Took = "", nil
		g := known[key]
		if g == nil || c.Node == "" {
			g = &checks{check: c}
			known[key] = g
			groups = append(groups, g)
		}
		if _, ok := order[c.Name]; !ok {
			order[c.Name] = len(order)
		}
		if c.Node != "" {
			g.nodes = append(g.nodes, c.Node)
		}
		if c.Took != nil {
			g.took = append(g.took, c.Took.Duration)
		}
	}
	slices.SortStableFunc(groups, func(a, b *checks) int { return order[a.check.Name] - order[b.check.Name] })
	return groups
}

// where names nodes, the first few of many.
func (g *checks) where() string {
	const most = 3
	if len(g.nodes) <= most {
		return strings.Join(g.nodes, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(g.nodes[:most-1], ", "), len(g.nodes)-most+1)
}

// duration is how long it took, from the least to the most.
func (g *checks) duration() string {
	if len(g.took) == 0 {
		return ""
	}
	least, most := g.took[0], g.took[0]
	for _, d := range g.took {
		least, most = min(least, d), max(most, d)
	}
	if least == most {
		return fmt.Sprintf(" (%v)", least)
	}
	return fmt.Sprintf(" (%v to %v)", least, most)
}
