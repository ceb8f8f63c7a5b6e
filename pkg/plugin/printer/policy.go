package printer

import (
	"cmp"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// Policy writes what the filters of a dump's subject do, for programs that compare
// texts: YAML with an entry for each syscall of each ABI, sorted, and one for numbers
// without a name; a line each, and a line more for each action of one that depends on
// arguments. What two policies do alike is the same text.
//
// With native, only the native ABI is written, and not named: for what is compared by
// name, with one of another architecture.
func Policy(d *v1alpha1.Dump, native bool, w io.Writer) error {
	out := &output{Writer: w}
	state := d.States[0]
	list := state.Syscalls
	if native {
		list = list[:min(1, len(list))]
	}
	for _, s := range list {
		prefix := s.ABI
		switch {
		case native:
			prefix = ""
		case s.ABI == v1alpha1.OtherABI && others(list) > 1:
			prefix += " " + ranges(s.Archs)
		}
		out.policy(s, prefix, !state.Truncated)
	}
	if state.Truncated {
		out.printf("# This is not all: the filters tell more calls apart than can be listed.\n")
	}
	return out.err
}

// others counts the summaries of architectures that filters do not tell apart.
func others(list []v1alpha1.Summary) (n int) {
	for _, s := range list {
		if s.ABI == v1alpha1.OtherABI {
			n++
		}
	}
	return n
}

func ranges(list []v1alpha1.Numbers) string {
	var texts []string
	for _, n := range list {
		texts = append(texts, numberRange(n))
	}
	return strings.Join(texts, ", ")
}

// outcome is what is done with a call, and when.
type outcome struct{ action, when string }

func (o *output) policy(s v1alpha1.Summary, prefix string, complete bool) {
	names := make(map[string][]outcome)
	numbers := make(map[v1alpha1.Numbers][]outcome)
	for _, g := range s.Groups {
		one := outcome{action(g.Action), when(g.Condition, g.Outline)}
		for _, name := range g.Syscalls {
			if !slices.Contains(names[name], one) { // an ABI may have two numbers of one name
				names[name] = append(names[name], one)
			}
		}
		for _, n := range g.Numbers {
			numbers[n] = append(numbers[n], one)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		o.entry(strings.TrimSpace(prefix+" "+name), names[name], complete)
	}
	for _, n := range slices.SortedFunc(maps.Keys(numbers), func(a, b v1alpha1.Numbers) int {
		return cmp.Or(len(a.First)-len(b.First), strings.Compare(a.First, b.First))
	}) {
		key := prefix + " " + numberRange(n)
		if n.First == "0x0" && n.Last == "0xffffffff" {
			key = prefix
		}
		o.entry(strings.TrimSpace(key), numbers[n], complete)
	}
}

// entry writes what is done with the calls that key names. The conditions exclude
// each other, as in conditional.
func (o *output) entry(key string, list []outcome, complete bool) {
	if len(list) == 1 && list[0].when == "" {
		o.printf("%s: %s\n", scalar(key), scalar(list[0].action))
		return
	}
	slices.SortStableFunc(list, func(a, b outcome) int {
		return cmp.Or(len(a.when)-len(b.when), strings.Compare(a.when, b.when))
	})
	o.printf("%s:\n", scalar(key))
	for i, d := range list {
		text := d.action + " when " + d.when
		if complete && i == len(list)-1 {
			text = "otherwise " + d.action
		}
		if strings.Contains(text, "\n") {
			text = "|-\n  " + strings.ReplaceAll(text, "\n", "\n  ")
		} else {
			text = scalar(text)
		}
		o.printf("- %s\n", text)
	}
}

// scalar is a text as YAML has it on one line.
func scalar(text string) string {
	first := text[:min(1, len(text))]
	word := strings.Trim(first, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" ||
		strings.Trim(first, "0123456789") == "" && strings.Contains(text, " ")
	if text != "" && word && !strings.Contains(text, ": ") && !strings.Contains(text, " #") && !strings.HasSuffix(text, ":") {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
