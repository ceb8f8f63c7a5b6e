package printer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// sarifDiff has a result for each syscall that differs in one direction, one for all
// numbers without a name, and one for what is not listed.
func sarifDiff(d *v1alpha1.Diff) (run sarifRun) {
	run.Results = []sarifResult{}
	of := placed(d)
	type key struct {
		direction v1alpha1.Direction
		name      string
	}
	var keys []key
	texts := make(map[key][]string)
	for _, difference := range d.Differences {
		k := key{difference.Direction, sarifName(difference)}
		if texts[k] == nil {
			keys = append(keys, k)
		}
		texts[k] = append(texts[k], sarifDifference(difference))
	}
	slices.SortStableFunc(keys, func(a, b key) int { return directions[a.direction].order - directions[b.direction].order })
	for _, k := range keys {
		r := ruleOfDirection[k.direction]
		text := fmt.Sprintf("%s: %s is %s than %s: %s", k.name, d.B.Operand, directions[k.direction].text, d.A.Operand, sarifList(texts[k]))
		switch k.direction {
		case v1alpha1.DirectionChanged:
			text = fmt.Sprintf("%s: %s acts differently than %s, and gives the same access: %s", k.name, d.B.Operand, d.A.Operand, sarifList(texts[k]))
		case v1alpha1.DirectionUndecided:
			text = fmt.Sprintf("%s: how %s stands to %s is undecided: %s", k.name, d.B.Operand, d.A.Operand, sarifList(texts[k]))
		}
		run.Results = append(run.Results, newResult(r.id, r.level, text, of, d.A.Operand, d.B.Operand, k.name))
	}
	if d.ByName != nil {
		for _, l := range d.ByName.Limits {
			if !l.Compared {
				run.Results = append(run.Results, newResult(ruleNotCompared, levelWarning,
					fmt.Sprintf("%s: could not be compared: %s", l.Syscall, l.Reason), of, d.A.Operand, d.B.Operand, l.Syscall))
			}
		}
	}
	if d.Truncated || d.Selection != nil && d.Selection.Hidden > 0 || len(run.Results) == 0 && d.Relation == v1alpha1.Undecided {
		run.Results = append(run.Results, newResult(ruleNotListed, sarifLevel(d.Relation),
			verdict(d)+scope(d)+selected(d.Selection)+"; not all differences are listed", of, d.A.Operand, d.B.Operand))
	}
	return run
}

// placed is the side that results are placed in: a file, B's first, as it may be in a
// repository; or else what runs.
func placed(d *v1alpha1.Diff) v1alpha1.Source {
	if a, b := d.A.Source, d.B.Source; !isFile(b) && (isFile(a) || b.Operand == unconfined) {
		return a
	}
	return d.B.Source
}

// sarifName is what a difference is about: a syscall, under whatever ABI.
func sarifName(d v1alpha1.Difference) string {
	switch {
	case d.Syscall != "":
		return d.Syscall
	case d.ABI == v1alpha1.OtherABI:
		return "calls of other architectures"
	}
	return "numbers without a name"
}

func sarifDifference(d v1alpha1.Difference) string {
	text := fmt.Sprintf("%s in place of %s on %s", action(d.B), action(d.A), abis(d))
	if d.Syscall == "" && d.Numbers != nil && d.ABI != v1alpha1.OtherABI {
		text += " for " + numberRange(*d.Numbers)
	}
	if d.Condition != "" {
		text += " when " + d.Condition
	}
	if d.Witness != nil && d.Condition != "" {
		text += ", such as " + d.Witness.Call
	}
	return text
}

// maxInMessage is how many differences one message tells of: a code-scanning page
// cuts a message after a thousand characters.
const maxInMessage = 6

func sarifList(texts []string) string {
	if more := len(texts) - maxInMessage; more > 1 {
		texts = append(texts[:maxInMessage:maxInMessage], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "; ")
}

func sarifLevel(r v1alpha1.Relation) string {
	switch r {
	case v1alpha1.Looser, v1alpha1.Incomparable:
		return levelError
	case v1alpha1.Undecided:
		return levelWarning
	}
	return levelNote
}
