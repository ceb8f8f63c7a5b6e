package policy

import (
	"errors"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// This file compares policies of machines of different architectures.
//
// No call of one machine is a call of the other: the arch is another value, and
// numbers mean other things. What can be compared is what a program would meet that
// was compiled for both and makes the same system calls. So policies are compared by
// name, for the native ABIs x and y of the machines. A name that both have is a pair
// of numbers, and for it each policy is a function of the arguments and the
// instruction pointer alone: a sub-diagram, taken from below arch and nr. These two
// functions are compared exactly, over all arguments, as Compare does it.
//
// # Which arguments are the same
//
// They are those that the kernel calls the same (syscalls.ABI.Params), wherever they
// are: clone takes the flags first on most architectures and second on s390x. The
// variables of B's sub-diagram are renamed accordingly. The instruction pointer is
// one on both sides.
//
// Two things limit what can be said about one name; each is told as a Limit where it
// matters to what the policies do.
//
//   - A parameter that is wider under one ABI is compared for the values that both
//     can pass; the policies are not compared for others. With a 32-bit ABI those
//     are all values that fit 32 bits, without sign.
//   - Bits of a parameter can have another meaning (O_DIRECTORY on arm64 is O_DIRECT
//     on amd64; the requests of ptrace), a call can take other arguments (mmap on
//     s390x), or which it takes is not known. These bits are foreign to the other
//     ABI. If both sub-diagrams depend on foreign bits, the call is not comparable
//     and counts as undecided.
//
// If only one depends on foreign bits, the comparison is exact: whatever they
// correspond to, the other policy does not look at it. Conditions are then in terms
// of the ABI of the one that does (NamedDifference.OfB).
//
// # Which outcomes are the same
//
// Those with the same action and data. Of ERRNO it is the name of the error that
// counts: ENOSYS is 38 or 89.
//
// # What is left out
//
// System calls that only one of the ABIs has, numbers without a name, and ABIs that
// only one of the machines has, are no part of the relation. The first are listed.
// An ABI that both machines have, such as 386 for an amd64 and a 386 machine, is the
// same on both: its calls are compared by number, all of them, as Compare does.
//
// # What is approximate
//
// That an equal name is an equal call, and an equal value an equal meaning, where
// the tables of syscalls, and the lists in counterpart.go, do not say otherwise.
// They cover what profiles are known to look at. They are not complete for values
// that drivers define (ioctl), nor for the MIPS ABIs, which differ most. What
// pointers point to is not seen by filters anyway.

// A ByName is how policy B differs from a policy A for another architecture.
type ByName struct {
	// Relation is about the calls that both have: by name, and of Shared.
	Relation Relation
	// Differences are ordered by A's numbers, those under shared ABIs last.
	Differences []NamedDifference
	// Truncated tells that there are more, too many to list. The Relation takes
	// them into account.
	Truncated bool

	A, B   syscalls.ABI   // native ones, compared by name
	Shared []syscalls.ABI // compared by number

	Common int // how many system calls both have
	// Limits are what could not be compared of them, or not wholly.
	Limits []Limit
	// OnlyA and OnlyB are the system calls that the other one does not have.
	OnlyA, OnlyB []syscalls.Syscall
}

// A NamedDifference is a Difference between calls of one name. Its Scope is that of
// A, and so are the arguments of its Condition, unless OfB.
type NamedDifference struct {
	Difference
	// OfB tells that the Condition is on the arguments as B takes them: of values
	// or in places that A does not know.
	OfB bool
	// ScopeB is where B has the same calls.
	ScopeB Scope
}

// A Limit is why a system call could not be compared for all of its arguments.
type Limit struct {
	Name string
	// Compared tells that it could for those values of Param that both ABIs can
	// pass. Otherwise it counts as undecided.
	Compared bool
	Param    string // "" if it is not about a known one
	Reason   string
}

// CompareByName compares policy b, for a machine with the ABIs y, with policy a, for
// one with the ABIs x, each native first, as syscalls.OfMachine has them. The native
// ones must not be the same. Every witness it returns has been run through the
// filters of both; its two calls differ in arch, and mostly in nr and the order of
// arguments. The error, if any, is an internal one.
func CompareByName(a, b *Policy, x, y []syscalls.ABI) (*ByName, error) {
	if len(x) == 0 || len(y) == 0 || x[0] == y[0] {
		return nil, errors.New("internal error: compare by name: want the ABIs of two different architectures")
	}
	n := &namer{a: a, b: b, x: x[0], y: y[0], out: &ByName{A: x[0], B: y[0], Shared: common(x, y)}}
	var pairs []counterpart
	pairs, n.out.OnlyA, n.out.OnlyB = counterparts(n.x, n.y)
	n.out.Common = len(pairs)
	p := emptyPair(a, b)
	if len(n.out.Shared) > 0 {
		p = newPair(a, b)
	}
	n.lister = newLister(p, a, b)
	n.alike = p.m.NewOp(false, n.outcomes)
	n.zero = p.m.NewOp(true, func(zero, _ uint64) uint64 { return zero })
	n.forget()
	n.load()
	for i := range pairs {
		if err := n.compare(&pairs[i]); err != nil {
			return nil, err
		}
	}
	if err := n.shared(); err != nil {
		return nil, err
	}
	n.out.Relation = n.found.relation()
	n.out.Truncated = n.out.Truncated || n.truncated
	return n.out, nil
}

func common(x, y []syscalls.ABI) (both []syscalls.ABI) {
	for _, abi := range x {
		for _, other := range y {
			if abi == other {
				both = append(both, abi)
			}
		}
	}
	return both
}

// namer makes a ByName.
type namer struct {
	*lister
	a, b *Policy
	x, y syscalls.ABI
	// What the policies do under x and y, b's in a manager of its own since its
	// arguments are still to be moved; not fits if there is no room.
	f, g  bdd.Ref
	other *bdd.Manager
	fits  bool

	// What was found of diagrams of m: many calls can have the same one.
	moved map[movedKey]bdd.Ref  // g's, with the arguments where a has them
	looks map[bdd.Ref][6]uint64 // the bits of each argument that are looked at

	alike *bdd.Op // pairs outcomes
	zero  *bdd.Op // keeps what is for 0
	found directions
	out   *ByName
}

type movedKey struct {
	sub      bdd.Ref // of other
	position [6]int
}

// forget is for when m was put back to what it was.
func (n *namer) forget() {
	n.moved, n.looks = map[movedKey]bdd.Ref{}, map[bdd.Ref][6]uint64{}
}

// load takes apart what the policies do under their native ABIs.
func (n *namer) load() {
	if n.f, n.fits = n.bring(n.a); n.fits {
		n.f = descend(n.m, n.f, levelArch, n.x.AuditArch())
	}
	n.other = bdd.New(compareNodes)
	fits := n.other.Try(compareNodes, func() { n.g = n.other.Import(n.b.diagram) }) == nil
	if n.fits = n.fits && fits; n.fits {
		n.g = descend(n.other, n.g, levelArch, n.y.AuditArch())
	}
}

// sides returns what the policies do with a call, b's arguments where a has them.
func (n *namer) sides(c *counterpart) (f, g bdd.Ref) {
	f = descend(n.m, n.f, levelNR, c.nrX)
	key := movedKey{descend(n.other, n.g, levelNR, c.nrY), c.position}
	g, ok := n.moved[key]
	if !ok {
		g = n.m.Reorder(n.other.Export(key.sub), func(level int) int {
			w, bit := n.b.form.bitOf(level)
			return n.form.level(c.word(w), bit)
		})
		n.moved[key] = g
	}
	return f, g
}

// callNodes bounds the comparison of one call.
const callNodes = compareNodes / 16

// compare compares the calls of one name.
func (n *namer) compare(c *counterpart) error {
	// Should there be no room, nothing is known of the call.
	root, ofB := n.unknown(), false
	var limits []Limit
	comparable := true
	if n.fits {
		err := n.m.Try(callNodes, func() {
			f, g := n.sides(c)
			var foreignF, foreignG bool
			for i := range c.position {
				if n.dependsOn(f, i, c.narrow[i]) || n.dependsOn(g, i, c.narrow[i]) {
					f, g = n.narrow(f, i, c.narrow[i]), n.narrow(g, i, c.narrow[i])
					limits = append(limits, Limit{Name: c.name, Compared: true, Param: n.param(c, i), Reason: "not all of its values can be passed under both"})
				}
				foreignF = foreignF || n.dependsOn(f, i, c.foreign[i])
				foreignG = foreignG || n.dependsOn(g, i, c.foreign[i])
			}
			if comparable = !foreignF || !foreignG; !comparable {
				limits = append(limits, n.foreign(c, f, g)...)
			}
			if ofB = foreignG; ofB {
				f, g = n.toY(c, f), n.toY(c, g)
			}
			root = n.m.Apply(n.alike, f, g)
		})
		if err != nil {
			limits, comparable, root, ofB = nil, true, n.unknown(), false
			n.forget()
		}
	}
	n.out.Limits = append(n.out.Limits, limits...)
	if !comparable {
		n.found[DirectionUndecided] = true
		return nil
	}
	n.found.add(n.m, root)
	scopeA, scopeB := scopeOf(n.x, c.nrX), scopeOf(n.y, c.nrY)
	r := region{scopeA, root}
	if ofB {
		r.Scope = scopeB
	}
	return n.list(r, func(d Difference, holds bdd.Ref) (err error) {
		if d.Direction != DirectionUndecided {
			call := lowest(n.m, n.form, holds)
			if ofB {
				call = c.callX(call)
			}
			call.Arch, call.NR = n.x.AuditArch(), c.nrX
			w := &Witness{A: d.A, B: d.B}
			if w.CallA, err = n.a.confirm(call, d.A); err != nil {
				return err
			}
			if w.CallB, err = n.b.confirm(c.callY(call, n.y), d.B); err != nil {
				return err
			}
			d.Witness = w
		}
		d.Scope = scopeA
		n.out.Differences = append(n.out.Differences, NamedDifference{Difference: d, OfB: ofB, ScopeB: scopeB})
		return nil
	})
}

// toY returns a diagram with the arguments where y has them.
func (n *namer) toY(c *counterpart, f bdd.Ref) bdd.Ref {
	return n.m.Reorder(n.m.Export(f), func(level int) int {
		w, bit := n.form.bitOf(level)
		if w >= wordArg0High {
			i := int(w-wordArg0High) / 2
			w += word(2 * (c.position[i] - i))
		}
		return n.form.level(w, bit)
	})
}

// foreign are the limits of a call with foreign bits on both sides.
func (n *namer) foreign(c *counterpart, f, g bdd.Ref) (limits []Limit) {
	for i, bits := range c.foreign {
		if n.dependsOn(f, i, bits) || n.dependsOn(g, i, bits) {
			limits = append(limits, Limit{Name: c.name, Param: n.param(c, i), Reason: c.about[i]})
		}
	}
	return limits
}

// scopeOf is the scope of one number of an ABI.
func scopeOf(abi syscalls.ABI, nr uint32) Scope {
	arch := abi.AuditArch()
	return Scope{ABI: abi, Arch: []Run{{arch, arch}}, NR: Run{nr, nr}}
}

// param names an argument of a call for a Limit.
func (n *namer) param(c *counterpart, i int) string {
	if params := n.x.Params(c.name); i < len(params) {
		return params[i].Name
	}
	return ""
}

// dependsOn tells whether bits of an argument have influence on f.
func (n *namer) dependsOn(f bdd.Ref, arg int, bits uint64) bool {
	looks, ok := n.looks[f]
	if !ok {
		n.m.Visit(f, func(_ bdd.Ref, level int) {
			if level == bdd.LeafLevel {
				return
			}
			if w, bit := n.form.bitOf(level); w >= wordArg0High {
				looks[(w-wordArg0High)/2] |= 1 << (bit + 32*int(1-w%2))
			}
		})
		n.looks[f] = looks
	}
	return looks[arg]&bits != 0
}

// narrow returns f for those bits of an argument being 0.
func (n *namer) narrow(f bdd.Ref, arg int, bits uint64) bdd.Ref {
	return n.m.Quantify(f, func(level int) bool { return n.isBit(level, arg, bits) }, n.zero)
}

func (n *namer) isBit(level, arg int, bits uint64) bool {
	if level < levelFree || level >= levels {
		return false
	}
	w, bit := n.form.bitOf(level)
	var masks [6]uint64
	masks[arg] = bits
	return isIgnored(&masks, w, bit)
}

// outcomes pairs two outcomes as pairOutcomes does, by the names of errors.
func (n *namer) outcomes(a, b uint64) uint64 {
	if a != undecided && b != undecided && bpf.Return(a).Action() == bpf.Errno && bpf.Return(b).Action() == bpf.Errno {
		u, known := n.x.Errno(bpf.Return(a).Data())
		v, known2 := n.y.Errno(bpf.Return(b).Data())
		if (known || known2) && u == v {
			return same
		}
		if known || known2 {
			return a<<32 | b
		}
	}
	return pairOutcomes(a, b)
}

// shared compares the ABIs that both machines have, by number.
func (n *namer) shared() error {
	if len(n.out.Shared) == 0 {
		return nil
	}
	for _, abi := range n.out.Shared {
		n.found.add(n.m, descend(n.m, n.root, levelArch, abi.AuditArch()))
	}
	list, complete := regions(n.m, n.root, n.out.Shared)
	n.out.Truncated = !complete
	for _, r := range list {
		if r.ABI == 0 || !slices.Contains(n.out.Shared, r.ABI) {
			continue
		}
		err := n.list(r, func(d Difference, holds bdd.Ref) (err error) {
			if d.Direction != DirectionUndecided {
				call := lowest(n.m, n.form, holds)
				call.Arch, call.NR = r.ABI.AuditArch(), r.NR.First
				d.Witness, err = newWitness(n.a, n.b, call, d.A, d.B)
			}
			n.out.Differences = append(n.out.Differences, NamedDifference{Difference: d, ScopeB: d.Scope})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
