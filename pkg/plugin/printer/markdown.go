package printer

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// Markdown prints a Diff, a Verification or a Tightening as a comment on a pull request: GitHub
// Flavored Markdown. What is not a plain word is put into code spans, in which nothing
// is a link, a mention, a reference to an issue, emphasis or HTML.
type Markdown struct{}

var _ printers.ResourcePrinter = Markdown{}

// PrintObj implements printers.ResourcePrinter.
func (Markdown) PrintObj(obj runtime.Object, w io.Writer) error {
	m := &markdown{output{Writer: w}}
	switch obj := obj.(type) {
	case *v1alpha1.Diff:
		m.diff(obj)
	case *v1alpha1.Verification:
		m.verification(obj)
	case *v1alpha1.Tightening:
		m.tightening(obj)
	default:
		return fmt.Errorf("print %T as Markdown: there is no such form of it", obj)
	}
	return m.err
}

type markdown struct{ output }

func (m *markdown) diff(d *v1alpha1.Diff) {
	m.printf("**%s**\n", prose(verdict(d)+scope(d)+selected(d.Selection)))
	m.table(sides(d))
	if len(d.Differences) > 0 {
		m.folded(differing(d.Differences, 0, false), "differences")
	}
	for i, sentence := range byName(d.ByName) {
		if i == 0 {
			m.printf("\n")
		}
		m.printf("- %s\n", prose(sentence))
	}
	if len(d.Risks) > 0 {
		t := table{header: []string{"SYSCALL", "RISK"}}
		for _, r := range d.Risks {
			t.add(r.Syscall, r.Risk)
		}
		m.folded(t, "risks")
	}
	if d.Selection != nil && d.Selection.Hidden > 0 {
		m.paragraph(fmt.Sprintf("Not shown: %s. The verdict takes them into account.", count(d.Selection.Hidden, "difference")))
	}
	if d.Truncated {
		m.paragraph("There are more differences, too many to list. The verdict takes them into account.")
	}
}

func (m *markdown) verification(v *v1alpha1.Verification) {
	_, text := verifiedVerdict(v)
	m.printf("**%s**\n", prose(text))
	if len(v.Namespaces) > 1 {
		m.table(namespaces(v))
	}
	m.folded(verified(v), "containers")
	for _, alike := range sameArrows(v.Items) {
		m.arrows(alike, len(v.Items) == 1)
	}
}

// arrows prints what there is to say of containers that have the same arrows, as
// output.arrows does.
func (m *markdown) arrows(alike []v1alpha1.VerifiedContainer, alone bool) {
	said := false
	for _, a := range alike[0].Arrows {
		reasons := worthSaying(a, alone)
		if a.Holds == v1alpha1.HoldsYes && len(reasons) == 0 {
			continue
		}
		if !said {
			var names []string
			for _, c := range alike {
				names = append(names, span(container(c.Source)))
			}
			if more := len(names) - maxNames; more > 1 {
				names = append(names[:maxNames:maxNames], fmt.Sprintf("and %d more", more))
			}
			m.printf("\n%s\n", strings.Join(names, ", "))
			said = true
		}
		m.printf("\n- %s → %s: %s\n", a.From, a.To, arrowRelation(a))
		for _, r := range reasons {
			m.printf("  - %s\n", prose(r.Detail))
		}
		if a.Holds != v1alpha1.HoldsNo || len(a.Differences) == 0 || nothing(alike[0], a) {
			continue
		}
		t := differing(a.Differences, maxNames, false)
		t.header[0], t.header[1], t.header[2] = "IS", strings.ToUpper(a.From), strings.ToUpper(a.To)
		m.folded(t, "differences")
		if a.Truncated {
			m.paragraph("There are more differences, too many to list. The verdict takes them into account.")
		}
	}
}

// paragraph prints a text of ours, or one that quotes others.
func (m *markdown) paragraph(text string) { m.printf("\n%s\n", prose(text)) }

// maxOpen is how many rows a table has at most that is not folded away.
const maxOpen = 15

// folded prints a table that a reader opens, if it is long.
func (m *markdown) folded(t table, what string) {
	if len(t.rows) <= maxOpen {
		m.table(t)
		return
	}
	m.printf("\n<details><summary>%d rows of %s</summary>\n", len(t.rows), what)
	m.table(t)
	m.printf("\n</details>\n")
}

// ours are the columns that have nothing but words and numbers of ours.
var ours = []string{"", "IS", "B IS", "VERDICT", "PID", "FILTERS", "NO_NEW_PRIVS", "CONFIGURED", "ENFORCED", "CONTAINERS", "AS DECLARED", "NOT", "UNKNOWN"}

func (m *markdown) table(t table) {
	m.printf("\n")
	m.row(t.header)
	m.row(slices.Repeat([]string{"---"}, len(t.header)))
	for _, r := range t.rows {
		cells := slices.Clone(r.cells)
		for i := range cells {
			if !slices.Contains(ours, t.header[i]) {
				cells[i] = cellOf(cells[i])
			}
		}
		m.row(cells)
	}
}

func (m *markdown) row(cells []string) { m.printf("| %s |\n", strings.Join(cells, " | ")) }

// cellOf is a text as a cell of a table has it: a code span for each line. A pipe in
// one still ends the cell unless a backslash is before it, which is taken away again.
func cellOf(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, strings.ReplaceAll(span(line), "|", `\|`))
	}
	return strings.Join(lines, "<br>")
}

// backticks are runs of them.
var backticks = regexp.MustCompile("`+")

// span is a code span with a text, "" for none.
func span(text string) string {
	text = terminal.Escape(text)
	if text == "" {
		return ""
	}
	most := 0
	for _, run := range backticks.FindAllString(text, -1) {
		most = max(most, len(run))
	}
	fence := strings.Repeat("`", most+1)
	// Markdown takes one space off both ends, if there is one at both.
	if edge := text[:1] + text[len(text)-1:]; strings.Contains(edge, "`") || edge == "  " {
		text = " " + text + " "
	}
	return fence + text + fence
}

// plain is a word that means nothing to Markdown, nor to GitHub.
var plain = regexp.MustCompile(`^\(?[\p{L}\p{N}]+('[a-z]+)?[)]?[.,;:]?$|^[→…]$`)

// prose is a sentence with those of its words in code spans that are not plain.
func prose(text string) string {
	words := strings.Fields(terminal.Escape(text))
	for i, word := range words {
		if plain.MatchString(word) && len(word) < 40 { // which may be a commit's hash
			continue
		}
		bare := strings.TrimRight(word, ",;:.")
		if bare == "" {
			bare = word
		}
		words[i] = span(bare) + word[len(bare):]
	}
	return strings.Join(words, " ")
}
