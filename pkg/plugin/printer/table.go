package printer

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// Of tablewriter this is 1.0: from 1.1 on it fills caches of two thirds of a
// megabyte when it is loaded, which every start of the plugin would pay, --help too.

// gap is between two columns, as kubectl get has it.
const gap = "   "

// minWrap is the least width that columns are wrapped to, however narrow the
// terminal.
const minWrap = 24

// table is columns of text without borders.
type table struct {
	header []string // nil: none
	rows   []row
	wrap   []int // the columns that give way where the whole is too wide
}

// row is one row of a table.
type row struct {
	cells []string
	style terminal.Style // of the first cell
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, row{cells: cells}) }

// dropEmpty takes out the columns in which no row has anything.
func (t *table) dropEmpty() {
	for i := len(t.header) - 1; i >= 0; i-- {
		if slices.ContainsFunc(t.rows, func(r row) bool { return r.cells[i] != "" }) {
			continue
		}
		t.header = slices.Delete(slices.Clone(t.header), i, i+1)
		for n := range t.rows {
			t.rows[n].cells = slices.Delete(t.rows[n].cells, i, i+1)
		}
		t.wrap = slices.DeleteFunc(slices.Clone(t.wrap), func(c int) bool { return c == i })
		for n, c := range t.wrap {
			if c > i {
				t.wrap[n]--
			}
		}
	}
}

// narrow is the width of terminals, in columns, on which a table that does not fit is
// turned into records. Below it there is no file, and no pipe that nobody has set
// COLUMNS for: a line of a table is not broken up for programs.
const narrow = 60

// print writes the table, at most width wide if its other columns allow.
func (t *table) print(w io.Writer, width int) error {
	widths := t.widths(width)
	if width < narrow && total(widths) > width {
		return t.printRecords(w, width)
	}
	var out bytes.Buffer
	layout := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: gap, Overwrite: true}},
	}
	tab := tablewriter.NewTable(&out,
		tablewriter.WithConfig(tablewriter.Config{Header: layout, Row: layout, Behavior: tw.Behavior{TrimSpace: tw.Off}}),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Symbols:  tw.NewSymbols(tw.StyleNone),
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
	)
	// firsts maps the lines that rows begin at to the rows.
	firsts := make(map[int]row)
	line := 0
	if t.header != nil {
		tab.Header(t.header)
		line++
	}
	for _, r := range t.rows {
		firsts[line] = r
		cells, height := slices.Clone(r.cells), 1
		for i := range cells {
			cells[i] = wrap(cells[i], widths[i])
			height = max(height, 1+strings.Count(cells[i], "\n"))
		}
		line += height
		if err := tab.Append(cells); err != nil {
			return err
		}
	}
	if err := tab.Render(); err != nil {
		return err
	}
	line = 0
	for text := range strings.Lines(out.String()) {
		text = strings.TrimRight(text, " \n")
		// Painted here, so that the layout sees plain text only.
		if r, ok := firsts[line]; ok && r.style != terminal.Plain {
			if rest, ok := strings.CutPrefix(text, r.cells[0]); ok {
				text = r.style.Paint(r.cells[0]) + rest
			}
		}
		if _, err := io.WriteString(w, text+"\n"); err != nil {
			return err
		}
		line++
	}
	return nil
}

// total is the width of a table with columns of such widths.
func total(widths []int) int {
	sum := len(gap) * (len(widths) - 1)
	for _, width := range widths {
		sum += width
	}
	return sum
}

// printRecords writes each row as lines of their own: a column a line, behind its
// heading, and the next ones indented where there are no headings.
func (t *table) printRecords(w io.Writer, width int) error {
	labels := 0
	for _, heading := range t.header {
		labels = max(labels, twwidth.Width(heading)+len(gap))
	}
	out := &output{Writer: w}
	for n, r := range t.rows {
		if n > 0 && t.header != nil {
			out.printf("\n")
		}
		for i, cell := range r.cells {
			if cell == "" {
				continue
			}
			label := ""
			switch {
			case t.header != nil && t.header[i] != "":
				label = t.header[i] + strings.Repeat(" ", labels-twwidth.Width(t.header[i]))
			case t.header == nil && i > 0:
				label = "  "
			}
			indent := strings.Repeat(" ", twwidth.Width(label))
			text := strings.ReplaceAll(wrap(cell, max(width-len(indent), 1)), "\n", "\n"+indent)
			if i == 0 {
				text = r.style.Paint(text)
			}
			out.printf("%s%s\n", label, text)
		}
	}
	return out.err
}

// widths returns how wide each column is to be: as wide as its cells, or less for
// those that give way.
func (t *table) widths(total int) []int {
	columns := len(t.header)
	for _, r := range t.rows {
		columns = max(columns, len(r.cells))
	}
	widths := make([]int, columns)
	measure := func(cells []string) {
		for i, cell := range cells {
			for line := range strings.Lines(cell) {
				widths[i] = max(widths[i], twwidth.Width(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	measure(t.header)
	for _, r := range t.rows {
		measure(r.cells)
	}
	// The narrower of the columns that give way are served first, so that each
	// may use what those before it left of their share.
	giving := slices.Clone(t.wrap)
	slices.SortFunc(giving, func(a, b int) int { return widths[a] - widths[b] })
	for i, width := range widths {
		if !slices.Contains(giving, i) {
			total -= width
		}
		if i > 0 {
			total -= len(gap)
		}
	}
	for n, i := range giving {
		widths[i] = min(widths[i], max(total/(len(giving)-n), minWrap))
		total -= widths[i]
	}
	return widths
}

// wrap breaks the lines of a text into lines of at most width columns, where that is
// possible.
func wrap(text string, width int) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if twwidth.Width(line) > width {
			line = wrapLine(line, width)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func wrapLine(text string, width int) string {
	var (
		lines []string
		line  string
	)
	for _, word := range words(text) {
		if line != "" && twwidth.Width(line+strings.TrimRight(word, " ")) > width {
			lines, line = append(lines, strings.TrimRight(line, " ")), ""
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}

// words parts a text at where its lines may be broken: after spaces, and after
// the bars between names of flags.
func words(text string) (list []string) {
	for text != "" {
		i := strings.IndexAny(text, " |") + 1
		if i == 0 {
			i = len(text)
		}
		list = append(list, text[:i])
		text = text[i:]
	}
	return list
}
