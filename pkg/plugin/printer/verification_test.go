package printer

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// TestVerificationOfMany has hundreds of containers with the same to be said, and
// dozens of reasons: what is said of all of them is said briefly.
func TestVerificationOfMany(t *testing.T) {
	var v v1alpha1.Verification
	reasons := []v1alpha1.Reason{{Code: v1alpha1.ReasonFileChanged, Detail: "reason 0: " + strings.Repeat("word ", 50)}}
	for i := 1; i < 30; i++ {
		reasons = append(reasons, v1alpha1.Reason{Code: v1alpha1.ReasonIgnoredKey, Detail: fmt.Sprintf("reason %d", i)})
	}
	for i := range 300 {
		v.Items = append(v.Items, v1alpha1.VerifiedContainer{
			Source: v1alpha1.Source{Namespace: "shop", Pod: fmt.Sprintf("web-%d", i), Container: "main"},
			Arrows: []v1alpha1.Arrow{
				{From: "declared", To: "configured", Relation: v1alpha1.Looser, Holds: v1alpha1.HoldsNo, Reasons: reasons, Truncated: true,
					Differences: []v1alpha1.Difference{{ABI: "amd64", Syscall: "read", Direction: v1alpha1.DirectionLooser}}},
				{From: "configured", To: "enforced", Relation: v1alpha1.Identical, Holds: v1alpha1.HoldsYes},
			},
			Holds: v1alpha1.HoldsNo,
		})
	}
	v.Namespaces = []v1alpha1.VerifiedNamespace{{Namespace: "shop", Containers: 300, Broken: 300}}
	text := func(h Human) string {
		var out bytes.Buffer
		if err := h.PrintObj(&v, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	const table = 300 + 3 // with the verdict above it
	short := text(Human{Color: "never", Width: 80})
	if lines := strings.Count(short, "\n"); lines > table+25 {
		t.Errorf("%d lines behind the table", lines-table)
	}
	for _, want := range []string{"and 288 more", "reason 7\n", "… and 22 more reasons; -o wide lists all", "too many to list"} {
		if !strings.Contains(strings.ReplaceAll(short, "288\nmore", "288 more"), want) {
			t.Errorf("%q is missing in\n%s", want, short[len(short)-1500:])
		}
	}
	if wide := text(Human{Color: "never", Width: 80, Wide: true}); !strings.Contains(wide, "reason 29\n") || strings.Count(wide, "shop/web-299:main") != 2 {
		t.Error("-o wide does not have all")
	}
	// On a narrow terminal sentences are wrapped, to what can still be read.
	_, said, _ := strings.Cut(text(Human{Color: "never", Width: 10}), "declared → configured")
	said, _, _ = strings.Cut(said, "reason 1\n")
	for line := range strings.Lines(said) {
		if utf8.RuneCountInString(strings.TrimSpace(line)) > minWrap+len("  - ") {
			t.Errorf("%q", line)
		}
	}
	if strings.Count(said, "word") != 50 {
		t.Errorf("%q", said)
	}
}

// TestListProblems has a container of which not everything could be read.
func TestListProblems(t *testing.T) {
	l := &v1alpha1.ConfinementList{Items: []v1alpha1.ConfinementItem{{
		Source: v1alpha1.Source{Namespace: "shop", Pod: "web", Container: "main"}, Read: true,
		Mismatches: []string{"unconfined"}, Problems: []v1alpha1.Problem{{Code: "too-many-threads", Message: "only the first 9 were looked at"}},
	}}}
	var out bytes.Buffer
	if err := (Human{Color: "never", Width: 200}).PrintObj(l, &out); err != nil {
		t.Fatal(err)
	}
	if want := "unconfined; only the first 9 were looked at"; !strings.Contains(out.String(), want) {
		t.Errorf("%q is missing in %s", want, out.String())
	}
}
