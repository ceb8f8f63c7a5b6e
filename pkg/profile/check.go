package profile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// operators are the comparisons of libseccomp's enum scmp_compare.
var operators = map[string]Operator{
	"SCMP_CMP_NE":        NotEqual,
	"SCMP_CMP_LT":        Less,
	"SCMP_CMP_LE":        LessOrEqual,
	"SCMP_CMP_EQ":        Equal,
	"SCMP_CMP_GE":        GreaterOrEqual,
	"SCMP_CMP_GT":        Greater,
	"SCMP_CMP_MASKED_EQ": MaskedEqual,
}

// foreignArchs are architectures that the specification names, and that there is
// no ABI for.
var foreignArchs = []string{"SCMP_ARCH_NATIVE", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB"}

// check refuses the values that no reader takes.
func (p *Profile) check() error {
	if p.root.kind != '{' {
		return p.errorf(p.root, ErrNotProfile, "want an object")
	}
	if err := p.checkAction(p.root.get("defaultAction")); err != nil {
		return err
	}
	if err := p.checkArchs(p.root.get("architectures")); err != nil {
		return err
	}
	if list := p.root.get("archMap"); list != nil {
		for _, a := range list.items {
			if err := p.checkArch(a.get("architecture")); err != nil {
				return err
			}
			if err := p.checkArchs(a.get("subArchitectures")); err != nil {
				return err
			}
		}
	}
	list := p.root.get("syscalls")
	if list == nil {
		return nil
	}
	if list.kind == '{' || list.value != nil {
		return p.errorf(list, ErrNotProfile, "want a list")
	}
	for _, entry := range list.items {
		if entry.kind != '{' {
			return p.errorf(entry, ErrNotProfile, "want an object")
		}
		if err := p.checkEntry(entry); err != nil {
			return err
		}
	}
	return nil
}

func (p *Profile) checkEntry(entry *node) error {
	action := entry.get("action")
	if action == nil {
		return p.errorf(entry, ErrNotProfile, "has no action")
	}
	if err := p.checkAction(action); err != nil {
		return err
	}
	args := entry.get("args")
	if args == nil {
		return nil
	}
	for _, arg := range args.items {
		if arg.kind != '{' {
			return p.errorf(arg, ErrNotProfile, "want an object")
		}
		op := arg.get("op")
		if op == nil {
			return p.errorf(arg, ErrNotProfile, "has no op")
		}
		if s, ok := op.text(); !ok || operators[s] == 0 {
			return p.errorf(op, ErrNotProfile, "unknown operator %s: want one of %s", source(op), sorted(operators))
		}
		if index := arg.get("index"); index != nil {
			n, ok := index.value.(json.Number)
			if !ok {
				return p.errorf(index, ErrNotProfile, "want a number, not %s", source(index))
			}
			if i, err := strconv.ParseUint(string(n), 10, 64); err != nil || i > 5 {
				return p.errorf(index, ErrNotProfile, "argument index is %s: a system call has arguments 0 to 5", source(index))
			}
		}
	}
	return nil
}

func (p *Profile) checkAction(n *node) error {
	if n == nil || n.empty() {
		return nil // whether that is an error is for the runtime to say
	}
	if s, ok := n.text(); !ok || !knownAction(s) {
		return p.errorf(n, ErrNotProfile, "unknown action %s: want one of %s", source(n), sorted(actions))
	}
	return nil
}

func (p *Profile) checkArchs(list *node) error {
	if list == nil {
		return nil
	}
	for _, n := range list.items {
		if err := p.checkArch(n); err != nil {
			return err
		}
	}
	return nil
}

func (p *Profile) checkArch(n *node) error {
	if n == nil {
		return nil
	}
	s, ok := n.text()
	if !ok {
		return p.errorf(n, ErrNotProfile, "want the name of an architecture, not %s", source(n))
	}
	if slices.Contains(foreignArchs, s) {
		return nil
	}
	if _, err := syscalls.ParseSCMP(s); err != nil {
		return p.errorf(n, ErrNotProfile, "unknown architecture %s: want a SCMP_ARCH_ name such as SCMP_ARCH_X86_64", quote(s))
	}
	return nil
}

// source returns a value as it was written, if it is short.
func source(n *node) string {
	switch v := n.value.(type) {
	case string:
		return quote(v)
	case nil:
		if n.kind == '{' {
			return "an object"
		}
		if n.kind == '[' {
			return "a list"
		}
		return "null"
	default:
		return clip(fmt.Sprint(v))
	}
}

func sorted[V any](m map[string]V) string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
