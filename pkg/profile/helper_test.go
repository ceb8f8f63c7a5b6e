package profile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// differences lists how two policies differ, in short.
func differences(t testing.TB, a, b *policy.Policy, goarch string) string {
	t.Helper()
	c, err := policy.Compare(a, b, policy.Options{ABIs: syscalls.OfMachine(goarch)})
	if err != nil {
		t.Fatal(err)
	}
	if c.Relation == policy.Identical {
		return ""
	}
	const most = 12
	var s strings.Builder
	fmt.Fprintln(&s, c.Relation)
	for i, d := range c.Differences {
		if i == most {
			fmt.Fprintf(&s, "and %d more\n", len(c.Differences)-most)
			break
		}
		fmt.Fprintf(&s, "%s %s %#x..%#x: %s -> %s when %s\n", d.ABI, d.Scope.Name(), d.NR.First, d.NR.Last, d.A.Format(d.ABI), d.B.Format(d.ABI), d.Condition)
	}
	return s.String()
}
