package plugin

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// compare tells how the policy of b's subject stands to that of a's.
func compare(a, b *source.Source, sel *selection) (*v1alpha1.Diff, error) {
	for _, s := range []*source.Source{a, b} {
		if s.Dump.States[0].Mode == wire.ModeStrict.String() {
			return nil, fmt.Errorf("compare %s: its main thread is in seccomp's strict mode, which has no filters", s.Name())
		}
	}
	p, err := sel.policyOf(a, 0)
	if err != nil {
		return nil, err
	}
	q, err := sel.policyOf(b, 0)
	if err != nil {
		return nil, err
	}
	if a.Dump.Source.Arch != b.Dump.Source.Arch {
		return compareByName(a, b, p, q, sel)
	}
	c, err := policy.Compare(p, q, policy.Options{ABIs: a.ABIs})
	if err != nil {
		return nil, err
	}
	d := newDiff(a, b, c.Relation, c.Truncated, sel)
	for _, difference := range c.Differences {
		if err := d.add(difference); err != nil {
			return nil, err
		}
	}
	return d.done(), nil
}

// differ collects a v1alpha1.Diff.
type differ struct {
	*v1alpha1.Diff
	a, b  *source.Source
	sel   *selection
	names []string // of what is listed
}

func newDiff(a, b *source.Source, r policy.Relation, truncated bool, sel *selection) *differ {
	return &differ{a: a, b: b, sel: sel, Diff: &v1alpha1.Diff{
		TypeMeta:    v1alpha1.TypeMeta("Diff"),
		Relation:    v1alpha1.Relation(r.String()),
		A:           side(a),
		B:           side(b),
		Differences: []v1alpha1.Difference{},
		Selection:   sel.shown(),
		Truncated:   truncated,
	}}
}

// add lists a difference, or those parts of it that are selected.
func (d *differ) add(difference policy.Difference) error {
	abi, _ := scopeABI(difference.Scope)
	for _, scope := range split(difference.Scope) {
		if !d.sel.has(abi, scope.Name()) || d.sel.Reduced && difference.Direction == policy.DirectionChanged {
			d.Selection.Hidden++
			continue
		}
		out, err := newDifference(d.a, d.b, difference, scope, d.sel)
		if err != nil {
			return err
		}
		d.list(out)
	}
	return nil
}

func (d *differ) list(out v1alpha1.Difference) {
	d.Differences = append(d.Differences, out)
	d.names = append(d.names, out.Syscall)
}

func (d *differ) done() *v1alpha1.Diff {
	d.Risks = d.sel.risks(d.names)
	return d.Diff
}

func side(s *source.Source) v1alpha1.Side {
	return v1alpha1.Side{Source: s.Dump.Source, Confinement: s.Dump.States[0].Confinement}
}

// newDifference turns the part of a difference that is about a scope into what
// is printed.
func newDifference(a, b *source.Source, d policy.Difference, scope policy.Scope, sel *selection) (v1alpha1.Difference, error) {
	out := v1alpha1.Difference{
		A:         sel.action(d.A, scope.ABI),
		B:         sel.action(d.B, scope.ABI),
		Direction: directions[d.Direction],
	}
	out.ABI, out.Archs = scopeABI(scope)
	out.Condition, out.Outline = words(d.Condition)
	if out.Syscall = scope.Name(); out.Syscall == "" {
		n := numbers(scope.NR)
		out.Numbers = &n
	}
	if d.Witness == nil {
		return out, nil
	}
	// What holds for one number of a scope does for all. That is said of each of
	// them, so each is tried; but what a view leaves to the caller can differ from
	// one to the next.
	calls := [2]bpf.Data{d.Witness.CallA, d.Witness.CallB}
	if sel.View != "" && calls[0].NR != scope.NR.First {
		return out, nil
	}
	for i, side := range []struct {
		*source.Source
		want policy.Outcome
	}{{a, d.A}, {b, d.B}} {
		calls[i].NR = scope.NR.First
		if got := side.Stacks[0].Run(&calls[i], side.Order()).Ret; got != side.want.Return {
			return out, fmt.Errorf("internal error: the filters of %s return %s for %+v, and were found to return %s",
				side.Name(), got.Format(scope.ABI), calls[i], side.want.Format(scope.ABI))
		}
	}
	out.Witness = newWitness(scope, calls[0])
	if calls[0].Args != calls[1].Args {
		out.Witness.ArgsB = newWitness(scope, calls[1]).Args
	}
	return out, nil
}

var directions = map[policy.Direction]v1alpha1.Direction{
	policy.DirectionTighter:   v1alpha1.DirectionTighter,
	policy.DirectionLooser:    v1alpha1.DirectionLooser,
	policy.DirectionChanged:   v1alpha1.DirectionChanged,
	policy.DirectionUndecided: v1alpha1.DirectionUndecided,
}

func newWitness(scope policy.Scope, call bpf.Data) *v1alpha1.Witness {
	w := &v1alpha1.Witness{
		Call: formatCall(scope.ABI, call),
		Arch: fmt.Sprintf("%#x", call.Arch),
		NR:   fmt.Sprintf("%#x", call.NR),
		IP:   fmt.Sprintf("%#x", call.IP),
	}
	for _, arg := range call.Args {
		w.Args = append(w.Args, fmt.Sprintf("%#x", arg))
	}
	return w
}

// formatCall writes a call as C would: socket(AF_VSOCK, 0, 0). Of an argument
// that is wider than its parameter all is written: the filter sees it.
func formatCall(abi syscalls.ABI, call bpf.Data) string {
	name, named := "", false
	if abi != 0 {
		name, named = abi.Name(call.NR)
	}
	if !named {
		name = "syscall " + strconv.FormatUint(uint64(call.NR), 10)
	}
	params := abi.Params(name)
	var args []string
	last := 0
	for i, v := range call.Args {
		text := formatArgument(abi, name, params, i, v)
		args = append(args, text)
		if v != 0 || i < len(params) {
			last = i + 1
		}
	}
	text := name + "(" + strings.Join(args[:last], ", ") + ")"
	if call.IP != 0 {
		text += fmt.Sprintf(" at %#x", call.IP)
	}
	return text
}

func formatArgument(abi syscalls.ABI, name string, params []syscalls.Param, i int, v uint64) string {
	if i < len(params) {
		if flags := abi.Flags(name, params[i].Name); flags != nil {
			if text := flags.Format(v); strings.ContainsFunc(text, unicode.IsUpper) {
				return text
			}
		}
	}
	if v < 10 {
		return strconv.FormatUint(v, 10)
	}
	return fmt.Sprintf("%#x", v)
}
