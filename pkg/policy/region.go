package policy

import (
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// maxRuns bounds how many runs of arch or nr values are looked at. Filters have
// a few hundred; one that tests the lowest bit of nr has 2^32.
const maxRuns = 1 << 14

// A Run is an inclusive range of numbers.
type Run struct{ First, Last uint32 }

// A Scope is a set of calls given by arch and nr alone.
type Scope struct {
	// ABI is zero for architectures that have none here, and for those that
	// are taken together because the policy does not tell them apart.
	ABI syscalls.ABI
	// Arch holds the values of arch: one if ABI is set, and otherwise the
	// runs, in ascending order, of those that no other Scope is about.
	Arch []Run
	// NR is a maximal run of numbers with one meaning.
	NR Run
}

// Name returns the name of the scope's system call, "" if it is not exactly one
// or has no name.
func (s Scope) Name() string {
	if s.ABI == 0 || s.NR.First != s.NR.Last {
		return ""
	}
	name, _ := s.ABI.Name(s.NR.First)
	return name
}

// Has tells whether the calls with an arch and nr are in s.
func (s Scope) Has(arch, nr uint32) bool {
	return s.NR.First <= nr && nr <= s.NR.Last &&
		slices.ContainsFunc(s.Arch, func(r Run) bool { return r.First <= arch && arch <= r.Last })
}

// A region is a Scope and the sub-diagram of what the policy does there.
type region struct {
	Scope
	sub bdd.Ref
}

// regions partitions all calls by arch and nr into those with one meaning. The
// architectures of abis are listed, and so are those known ones that f singles
// out; the others are taken together as far as f does not tell them apart. It
// tells whether that is all: beyond maxRuns it stops.
func regions(m *bdd.Manager, f bdd.Ref, abis []syscalls.ABI) (list []region, complete bool) {
	groups, complete := architectures(m, f, abis)
	n := 0
	for _, g := range groups {
		m.Runs(g.sub, levelNR, 32, func(first, last uint64, sub bdd.Ref) bool {
			if n++; n > maxRuns {
				complete = false
				return false
			}
			for _, r := range split(g.runs, Run{uint32(first), uint32(last)}) {
				list = append(list, region{Scope{ABI: abiOf(g, r), Arch: g.runs, NR: r}, sub})
			}
			return true
		})
	}
	slices.SortStableFunc(list, func(x, y region) int { return rank(x.ABI, abis) - rank(y.ABI, abis) })
	return list, complete
}

// rank orders ABIs: as listed, then as known, then none.
func rank(a syscalls.ABI, listed []syscalls.ABI) int {
	if i := slices.Index(listed, a); i >= 0 {
		return i
	}
	if a == 0 {
		return 1 << 16
	}
	return 1<<8 + int(a)
}

// A group is a set of values of arch with one meaning.
type group struct {
	runs []Run
	sub  bdd.Ref
}

func (g group) single() bool { return len(g.runs) == 1 && g.runs[0].First == g.runs[0].Last }

// architectures partitions the values of arch.
func architectures(m *bdd.Manager, f bdd.Ref, abis []syscalls.ABI) (groups []group, complete bool) {
	listed := map[uint32]bool{}
	for _, a := range abis {
		listed[a.AuditArch()] = true
	}
	var runs []group // of one run each
	complete = true
	m.Runs(f, levelArch, 32, func(first, last uint64, sub bdd.Ref) bool {
		if len(runs) == maxRuns {
			complete = false
			return false
		}
		runs = append(runs, group{[]Run{{uint32(first), uint32(last)}}, sub})
		return true
	})
	for _, g := range runs {
		if _, known := syscalls.Of(g.runs[0].First, 0); g.single() && known {
			listed[g.runs[0].First] = true
		}
	}

	rest := map[bdd.Ref]int{} // index into groups
	for _, g := range runs {
		for _, r := range without(g.runs[0], listed) {
			one := group{[]Run{r}, g.sub}
			if one.single() && listed[r.First] {
				groups = append(groups, one)
				continue
			}
			i, ok := rest[g.sub]
			if !ok {
				rest[g.sub] = len(groups)
				groups = append(groups, one)
				continue
			}
			groups[i].runs = append(groups[i].runs, r)
		}
	}
	return groups, complete
}

// without cuts r into the listed values, each by itself, and what is between.
func without(r Run, listed map[uint32]bool) []Run {
	var cuts []uint32
	for v := range listed {
		if r.First <= v && v <= r.Last {
			cuts = append(cuts, v)
		}
	}
	slices.Sort(cuts)
	var runs []Run
	next, done := r.First, false
	for _, v := range cuts {
		if v > next {
			runs = append(runs, Run{next, v - 1})
		}
		runs = append(runs, Run{v, v})
		if done = v == r.Last; !done {
			next = v + 1
		}
	}
	if !done {
		runs = append(runs, Run{next, r.Last})
	}
	return runs
}

// split cuts a run of numbers where the ABI changes: on x86-64, x32 has those
// from 0x40000000 to 0x7fffffff.
func split(arch []Run, r Run) []Run {
	if arch[0] != (Run{syscalls.AMD64.AuditArch(), syscalls.AMD64.AuditArch()}) {
		return []Run{r}
	}
	var runs []Run
	for _, cut := range []uint32{1 << 30, 1 << 31} {
		if r.First < cut && cut <= r.Last {
			runs = append(runs, Run{r.First, cut - 1})
			r.First = cut
		}
	}
	return append(runs, r)
}

func abiOf(g group, r Run) syscalls.ABI {
	if !g.single() {
		return 0
	}
	abi, _ := syscalls.Of(g.runs[0].First, r.First)
	return abi
}

// descend returns the sub-diagram of f for a value of the 32 variables from
// level on.
func descend(m *bdd.Manager, f bdd.Ref, level int, v uint32) bdd.Ref {
	for i := range 32 {
		lo, hi := m.Cofactors(f, level+i)
		if f = lo; v>>(31-i)&1 != 0 {
			f = hi
		}
	}
	return f
}
