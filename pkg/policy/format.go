package policy

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"unicode"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A naming says what the values of one scope's calls are called.
//
// A bare name is what the kernel or the ABI calls the argument: the register of
// 64 bits or, under a 32-bit ABI and for a 32-bit parameter in the kernel's
// view, its low 32. Anything else is written with a C cast: (u32)name for the
// low word where the register has 64 bits, (u64)name for the register where it
// has 32, and name>>32 for the high word.
type naming struct {
	params [6]string
	width  [6]int // 32 or 64
	// value and mask name the values of an argument, if its flags are known.
	value, mask [6]func(uint64) string
}

// newNaming returns the names for a scope; arguments are args[0] to args[5]
// unless it is a single system call.
func newNaming(s Scope, kernel bool) *naming {
	n := &naming{}
	for i := range n.params {
		n.params[i] = fmt.Sprintf("args[%d]", i)
		n.width[i] = 64
		if s.ABI != 0 && s.ABI.Bits() == 32 {
			n.width[i] = 32
		}
	}
	name := s.Name()
	if name == "" {
		return n
	}
	for i, p := range s.ABI.Params(name) {
		if i == len(n.params) {
			break
		}
		n.params[i] = p.Name
		if kernel && p.Bits <= 32 {
			n.width[i] = 32
		}
		n.value[i], n.mask[i] = flagNames(s.ABI, name, p.Name)
	}
	return n
}

// name returns the text for a part of an operand.
func (n *naming) name(o operand64, p part) string {
	name, width := n.bare(o), 64
	if o > 0 {
		width = n.width[o-1]
	}
	switch {
	case p == upper:
		return name + ">>32"
	case p == lower && width == 64:
		return "(u32)" + name
	case p == whole && width == 32:
		return "(u64)" + name
	}
	return name
}

// bare returns the name of an operand.
func (n *naming) bare(o operand64) string {
	if o == 0 {
		return "ip"
	}
	return n.params[o-1]
}

func number(v uint64) string {
	if v < 10 {
		return strconv.FormatUint(v, 10)
	}
	return "0x" + strconv.FormatUint(v, 16)
}

func (n *naming) formatValue(o operand64, p part, v uint64) string {
	if o > 0 && p != upper && n.value[o-1] != nil {
		return n.value[o-1](v)
	}
	return number(v)
}

// listed returns up to how many successive values are written one by one: some
// more where they have names.
func (n *naming) listed(o operand64, p part) uint64 {
	if o > 0 && p != upper && n.value[o-1] != nil {
		return 4
	}
	return 2
}

func (n *naming) formatMask(o operand64, p part, mask uint64) string {
	if inverted(p, mask) {
		return "~" + parenthesize(n.formatMask(o, p, ^mask&p.of(^uint64(0))))
	}
	if o > 0 && p != upper && n.mask[o-1] != nil {
		return n.mask[o-1](mask)
	}
	return number(mask)
}

// inverted tells whether a mask is written as the complement, within the part,
// of fewer bits.
func inverted(p part, mask uint64) bool { return bits.OnesCount64(mask) > p.bits()/2 }

// parenthesize makes names joined by | one operand of a stronger operator.
func parenthesize(s string) string {
	if strings.Contains(s, "|") && s[0] != '~' {
		return "(" + s + ")"
	}
	return s
}

func (e always) format(*naming) string {
	if e {
		return "always"
	}
	return "never"
}

func (e *in) format(n *naming) string {
	name := n.name(e.operand, e.part)
	limit := uint64(1)<<e.part.bits() - 1 // of 64 bits: 0 - 1
	if len(e.spans) == 1 {
		s := e.spans[0]
		op := [2]string{"==", "<="}
		other := [2]string{"!=", ">"}
		if e.not {
			op, other = other, op
		}
		switch {
		case s.first == s.last:
			return fmt.Sprintf("%s %s %s", name, op[0], n.formatValue(e.operand, e.part, s.first))
		case s.first == 0:
			return fmt.Sprintf("%s %s %s", name, op[1], number(s.last))
		case s.last == limit:
			return fmt.Sprintf("%s %s %s", name, other[1], number(s.first-1))
		}
	}
	var list []string
	for _, s := range e.spans {
		if s.last-s.first < n.listed(e.operand, e.part) {
			for v := s.first; v != s.last+1; v++ {
				list = append(list, n.formatValue(e.operand, e.part, v))
			}
		} else {
			list = append(list, number(s.first)+".."+number(s.last))
		}
	}
	op := "in"
	if e.not {
		op = "not in"
	}
	return fmt.Sprintf("%s %s {%s}", name, op, strings.Join(list, ", "))
}

func (e *masked) format(n *naming) string {
	p := e.part()
	mask := e.mask
	name := n.name(e.operand, p)
	if p == lower && !inverted(p, mask) {
		// A mask of the low word chooses the same bits of the register.
		name = n.bare(e.operand)
	}
	if p == upper {
		mask >>= 32
	}
	left := fmt.Sprintf("%s & %s", name, parenthesize(n.formatMask(e.operand, p, mask)))
	op := [2]string{"==", "in"}
	if e.not {
		op = [2]string{"!=", "not in"}
	}
	list := make([]string, len(e.values))
	for i, v := range e.values {
		if p == upper {
			v >>= 32
		}
		switch {
		case v == 0:
			list[i] = "0"
		case v == mask:
			list[i] = n.formatMask(e.operand, p, v)
		default:
			list[i] = n.formatValue(e.operand, p, v)
		}
	}
	if len(list) == 1 {
		return fmt.Sprintf("%s %s %s", left, op[0], list[0])
	}
	return fmt.Sprintf("%s %s {%s}", left, op[1], strings.Join(list, ", "))
}

func (e allOf) format(n *naming) string { return join(n, e, " && ") }
func (e anyOf) format(n *naming) string { return join(n, e, " || ") }

func join(n *naming, list []expr, operator string) string {
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = e.format(n)
		switch e.(type) {
		case allOf, anyOf:
			texts[i] = "(" + texts[i] + ")"
		}
	}
	return strings.Join(texts, operator)
}

func (e negation) format(n *naming) string { return "!(" + e.of.format(n) + ")" }

// flagNames returns the functions that name the values of a parameter and the
// bits of a mask, nil if there are none.
func flagNames(abi syscalls.ABI, call, param string) (value, mask func(uint64) string) {
	flags := abi.Flags(call, param)
	if flags == nil {
		return nil, nil
	}
	return checkedNames(flags, flags.Format), checkedNames(flags, flags.FormatMask)
}

// checkedNames is format, with a plain number where the names do not add up to
// the value.
func checkedNames(flags *syscalls.Flags, format func(uint64) string) func(uint64) string {
	return func(v uint64) string {
		text := format(v)
		var sum uint64
		for term := range strings.SplitSeq(text, "|") {
			bits, ok := flags.Value(term)
			if !ok {
				var err error
				if bits, err = strconv.ParseUint(term, 0, 64); err != nil {
					return number(v)
				}
			}
			sum |= bits
		}
		if sum != v || !strings.ContainsFunc(text, unicode.IsUpper) {
			return number(v)
		}
		return text
	}
}
