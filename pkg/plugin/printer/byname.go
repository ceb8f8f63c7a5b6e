package printer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// scope says of which calls a verdict is, if calls are compared by name.
func scope(d *v1alpha1.Diff) string {
	if d.ByName == nil {
		return ""
	}
	text := fmt.Sprintf(", of those that %s and %s both have", d.ByName.ABIA, d.ByName.ABIB)
	if len(d.ByName.Shared) > 0 {
		text += ", and of " + strings.Join(d.ByName.Shared, " and ")
	}
	return text
}

// byName says how calls of different architectures were compared, and what was
// not, in sentences; none if they were not compared by name.
func byName(n *v1alpha1.ByName) (sentences []string) {
	if n == nil {
		return nil
	}
	say := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	say("Compared by syscall name, as no call is the same on %s and %s: %s that both have.", n.ABIA, n.ABIB, count(n.Common, "syscall"))
	if len(n.Shared) > 0 {
		say("Compared by number: %s, which both machines have.", strings.Join(n.Shared, " and "))
	}
	say("Not compared: %d that only %s has, %d that only %s has, and numbers without a name.",
		len(n.OnlyInA), n.ABIA, len(n.OnlyInB), n.ABIB)
	sentences = append(sentences, limits("Compared only for values that both can pass", n.Limits, true)...)
	return append(sentences, limits("Could not be compared", n.Limits, false)...)
}

// limits says, once for each reason, which syscalls are limited: of those that were
// compared for some values, or of those that were not compared at all.
func limits(what string, list []v1alpha1.Limit, compared bool) (sentences []string) {
	var reasons []string
	names := make(map[string][]string)
	for _, l := range list {
		if l.Compared != compared {
			continue
		}
		reason, name := ": "+l.Reason, l.Syscall
		if l.Compared {
			reason = ""
			if l.Param != "" {
				name += "(" + l.Param + ")"
			}
		}
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		if !slices.Contains(names[reason], name) {
			names[reason] = append(names[reason], name)
		}
	}
	for _, reason := range reasons {
		sentences = append(sentences, fmt.Sprintf("%s: %s%s.", what, strings.Join(names[reason], ", "), reason))
	}
	return sentences
}

// uncompared counts the syscalls that could not be compared.
func uncompared(d *v1alpha1.Diff) int {
	if d.ByName == nil {
		return 0
	}
	names := make(map[string]bool)
	for _, l := range d.ByName.Limits {
		if !l.Compared {
			names[l.Syscall] = true
		}
	}
	return len(names)
}
