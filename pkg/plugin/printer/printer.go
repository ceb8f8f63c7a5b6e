// Package printer shows the kinds of API version seccomp.kubectl.dev/v1alpha1
// to people.
//
// Its printers print what is in the object and nothing else, so that -o json
// has everything that a person was told.
package printer

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// Human prints any kind of the API version for a person to read.
type Human struct {
	Color terminal.Color
	// Width is the columns to fill; 0 for those of the terminal.
	Width int
	// Wide leaves out nothing for being much.
	Wide bool
	// NoHeaders leaves out the headings of columns.
	NoHeaders bool
	// Threads lists single threads of a dump.
	Threads bool
}

var _ printers.ResourcePrinter = Human{}

// WithoutHeaders returns a printer that leaves out the headings of columns.
func (h Human) WithoutHeaders() printers.ResourcePrinter {
	h.NoHeaders = true
	return h
}

// PrintObj implements printers.ResourcePrinter.
func (h Human) PrintObj(obj runtime.Object, w io.Writer) error {
	if h.Width == 0 {
		h.Width = terminal.Width(w)
	}
	out := &output{Writer: w, color: h.Color.On(w), width: h.Width, noHeaders: h.NoHeaders}
	switch obj := obj.(type) {
	case *v1alpha1.Dump:
		out.dumps([]v1alpha1.Dump{*obj}, h)
	case *v1alpha1.DumpList:
		out.dumps(obj.Items, h)
	case *v1alpha1.Diff:
		out.diff(obj, h)
	case *v1alpha1.Explanation:
		out.explanation(obj)
	case *v1alpha1.ConfinementList:
		out.list(obj, h)
	case *v1alpha1.Verification:
		out.verification(obj, h)
	case *v1alpha1.Recording:
		out.recordings([]v1alpha1.Recording{*obj}, h)
	case *v1alpha1.RecordingList:
		out.recordings(obj.Items, h)
	case *v1alpha1.Denial:
		out.denial(obj, h)
	case *v1alpha1.DenialList:
		out.denials(obj, h)
	case *v1alpha1.Tightening:
		out.tightening(obj, h)
	case *v1alpha1.Cleanup:
		out.cleanup(obj)
	case *v1alpha1.Diagnosis:
		out.diagnosis(obj)
	case *v1alpha1.Version:
		out.version(obj)
	default:
		return fmt.Errorf("print %T: no such kind", obj)
	}
	return out.err
}

// output is a writer that keeps its first error.
type output struct {
	io.Writer
	color     bool
	width     int
	noHeaders bool
	err       error
}

func (o *output) printf(format string, args ...any) {
	if o.err == nil {
		_, o.err = fmt.Fprintf(o.Writer, format, args...)
	}
}

func (o *output) table(t table) {
	if !o.color {
		for i := range t.rows {
			t.rows[i].style = terminal.Plain
		}
	}
	if o.noHeaders {
		t.header = nil
	}
	if o.err == nil {
		o.err = t.print(o.Writer, o.width)
	}
}

// sentence prints a paragraph of one line.
func (o *output) sentence(format string, args ...any) {
	o.printf("%s\n", o.fit(fmt.Sprintf(format, args...)))
}

// fit breaks a line where the terminal would do so within a word. One of a usual width
// is left alone: it is quoted, and searched for, as a whole.
func (o *output) fit(line string) string {
	if o.width < narrow {
		return wrap(line, o.width)
	}
	return line
}

// verdict prints the line that comes first.
func (o *output) verdict(style terminal.Style, format string, args ...any) {
	line := o.fit(fmt.Sprintf(format, args...))
	if o.color {
		line = style.Paint(line)
	}
	o.printf("%s\n", line)
}

func (o *output) cleanup(c *v1alpha1.Cleanup) {
	suffix := ""
	if c.DryRun {
		suffix = " (dry run)"
	}
	for _, l := range c.Items {
		if l.Deleted {
			o.printf("%s deleted%s\n", l, suffix)
		}
	}
}

func (o *output) version(v *v1alpha1.Version) {
	t := table{wrap: []int{1}}
	t.add("Version", v.Version)
	t.add("Probe image", v.ProbeImage)
	t.add("Schema", v.Schema)
	t.add("Probe protocol", fmt.Sprint(v.ProbeProtocol))
	t.add("Syscall tables", "Linux "+v.SyscallTables)
	t.add("Built with", v.GoVersion+", "+v.Platform)
	o.table(t)
}

// container names a source's container; a file, and what several pods have, by the
// operand.
func container(s v1alpha1.Source) string {
	if s.Container == "" || s.Pod == "" {
		return terminal.Escape(s.Operand)
	}
	return terminal.Escape(s.Namespace + "/" + s.Pod + ":" + s.Container)
}

// action is an action as people write it: ERRNO(EPERM).
func action(a v1alpha1.Action) string {
	switch {
	case a.Action == v1alpha1.ActionUndecided:
		return "undecided"
	case a.Errno != "":
		return a.Action + "(" + a.Errno + ")"
	case a.HasData():
		return fmt.Sprintf("%s(%d)", a.Action, a.Data)
	}
	return a.Action
}

// count is a number with its noun: "1 filter", "2 filters".
func count(n int, noun string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "ss"):
		return fmt.Sprintf("%d %ses", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// when is a condition, with the outline of one that is too long for words.
func when(condition string, outline []string) string {
	return strings.Join(append([]string{condition}, outline...), "\n")
}

// unassigned names numbers that no syscall has: all of them, or few.
func unassigned(list []v1alpha1.Numbers, all bool) string {
	if len(list) > maxRanges && !all {
		return fmt.Sprintf("%d ranges of unassigned numbers", len(list))
	}
	var texts []string
	for i, n := range list {
		// Both ABIs of x86-64 have the numbers with bit 31 besides, which no
		// syscall will ever have: they go without saying.
		if i > 0 && strings.HasSuffix(texts[len(texts)-1], above) && strings.HasSuffix(numberRange(n), above) {
			continue
		}
		texts = append(texts, numberRange(n))
	}
	return "unassigned " + strings.Join(texts, ", ")
}

// maxRanges is the most ranges of numbers without a name that are listed without
// being asked.
const maxRanges = 3

const above = " and above"

// numberRange is a range of syscall numbers: in decimal, but for those with bit
// 30 set, which are written with it in sight.
func numberRange(n v1alpha1.Numbers) string {
	first, last := number(n.First), number(n.Last)
	switch {
	case first == last:
		return first
	// The last number with the same two upper bits: x32's is bit 30.
	case strings.HasSuffix(n.Last, "fffffff") && len(n.Last) == len("0x3fffffff"):
		return first + above
	}
	return first + ".." + last
}

func number(hex string) string {
	if v, err := strconv.ParseUint(hex, 0, 32); err == nil && v < 1<<30 {
		return strconv.FormatUint(v, 10)
	}
	return hex
}
