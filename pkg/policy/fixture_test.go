package policy

import (
	"encoding/binary"
	"math/rand"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Filters of the tests. They are generated, from rules or piece by piece.

const (
	archAMD64 = 0xc000003e
	archI386  = 0x40000003
	archARM64 = 0xc00000b7

	allow = uint32(bpf.Allow)
	eperm = uint32(bpf.Errno) | 1
	kill  = uint32(bpf.KillProcess)
)

var le = binary.LittleEndian

func stmt(op bpf.Op, k uint32) bpf.Instruction { return bpf.Instruction{Op: op, K: k} }

func jump(op bpf.Op, k uint32, jt, jf uint8) bpf.Instruction {
	return bpf.Instruction{Op: op, Jt: jt, Jf: jf, K: k}
}

// Offsets of words of seccomp_data on a little-endian machine.
const (
	offNR   = 0
	offArch = 4
	offIP   = 8
)

func lo(arg int) uint32 { return uint32(16 + 8*arg) }
func hi(arg int) uint32 { return lo(arg) + 4 }

// A test of an argument: arg & mask == value, on 64 bits.
type test struct {
	arg         int
	mask, value uint64
}

// A rule has an outcome for the calls of one number that pass all tests. The
// first that matches counts.
type rule struct {
	arch, nr uint32
	tests    []test
	ret      uint32
}

// compile lays rules out as container runtimes' filters are: per architecture a
// chain of comparisons of nr, in which an argument is compared high word first.
// Numbers and architectures without rule get the default.
func compile(rules []rule, arches []uint32, otherwise uint32) bpf.Filter {
	var f bpf.Filter
	for _, arch := range arches {
		var section bpf.Filter
		for _, r := range rules {
			if r.arch != arch {
				continue
			}
			// Built backwards, so that the distance to the end is known.
			block := bpf.Filter{stmt(bpf.RetK, r.ret)}
			prepend := func(i ...bpf.Instruction) { block = append(i, block...) }
			for i := len(r.tests) - 1; i >= 0; i-- {
				t := r.tests[i]
				for _, word := range []struct {
					offset, mask, value uint32
				}{{lo(t.arg), uint32(t.mask), uint32(t.value)}, {hi(t.arg), uint32(t.mask >> 32), uint32(t.value >> 32)}} {
					if word.mask == 0 {
						continue
					}
					prepend(jump(bpf.JeqK, word.value, 0, uint8(len(block))))
					if word.mask != 1<<32-1 {
						prepend(stmt(bpf.AndK, word.mask))
					}
					prepend(stmt(bpf.LdAbsW, word.offset))
				}
			}
			prepend(stmt(bpf.LdAbsW, offNR), jump(bpf.JeqK, r.nr, 0, uint8(len(block))))
			section = append(section, block...)
		}
		section = append(section, stmt(bpf.RetK, otherwise))
		f = append(f, stmt(bpf.LdAbsW, offArch), jump(bpf.JeqK, arch, 1, 0), stmt(bpf.Ja, uint32(len(section))))
		f = append(f, section...)
	}
	return append(f, stmt(bpf.RetK, otherwise))
}

// outcomeOf is what rules mean, without any filter.
func outcomeOf(rules []rule, otherwise uint32, d *bpf.Data) bpf.Return {
next:
	for _, r := range rules {
		if r.arch != d.Arch || r.nr != d.NR {
			continue
		}
		for _, t := range r.tests {
			if d.Args[t.arg]&t.mask != t.value {
				continue next
			}
		}
		return bpf.Return(r.ret).Normalize()
	}
	return bpf.Return(otherwise).Normalize()
}

const all64 = ^uint64(0)

// containerRules are like a container runtime's default: most calls allowed,
// some under conditions.
func containerRules() []rule {
	var rules []rule
	for _, abi := range []syscalls.ABI{syscalls.AMD64, syscalls.I386} {
		for i, call := range abi.Table() {
			r := rule{arch: abi.AuditArch(), nr: call.Number, ret: allow}
			switch call.Name {
			case "clone":
				r.tests = []test{{0, 0x7e020000, 0}}
			case "personality":
				for _, v := range []uint64{0, 8, 0x20000, 0x20008, 0xffffffff} {
					r.tests = []test{{0, all64, v}}
					rules = append(rules, r)
				}
				continue
			case "socket":
				rules = append(rules,
					rule{r.arch, r.nr, []test{{0, all64, 38}}, eperm},
					rule{r.arch, r.nr, []test{{0, all64, 40}}, eperm})
			default:
				if i%9 == 0 {
					continue
				}
			}
			rules = append(rules, r)
		}
	}
	return rules
}

func containerFilter() bpf.Filter {
	return compile(containerRules(), []uint32{archAMD64, archI386}, eperm)
}

// tree compares nr by bisection, as libseccomp's binary tree does, and has an
// action for each of the given runs of numbers.
func tree(starts []uint32, rets []uint32) bpf.Filter {
	var build func(i, j int) bpf.Filter
	build = func(i, j int) bpf.Filter {
		if j-i == 1 {
			return bpf.Filter{stmt(bpf.RetK, rets[i])}
		}
		mid := (i + j) / 2
		low, high := build(i, mid), build(mid, j)
		f := bpf.Filter{jump(bpf.JgeK, starts[mid], 0, 1), stmt(bpf.Ja, uint32(len(low)))}
		return append(append(f, low...), high...)
	}
	return append(bpf.Filter{stmt(bpf.LdAbsW, offNR)}, build(0, len(starts))...)
}

// sumFilter and equalFilter relate two arguments: large in the sequential form.
func sumFilter(k uint32) bpf.Filter {
	return bpf.Filter{
		stmt(bpf.LdAbsW, lo(0)), stmt(bpf.Tax, 0), stmt(bpf.LdAbsW, lo(1)), stmt(bpf.AddX, 0),
		jump(bpf.JeqK, k, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm),
	}
}

func equalFilter() bpf.Filter {
	return bpf.Filter{
		stmt(bpf.LdAbsW, lo(0)), stmt(bpf.Tax, 0), stmt(bpf.LdAbsW, lo(1)),
		jump(bpf.JeqX, 0, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm),
	}
}

// hashFilter computes what no diagram of reasonable size can, for number 1.
func hashFilter() bpf.Filter {
	f := bpf.Filter{
		stmt(bpf.LdAbsW, offNR), jump(bpf.JeqK, 1, 1, 0), stmt(bpf.RetK, allow),
		stmt(bpf.LdAbsW, lo(0)), stmt(bpf.Tax, 0),
	}
	for i := range 6 {
		f = append(f, stmt(bpf.LdAbsW, lo(i)), stmt(bpf.MulX, 0), stmt(bpf.AddK, 0x9e3779b1), stmt(bpf.Tax, 0))
	}
	return append(f, jump(bpf.JeqK, 12345, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm))
}

// fixtures are stacks of all the kinds that are exact.
func fixtures() map[string]bpf.Stack {
	return map[string]bpf.Stack{
		"none":      {},
		"container": {containerFilter()},
		"tree": {tree(
			[]uint32{0, 3, 7, 40, 41, 59, 100, 200, 0x40000000, 0x40000100, 0x80000000, 0xffffffff},
			[]uint32{allow, eperm, allow, 0x50026, allow, kill, allow, 0x30007, 0, 0x7ffc0000, 0x7ff00003, eperm})},
		"stacked": {
			compile([]rule{{archAMD64, 2, nil, 0x50002}, {archAMD64, 3, nil, allow}}, []uint32{archAMD64}, allow),
			compile([]rule{{archAMD64, 2, nil, 0x50003}, {archAMD64, 4, []test{{1, 0xff, 0x10}}, 0x00060000}}, []uint32{archAMD64}, allow),
			{stmt(bpf.LdAbsW, offNR), jump(bpf.JgtK, 300, 0, 1), stmt(bpf.RetK, 0x7ff0beef), stmt(bpf.RetK, 0x7fff1234)},
		},
		"ip": {{stmt(bpf.LdAbsW, offIP+4), jump(bpf.JeqK, 0xffffffff, 0, 3), stmt(bpf.LdAbsW, offIP), jump(bpf.JgeK, 0xff600000, 0, 1), stmt(bpf.RetK, 0x30001), stmt(bpf.RetK, allow)}},
		"errno from an argument": {{
			stmt(bpf.LdAbsW, lo(2)), stmt(bpf.AndK, 0x1ff), stmt(bpf.OrK, 0x50000), stmt(bpf.RetA, 0)}},
		"sum":   {sumFilter(1000)},
		"equal": {equalFilter()},
		"divide": {{stmt(bpf.LdAbsW, lo(0)), stmt(bpf.AndK, 0xff), stmt(bpf.Tax, 0), stmt(bpf.LdImm, 1000), stmt(bpf.DivX, 0),
			jump(bpf.JgtK, 9, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm)}},
		"multiply": {{stmt(bpf.LdAbsW, lo(0)), stmt(bpf.AndK, 0xff), stmt(bpf.Tax, 0), stmt(bpf.LdAbsW, lo(1)), stmt(bpf.AndK, 0xff), stmt(bpf.MulX, 0),
			jump(bpf.JgtK, 1000, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm)}},
		// The product has no room while nr is any number.
		"product with nr": {{stmt(bpf.LdAbsW, offArch), jump(bpf.JeqK, archAMD64, 1, 0), stmt(bpf.RetK, kill),
			stmt(bpf.LdAbsW, offNR), jump(bpf.JeqK, 3, 2, 0), jump(bpf.JeqK, 5, 1, 0), stmt(bpf.RetK, allow),
			stmt(bpf.Tax, 0), stmt(bpf.LdAbsW, lo(0)), stmt(bpf.MulX, 0),
			jump(bpf.JeqK, 12345, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm)}},
		"shift": {{stmt(bpf.LdAbsW, lo(0)), stmt(bpf.Tax, 0), stmt(bpf.LdImm, 1), stmt(bpf.LshX, 0), stmt(bpf.St, 3),
			stmt(bpf.LdAbsW, lo(1)), stmt(bpf.LdxMem, 3), jump(bpf.JsetX, 0, 0, 1), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm)}},
	}
}

func mustOf(t testing.TB, s bpf.Stack) *Policy {
	t.Helper()
	p, err := Of(s, le)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// calls makes random calls that are likely to matter to a stack: its words are
// taken, or nearly, from the constants of its instructions.
type calls struct {
	*rand.Rand
	constants []uint32
}

func newCalls(seed int64, s bpf.Stack) *calls {
	c := &calls{rand.New(rand.NewSource(seed)), []uint32{0, 1, archAMD64, archI386, archARM64, 1 << 31, 1<<32 - 1}}
	for _, f := range s {
		for _, i := range f {
			switch i.Op {
			case bpf.JeqK, bpf.JgtK, bpf.JgeK, bpf.JsetK, bpf.AndK, bpf.LdImm:
				c.constants = append(c.constants, i.K)
			}
		}
	}
	return c
}

func (c *calls) word() uint32 {
	switch c.Intn(8) {
	case 0:
		return c.Uint32()
	case 1:
		return 0
	case 2:
		return c.constants[c.Intn(len(c.constants))] ^ 1<<c.Intn(32)
	case 3:
		return c.constants[c.Intn(len(c.constants))] + uint32(c.Intn(3)) - 1
	}
	return c.constants[c.Intn(len(c.constants))]
}

func (c *calls) next() *bpf.Data {
	d := &bpf.Data{NR: c.word(), Arch: c.word()}
	if c.Intn(4) > 0 {
		d.Arch = []uint32{archAMD64, archI386}[c.Intn(2)]
	}
	if c.Intn(2) > 0 {
		d.NR = uint32(c.Intn(480))
	}
	long := func() uint64 {
		v := uint64(c.word())
		if c.Intn(3) == 0 {
			v |= uint64(c.word()) << 32
		}
		return v
	}
	d.IP = long()
	for i := range d.Args {
		d.Args[i] = long()
	}
	return d
}
