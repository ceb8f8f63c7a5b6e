package printer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// TestUndecided is a comparison of which not all is known, nor all listed.
func TestUndecided(t *testing.T) {
	errno := v1alpha1.Action{Action: "ERRNO", Data: 1, Errno: "EPERM"}
	side := func(pod string) v1alpha1.Side {
		return v1alpha1.Side{
			Source:      v1alpha1.Source{Operand: pod, Namespace: "default", Pod: pod, Container: "main", Node: "n1", PID: 42},
			Confinement: v1alpha1.Confinement{Mode: "filter", FilterCount: 1, Filters: []string{pod}, Instructions: 1, NoNewPrivs: true},
		}
	}
	d := &v1alpha1.Diff{
		Relation:  v1alpha1.Undecided,
		A:         side("a"),
		B:         side("b"),
		Truncated: true,
		Differences: []v1alpha1.Difference{
			{
				ABI: "amd64", Syscall: "read", A: errno, B: v1alpha1.Action{Action: "TRAP", Data: 3},
				Direction: v1alpha1.DirectionChanged,
			},
			{
				ABI: "amd64", Syscall: "clone", A: errno, B: v1alpha1.Action{Action: v1alpha1.ActionUndecided},
				Direction: v1alpha1.DirectionUndecided, Condition: "a decision on flags with 900 nodes",
				Outline: []string{"flags in {1..5, …}", "  parent_tid == 0"},
			},
			{
				ABI: "x32", Numbers: &v1alpha1.Numbers{First: "0x40000224", Last: "0x7fffffff"},
				A: v1alpha1.Action{Action: "LOG"}, B: errno, Direction: v1alpha1.DirectionTighter,
			},
			{
				ABI: "other", Archs: []v1alpha1.Numbers{{First: "0x0", Last: "0xffffffff"}},
				Numbers: &v1alpha1.Numbers{First: "0x0", Last: "0xffffffff"},
				A:       errno, B: v1alpha1.Action{Action: "ALLOW"}, Direction: v1alpha1.DirectionLooser,
			},
		},
	}
	const want = `how b stands to a is undecided: a filter computes more than the analysis has room for

    CONTAINER        NODE   PID   FILTERS             NO_NEW_PRIVS   CAPABILITIES
A   default/a:main   n1     42    1 (1 instruction)   yes            none
B   default/b:main   n1     42    1 (1 instruction)   yes            none

B IS        A              B              ABI     SYSCALL
looser      ERRNO(EPERM)   ALLOW          other   every call
undecided   ERRNO(EPERM)   undecided      amd64   clone when a decision on flags with 900 nodes
                                                  flags in {1..5, …}
                                                    parent_tid == 0
changed     ERRNO(EPERM)   TRAP(3)        amd64   read
tighter     LOG            ERRNO(EPERM)   x32     unassigned 0x40000224 and above

There are more differences, too many to list. The verdict takes them into account.
`
	var out strings.Builder
	if err := (Human{Color: "never", Width: 100}).PrintObj(d, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestByName has people and pull requests told the same of what limits a comparison
// by name.
func TestByName(t *testing.T) {
	d := &v1alpha1.Diff{
		Relation: v1alpha1.Undecided,
		A:        v1alpha1.Side{Source: v1alpha1.Source{Operand: "./a.json", Format: "saved dump"}},
		B:        v1alpha1.Side{Source: v1alpha1.Source{Operand: "./b.json", Format: "saved dump"}, Confinement: v1alpha1.Confinement{FilterCount: 1, Filters: []string{"b"}}},
		ByName: &v1alpha1.ByName{
			ABIA: "amd64", ABIB: "s390x", Common: 300, OnlyInA: []string{"open", "arch_prctl"}, OnlyInB: []string{"ipc"}, Shared: []string{"386"},
			Limits: []v1alpha1.Limit{
				{Syscall: "mmap", Reason: "it takes other arguments under s390x than under amd64"},
				{Syscall: "lseek", Param: "offset", Compared: true, Reason: "it is narrower"},
				{Syscall: "clone", Reason: "it takes other arguments under s390x than under amd64"},
				{Syscall: "read", Param: "count", Compared: true, Reason: "it is narrower"},
			},
		},
	}
	const human = `
Compared by syscall name, as no call is the same on amd64 and s390x: 300 syscalls that both have.
Compared by number: 386, which both machines have.
Not compared: 2 that only amd64 has, 1 that only s390x has, and numbers without a name.
Compared only for values that both can pass: lseek(offset), read(count).
Could not be compared: mmap, clone: it takes other arguments under s390x than under amd64.
`
	const markdown = `
- Compared by syscall name, as no call is the same on amd64 and s390x: 300 syscalls that both have.
- Compared by number: 386, which both machines have.
- Not compared: 2 that only amd64 has, 1 that only s390x has, and numbers without a name.
- Compared only for values that both can pass: ` + "`lseek(offset)`, `read(count)`" + `.
- Could not be compared: mmap, clone: it takes other arguments under s390x than under amd64.
`
	for want, p := range map[string]printers.ResourcePrinter{human: Human{Color: "never", Width: 100}, markdown: Markdown{}} {
		var out strings.Builder
		if err := p.PrintObj(d, &out); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(out.String(), want) {
			t.Errorf("%T: want at the end %s\ngot:\n%s", p, want, out.String())
		}
	}
}
