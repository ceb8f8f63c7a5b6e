package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// find returns the rule of a partition for a number.
func (p *Partition) find(t *testing.T, abi syscalls.ABI, nr uint32) Rule {
	t.Helper()
	r, ok := p.Find(abi.AuditArch(), nr)
	if !ok {
		t.Fatalf("no rule for %v %d", abi, nr)
	}
	return r
}

func TestCondition(t *testing.T) {
	number := func(name string) uint32 {
		nr, ok := syscalls.AMD64.Number(name)
		if !ok {
			t.Fatal(name)
		}
		return nr
	}
	denyEach := func(name string, arg int, values ...uint64) []rule {
		var rules []rule
		for _, v := range values {
			rules = append(rules, deny(number(name), test{arg, all64, v}))
		}
		return rules
	}
	const low = 1<<32 - 1
	var many []uint64
	for i := range uint64(100) {
		many = append(many, i*i*7919)
	}
	for _, c := range []struct {
		name  string // of the system call
		rules []rule
		want  string // when it is denied
	}{
		{"read", []rule{deny(0)}, "always"},
		{"clone", []rule{deny(56, test{0, 1 << 28, 1 << 28}), deny(56, test{0, 1 << 17, 1 << 17})},
			"clone_flags & (CLONE_NEWUSER|CLONE_NEWNS) != 0"},
		{"clone", []rule{deny(56, test{0, 1<<28 | 1<<17, 1<<28 | 1<<17})},
			"clone_flags & (CLONE_NEWUSER|CLONE_NEWNS) == CLONE_NEWUSER|CLONE_NEWNS"},
		{"clone", []rule{deny(56, test{0, 1<<28 | 1<<17, 0})},
			"clone_flags & (CLONE_NEWUSER|CLONE_NEWNS) == 0"},
		{"clone", []rule{deny(56, test{0, 1 << 28, 0})}, "clone_flags & CLONE_NEWUSER == 0"},
		{"socket", denyEach("socket", 0, 38, 40), "family in {AF_ALG, AF_VSOCK}"},
		{"socket", []rule{deny(41, test{0, low, 38})}, "(u32)family == AF_ALG"},
		{"socket", []rule{deny(41, test{0, low << 32, 1 << 32})}, "family>>32 == 1"},
		{"socket", []rule{deny(41, test{0, all64, 2}, test{2, all64, 6})}, "family == AF_INET && protocol == 6"},
		{"socket", []rule{deny(41, test{0, all64, 2}, test{2, all64, 6}), deny(41, test{0, all64, 1})},
			"family == AF_UNIX || (family == AF_INET && protocol == 6)"},
		{"personality", []rule{{archAMD64, 135, []test{{0, ^uint64(0x20008), 0}}, allow}, {archAMD64, 135, []test{{0, all64, low}}, allow}, deny(135)},
			"personality & ~(UNAME26|0x8) != 0 && personality != 0xffffffff"},
		{"getpid", denyEach("getpid", 3, 1, 2, 3, 7), "args[3] in {1..3, 7}"},
		{"dup3", []rule{deny(292, test{2, 3, 1}), deny(292, test{2, 3, 2})}, "flags & 3 in {1, 2}"},
		{"rename", denyEach("rename", 1, many...), "a decision on newname with "},
	} {
		p := mustOf(t, amd64(c.rules...))
		part, err := p.Partition(Options{})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, d := range part.find(t, syscalls.AMD64, number(c.name)).Decisions {
			if d.Outcome.Return == bpf.Return(eperm) {
				found = true
				if got := d.Condition.String(); got != c.want && !(d.Condition.Wide() && strings.HasPrefix(got, c.want)) {
					t.Errorf("%s: condition is %q, want %q", c.name, got, c.want)
				}
			}
		}
		if !found {
			t.Errorf("%s is not denied", c.name)
		}
		checkPartition(t, p, part)
	}
}

func TestConditionOf32BitABI(t *testing.T) {
	nr, _ := syscalls.I386.Number("socket")
	for _, c := range []struct {
		test test
		want string
	}{
		{test{0, 1<<32 - 1, 38}, "family == AF_ALG"},
		{test{0, all64, 38}, "(u64)family == AF_ALG"},
	} {
		p := mustOf(t, bpf.Stack{compile([]rule{{archI386, nr, []test{c.test}, eperm}}, []uint32{archI386}, allow)})
		part, err := p.Partition(Options{})
		if err != nil {
			t.Fatal(err)
		}
		d := part.find(t, syscalls.I386, nr).Decisions
		i := slices.IndexFunc(d, func(d Decision) bool { return d.Outcome.Return == bpf.Return(eperm) })
		if got := d[i].Condition.String(); got != c.want {
			t.Errorf("condition is %q, want %q", got, c.want)
		}
	}
}

// checkPartition asks the filters about random calls: exactly one decision of
// exactly one rule is for each, and says what the filters return; and so do its
// words.
func checkPartition(t *testing.T, p *Policy, part *Partition) {
	t.Helper()
	if part.Truncated {
		t.Error("partition is truncated")
	}
	calls := newCalls(4, p.stack)
	for range 2000 {
		d := calls.next()
		var found []Decision
		for _, r := range part.Rules {
			if !r.Has(d.Arch, d.NR) {
				continue
			}
			for _, x := range r.Decisions {
				if x.Condition.Holds(d) {
					found = append(found, x)
				}
				if e := x.Condition.expr; e != nil && e.eval(d) != x.Condition.Holds(d) {
					t.Fatalf("%+v: %q is not the condition's diagram", *d, x.Condition)
				}
			}
		}
		if want := p.stack.Run(d, p.order).Ret; len(found) != 1 || found[0].Outcome.Return != want {
			t.Fatalf("%+v: filters return %v, the partition has %v", *d, want, found)
		}
	}
}

func TestPartition(t *testing.T) {
	for name, s := range fixtures() {
		p := mustOf(t, s)
		for _, abis := range [][]syscalls.ABI{nil, {syscalls.AMD64, syscalls.X32, syscalls.I386, syscalls.S390X}} {
			part, err := p.Partition(Options{ABIs: abis})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if name == "errno from an argument" {
				if !part.Truncated || len(part.Rules[0].Decisions) != maxOutcomes {
					t.Errorf("%d of 512 outcomes, truncated is %v", len(part.Rules[0].Decisions), part.Truncated)
				}
				continue
			}
			checkPartition(t, p, part)
		}
	}
}

func TestRows(t *testing.T) {
	var rules []rule
	for i := range uint64(30) {
		rules = append(rules, deny(41, test{0, all64, i * i}, test{1, all64, i % 3}, test{2, all64, i}))
	}
	part, err := mustOf(t, amd64(rules...)).Partition(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range part.find(t, syscalls.AMD64, 41).Decisions {
		if d.Outcome.Return != bpf.Return(eperm) {
			continue
		}
		if !d.Condition.Wide() {
			t.Fatalf("30 products are put in words: %v", d.Condition)
		}
		rows, complete := d.Condition.Rows(200)
		if !complete || len(rows) != 90 {
			t.Fatalf("%d rows, complete is %v, want 90 rows, three for each product", len(rows), complete)
		}
		want := []Row{{0, "family == AF_UNSPEC"}, {1, "type == 0"}, {2, "protocol == 0"}, {0, "family == AF_UNIX"}}
		if !slices.Equal(rows[:4], want) {
			t.Errorf("rows are %v, want %v", rows[:4], want)
		}
		if rows, complete := d.Condition.Rows(10); complete || len(rows) != 10 {
			t.Errorf("%d rows of at most 10, complete is %v", len(rows), complete)
		}
	}
}

// TestLargeConditions lists conditions that share nearly all of a large diagram, which
// each of them would have for itself.
func TestLargeConditions(t *testing.T) {
	const bits, factor = 0x3ff, 0xff
	p := mustOf(t, bpf.Stack{{
		stmt(bpf.LdAbsW, offNR), jump(bpf.JgtK, bits, 12, 0), stmt(bpf.AndK, bits), stmt(bpf.Tax, 0),
		stmt(bpf.LdAbsW, offIP), stmt(bpf.AndK, bits), jump(bpf.JeqX, 0, 7, 0),
		stmt(bpf.LdAbsW, lo(0)), stmt(bpf.AndK, factor), stmt(bpf.Tax, 0), stmt(bpf.LdAbsW, lo(1)), stmt(bpf.AndK, factor), stmt(bpf.MulX, 0),
		jump(bpf.JsetK, 0x100, 1, 0), stmt(bpf.RetK, allow), stmt(bpf.RetK, eperm),
	}})
	size := func(seen map[*bdd.Diagram]bool, c *Condition) (n int) {
		if !seen[c.diagram] {
			n = c.diagram.Size()
		}
		seen[c.diagram] = true
		return n
	}
	most := keptNodes + p.diagram.Size()

	part, err := p.Partition(Options{})
	if err != nil {
		t.Fatal(err)
	}
	total, seen := 0, map[*bdd.Diagram]bool{}
	for _, r := range part.Rules {
		for _, d := range r.Decisions {
			total += size(seen, d.Condition)
		}
	}
	if !part.Truncated || total > most || len(part.Rules) < 2 {
		t.Errorf("Partition has %d rules of %d nodes, truncated: %v", len(part.Rules), total, part.Truncated)
	}

	c, err := Compare(mustOf(t, nil), p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	total, seen = 0, map[*bdd.Diagram]bool{}
	for _, d := range c.Differences {
		total += size(seen, d.Condition)
	}
	if c.Relation != Tighter || !c.Truncated || total > most || len(c.Differences) < 2 {
		t.Errorf("Compare: %v, %d differences of %d nodes, truncated: %v", c.Relation, len(c.Differences), total, c.Truncated)
	}
}
