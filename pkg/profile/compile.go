package profile

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Offsets in struct seccomp_data.
const (
	wordNR   = 0
	wordArch = 4
	wordArgs = 16
)

func load(offset uint32) bpf.Instruction { return bpf.Instruction{Op: bpf.LdAbsW, K: offset} }

func ret(r bpf.Return) bpf.Instruction { return bpf.Instruction{Op: bpf.RetK, K: uint32(r)} }

// compile writes the filter: after the stub, for each architecture its section,
// and KILL_THREAD for the others.
func (r *resolver) compile() error {
	l := r.loaded
	c := compiler{order: l.ABIs[0].ByteOrder(), byDefault: l.Default}
	stub := r.enosysStub()
	body := bpf.Filter{load(wordArch)}
	var archs []uint32
	for _, abi := range l.ABIs {
		arch := abi.AuditArch()
		if slices.Contains(archs, arch) {
			continue
		}
		archs = append(archs, arch)
		section := c.section(l.Rules, arch, slices.Contains(l.ABIs, syscalls.X32))
		body = append(body, unless(bpf.JeqK, arch, section)...)
	}
	body = append(body, ret(bpf.KillThread.With(0)))
	l.Stub, l.Filter = len(stub), append(stub, body...)
	if err := l.Filter.Check(); err != nil {
		return r.errorf(r.root, err, "its plain filter has %d instructions, and the kernel takes %d: it lists %d architectures, fewer may do", len(l.Filter), bpf.MaxInstructions, len(l.ABIs))
	}
	return nil
}

type compiler struct {
	order     binary.ByteOrder
	byDefault bpf.Return
}

// unless returns the block, to be passed over where A op k does not hold.
func unless(op bpf.Op, k uint32, block bpf.Filter) bpf.Filter {
	if len(block) <= 255 {
		return append(bpf.Filter{{Op: op, K: k, Jf: uint8(len(block))}}, block...)
	}
	return append(bpf.Filter{{Op: op, K: k, Jt: 1}, {Op: bpf.Ja, K: uint32(len(block))}}, block...)
}

// section returns the part of the filter that is for calls of one architecture. It
// does not fall through.
func (c *compiler) section(rules []Rule, arch uint32, x32 bool) bpf.Filter {
	f := bpf.Filter{load(wordNR)}
	if arch == syscalls.AMD64.AuditArch() && !x32 {
		// As libseccomp has it: -1 is how a tracer says that there is to be no call.
		f = append(f,
			bpf.Instruction{Op: bpf.JgeK, K: x32Bit, Jf: 2},
			bpf.Instruction{Op: bpf.JeqK, K: 0xffffffff, Jt: 1},
			ret(bpf.KillThread.With(0)))
	}
	var numbers []numberRules
	for _, rule := range rules {
		if rule.ABI.AuditArch() != arch {
			continue
		}
		if n := len(numbers); n == 0 || numbers[n-1].nr != rule.NR {
			numbers = append(numbers, numberRules{nr: rule.NR})
		}
		last := &numbers[len(numbers)-1]
		last.rules = append(last.rules, rule)
	}
	slices.SortFunc(numbers, func(a, b numberRules) int { return cmp.Compare(a.nr, b.nr) })
	for i := 0; i < len(numbers); {
		j := i + 1
		for j < len(numbers) && numbers[i].followedBy(numbers[j], j-i) {
			j++
		}
		first, last := numbers[i], numbers[j-1]
		switch {
		case j-i > 1:
			f = append(f,
				bpf.Instruction{Op: bpf.JgeK, K: first.nr, Jf: 2},
				bpf.Instruction{Op: bpf.JgtK, K: last.nr, Jt: 1},
				ret(first.rules[0].Return))
		default:
			f = append(f, unless(bpf.JeqK, first.nr, c.number(first.rules))...)
		}
		i = j
	}
	return append(f, ret(c.byDefault))
}

// numberRules are the rules of one number.
type numberRules struct {
	nr    uint32
	rules []Rule
}

// followedBy tells whether n and the number that is distance above it get the same
// whatever the arguments are.
func (n numberRules) followedBy(next numberRules, distance int) bool {
	return next.nr == n.nr+uint32(distance) &&
		len(n.rules[0].Conditions) == 0 && len(next.rules[0].Conditions) == 0 &&
		n.rules[0].Return == next.rules[0].Return
}

// number returns the rules of one number, one after the other.
func (c *compiler) number(rules []Rule) bpf.Filter {
	var f bpf.Filter
	for _, rule := range rules {
		f = append(f, c.rule(rule)...)
		if len(rule.Conditions) == 0 {
			return f
		}
	}
	return append(f, ret(c.byDefault))
}

// rule returns a rule: it falls through if a condition does not hold. A condition
// has at most six instructions, so no jump in it is long.
func (c *compiler) rule(rule Rule) bpf.Filter {
	f := bpf.Filter{ret(rule.Return)}
	for _, condition := range slices.Backward(rule.Conditions) {
		f = append(c.condition(rule.ABI, condition, uint8(len(f))), f...)
	}
	return f
}

// condition returns a comparison: it falls through if it holds, and else passes
// over the number of instructions behind it.
func (c *compiler) condition(abi syscalls.ABI, d Condition, otherwise uint8) bpf.Filter {
	low, high := uint32(wordArgs+8*d.Arg), uint32(wordArgs+8*d.Arg+4)
	if c.order == binary.BigEndian {
		low, high = high, low
	}
	value, mask := uint32(d.Value), uint32(d.Mask)
	valueHigh, maskHigh := uint32(d.Value>>32), uint32(d.Mask>>32)

	var last bpf.Filter
	switch d.Op {
	case Equal:
		last = bpf.Filter{load(low), {Op: bpf.JeqK, K: value, Jf: otherwise}}
	case NotEqual:
		last = bpf.Filter{load(low), {Op: bpf.JeqK, K: value, Jt: otherwise}}
	case Greater:
		last = bpf.Filter{load(low), {Op: bpf.JgtK, K: value, Jf: otherwise}}
	case GreaterOrEqual:
		last = bpf.Filter{load(low), {Op: bpf.JgeK, K: value, Jf: otherwise}}
	case Less:
		last = bpf.Filter{load(low), {Op: bpf.JgeK, K: value, Jt: otherwise}}
	case LessOrEqual:
		last = bpf.Filter{load(low), {Op: bpf.JgtK, K: value, Jt: otherwise}}
	case MaskedEqual:
		last = bpf.Filter{load(low), {Op: bpf.AndK, K: mask}, {Op: bpf.JeqK, K: value, Jf: otherwise}}
	}
	if words(abi) == 1 {
		return last
	}

	n := uint8(len(last)) // to where it holds, from before last
	switch d.Op {
	case Equal:
		return append(bpf.Filter{load(high), {Op: bpf.JeqK, K: valueHigh, Jf: n + otherwise}}, last...)
	case NotEqual:
		return append(bpf.Filter{load(high), {Op: bpf.JeqK, K: valueHigh, Jf: n}}, last...)
	case Greater, GreaterOrEqual:
		return append(bpf.Filter{load(high), {Op: bpf.JgtK, K: valueHigh, Jt: n + 1}, {Op: bpf.JeqK, K: valueHigh, Jf: n + otherwise}}, last...)
	case Less, LessOrEqual:
		return append(bpf.Filter{load(high), {Op: bpf.JgtK, K: valueHigh, Jt: n + 1 + otherwise}, {Op: bpf.JeqK, K: valueHigh, Jf: n}}, last...)
	}
	return append(bpf.Filter{load(high), {Op: bpf.AndK, K: maskHigh}, {Op: bpf.JeqK, K: valueHigh, Jf: n + otherwise}}, last...)
}
