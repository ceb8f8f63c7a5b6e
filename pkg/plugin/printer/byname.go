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
// not.
func (o *output) byName(n *v1alpha1.ByName) {
	if n == nil {
		return
	}
	o.printf("\n")
	o.sentence("Compared by syscall name, as no call is the same on %s and %s: %s that both have.", n.ABIA, n.ABIB, count(n.Common, "syscall"))
	if len(n.Shared) > 0 {
		o.sentence("Compared by number: %s, which both machines have.", strings.Join(n.Shared, " and "))
	}
	o.sentence("Not compared: %d that only %s has, %d that only %s has, and numbers without a name.",
		len(n.OnlyInA), n.ABIA, len(n.OnlyInB), n.ABIB)
	o.limits("Compared only for values that both can pass", n.Limits, func(l v1alpha1.Limit) bool { return l.Compared })
	o.limits("Could not be compared", n.Limits, func(l v1alpha1.Limit) bool { return !l.Compared })
}

// limits says, once for each reason, which syscalls are limited.
func (o *output) limits(what string, list []v1alpha1.Limit, chosen func(v1alpha1.Limit) bool) {
	var reasons []string
	names := make(map[string][]string)
	for _, l := range list {
		if !chosen(l) {
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
		o.printf("%s: %s%s.\n", what, strings.Join(names[reason], ", "), reason)
	}
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
