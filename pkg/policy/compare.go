package policy

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Access is how far an action lets a call get. The kernel does not rank actions
// so: its own order only says which of several filters wins.
type Access uint8

const (
	// Denied is KILL_PROCESS, KILL_THREAD, TRAP and ERRNO: the call is not
	// executed.
	Denied Access = iota + 1
	// Mediated is USER_NOTIF and TRACE: somebody else decides. Without a
	// supervisor or tracer it is ENOSYS.
	Mediated
	// Executed is LOG and ALLOW.
	Executed
)

// AccessOf returns the access that an action gives.
func AccessOf(a bpf.Action) Access {
	switch a {
	case bpf.Allow, bpf.Log:
		return Executed
	case bpf.UserNotif, bpf.Trace:
		return Mediated
	}
	return Denied
}

// A Relation is how policy B stands to policy A.
type Relation uint8

const (
	// Identical: for every call both do the same.
	Identical Relation = iota + 1
	// SameAccess: they differ, but only in how calls are denied, mediated or
	// logged.
	SameAccess
	// Tighter: B gives no call more access than A, and some less.
	Tighter
	// Looser: B gives no call less access than A, and some more.
	Looser
	// Incomparable: B gives some calls more access and some less.
	Incomparable
	// Undecided: one of the above, but what is known does not tell which.
	Undecided
)

func (r Relation) String() string {
	names := [...]string{Identical: "Identical", SameAccess: "SameAccess", Tighter: "Tighter", Looser: "Looser", Incomparable: "Incomparable", Undecided: "Undecided"}
	if int(r) < len(names) && r > 0 {
		return names[r]
	}
	return fmt.Sprintf("Relation(%d)", uint8(r))
}

// A Direction is which way a difference goes: policy B seen from policy A.
type Direction uint8

const (
	// DirectionTighter: B gives less access.
	DirectionTighter Direction = iota + 1
	// DirectionLooser: B gives more access.
	DirectionLooser
	// DirectionChanged: B does something else that gives the same access.
	DirectionChanged
	// DirectionUndecided: what A or B does is not known.
	DirectionUndecided
)

func (d Direction) String() string {
	names := [...]string{DirectionTighter: "tighter", DirectionLooser: "looser", DirectionChanged: "changed", DirectionUndecided: "undecided"}
	if int(d) < len(names) && d > 0 {
		return names[d]
	}
	return fmt.Sprintf("Direction(%d)", uint8(d))
}

// A Difference is a set of calls, all those of a Scope for which a condition
// holds, for which policy A does one thing and policy B another.
type Difference struct {
	Scope
	Condition *Condition
	A, B      Outcome
	Direction Direction
	// Witness is one of the calls; nil if the difference is undecided.
	Witness *Witness
}

// A Comparison is how policy B differs from policy A.
type Comparison struct {
	Relation Relation
	// Differences are all calls for which A and B differ, or might, and no
	// others; ordered by ABI and number. None overlaps another.
	Differences []Difference
	// Truncated tells that there are more, too many to list. The Relation
	// takes them into account.
	Truncated bool
}

// Options say how a Comparison or Partition is laid out. What it means does not
// depend on them.
type Options struct {
	// ABIs are listed first and each by itself, even if a policy does not tell
	// their architecture from others: the ABIs of the machine, as a rule.
	ABIs []syscalls.ABI
}

// compareNodes bounds the diagram of a comparison.
const compareNodes = 1 << 20

// leastRoom is how many nodes of it the pair of two numbers has at least: about as
// many as a whole policy from practice.
const leastRoom = 1 << 12

// What a Comparison or Partition lists: in all, and of one Scope.
const (
	maxListed   = 1 << 14
	maxOutcomes = 64
)

// Compare compares policy b with policy a. Every witness it returns has been
// run through the filters of both. The error, if any, is an internal one.
func Compare(a, b *Policy, o Options) (*Comparison, error) {
	p := newPair(a, b)
	c := &Comparison{Relation: p.relation()}
	if c.Relation == Identical {
		return c, nil
	}
	list, complete := regions(p.m, p.root, o.ABIs)
	c.Truncated = !complete
	l := newLister(p, a, b)
	for _, r := range list {
		err := l.list(r, func(d Difference, holds bdd.Ref) (err error) {
			if d.Direction != DirectionUndecided {
				call := lowest(p.m, p.form, holds)
				call.Arch, call.NR = r.Arch[0].First, r.NR.First
				d.Witness, err = newWitness(a, b, call, d.A, d.B)
			}
			c.Differences = append(c.Differences, d)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	c.Truncated = c.Truncated || l.truncated
	return c, nil
}

// A lister lists the differences between the policies of a pair.
type lister struct {
	*pair
	conditions *conditions
	listed     int
	truncated  bool // there were more than there may be
}

func newLister(p *pair, a, b *Policy) *lister {
	return &lister{pair: p, conditions: newConditions(p.m, p.form, a.written != nil || b.written != nil)}
}

// list calls yield for each difference in a region, still without a witness, and
// with the diagram of its condition.
func (l *lister) list(r region, yield func(d Difference, holds bdd.Ref) error) error {
	full := func() bool { return l.listed == maxListed || l.conditions.full() }
	if l.truncated && full() {
		return nil
	}
	for i, leaf := range l.conditions.leavesOf(r.sub) {
		if leaf == same {
			continue
		}
		var holds bdd.Ref
		if full() || i > maxOutcomes || l.m.Try(compareNodes, func() { holds = l.m.Is(r.sub, leaf) }) != nil {
			l.truncated = true
			return nil
		}
		l.listed++
		d := Difference{Scope: r.Scope}
		d.A, d.B = unpair(leaf)
		d.Direction = direction(d.A, d.B)
		var err error
		if d.Condition, err = l.conditions.of(r.Scope, holds); err != nil {
			return err
		}
		if err := yield(d, holds); err != nil {
			return err
		}
	}
	return nil
}

func direction(a, b Outcome) Direction {
	if a.Undecided || b.Undecided {
		return DirectionUndecided
	}
	switch x, y := AccessOf(a.Return.Action()), AccessOf(b.Return.Action()); {
	case y < x:
		return DirectionTighter
	case y > x:
		return DirectionLooser
	}
	return DirectionChanged
}

// A pair is the diagram of what two policies do, side by side.
type pair struct {
	m    *bdd.Manager
	form Form
	root bdd.Ref
}

// Leaves of the diagram of a pair: both outcomes, or that they are the same and
// known. A normalised return is never all ones, which stands for undecided.
const (
	same          = uint64(bpf.KillProcess)<<32 | uint64(bpf.KillProcess)
	undecidedHalf = 1<<32 - 1
)

func pairOutcomes(a, b uint64) uint64 {
	if a == b && a != undecided {
		return same
	}
	return min(a, undecidedHalf)<<32 | min(b, undecidedHalf)
}

func unpair(leaf uint64) (a, b Outcome) {
	half := func(v uint64) Outcome {
		if v == undecidedHalf {
			return Outcome{Undecided: true}
		}
		return Outcome{Return: bpf.Return(v)}
	}
	return half(leaf >> 32), half(leaf & undecidedHalf)
}

// newPair returns the pair of two policies. Where the diagram has no room for
// the pair of two sub-diagrams below arch and nr, they are undecided in it.
func newPair(a, b *Policy) *pair {
	p := emptyPair(a, b)
	unknown := p.unknown()
	f, fits := p.bring(a)
	g, fits2 := p.bring(b)
	if !fits || !fits2 {
		p.root = unknown
		return p
	}
	op := p.m.NewOp(false, pairOutcomes)
	// What two numbers may take is the less, the more of them took too much: there
	// can be as many of them as policies tell apart.
	room := compareNodes / 4
	done := map[[2]bdd.Ref]bdd.Ref{}
	var walk func(f, g bdd.Ref) bdd.Ref
	walk = func(f, g bdd.Ref) bdd.Ref {
		if r, ok := done[[2]bdd.Ref{f, g}]; ok {
			return r
		}
		var r bdd.Ref
		if level := min(p.m.Level(f), p.m.Level(g)); level < levelFree {
			f0, f1 := p.m.Cofactors(f, level)
			g0, g1 := p.m.Cofactors(g, level)
			r = p.m.Node(level, walk(f0, g0), walk(f1, g1))
		} else if p.m.Try(room, func() { r = p.m.Apply(op, f, g) }) != nil {
			r = unknown
			room = max(room/2, leastRoom)
		}
		done[[2]bdd.Ref{f, g}] = r
		return r
	}
	if p.m.Try(compareNodes, func() { p.root = walk(f, g) }) != nil {
		p.root = unknown
	}
	return p
}

// emptyPair returns a pair that has no diagram yet, for two policies.
func emptyPair(a, b *Policy) *pair {
	p := &pair{m: bdd.New(compareNodes), form: Sequential}
	if a.form == Interleaved || b.form == Interleaved {
		p.form = Interleaved
	}
	p.unknown() // from now on there is room for it
	return p
}

// unknown is the diagram of calls for which both are undecided.
func (p *pair) unknown() bdd.Ref { return p.m.Leaf(undecidedHalf<<32 | undecidedHalf) }

// bring brings a policy into p and tells whether there was room.
func (p *pair) bring(a *Policy) (f bdd.Ref, ok bool) {
	err := p.m.Try(compareNodes/4, func() { f = a.form.in(p.m, p.form, a.diagram) })
	return f, err == nil
}

// relation sums up all leaves.
func (p *pair) relation() Relation {
	var found directions
	found.add(p.m, p.root)
	return found.relation()
}

// directions are the ways in which differences go.
type directions [DirectionUndecided + 1]bool

// add adds those of the diagram of a pair.
func (found *directions) add(m *bdd.Manager, f bdd.Ref) {
	for _, leaf := range m.Leaves(f) {
		if leaf != same {
			found[direction(unpair(leaf))] = true
		}
	}
}

func (found *directions) relation() Relation {
	switch {
	case found[DirectionTighter] && found[DirectionLooser]:
		return Incomparable
	case found[DirectionUndecided]:
		return Undecided
	case found[DirectionTighter]:
		return Tighter
	case found[DirectionLooser]:
		return Looser
	case found[DirectionChanged]:
		return SameAccess
	}
	return Identical
}

// AtMost tells whether b gives no call more access than a. If that is false,
// the witness is a call to which it does. If it cannot be told, because no such
// call is known but one of the policies is undecided, the error is ErrUndecided.
func (b *Policy) AtMost(a *Policy) (bool, *Witness, error) {
	p := newPair(a, b)
	unknown := false
	for _, leaf := range p.m.Leaves(p.root) {
		if leaf == same {
			continue
		}
		x, y := unpair(leaf)
		switch direction(x, y) {
		case DirectionUndecided:
			// What is denied in b, or executed in a, is no matter.
			unknown = unknown || !(!y.Undecided && AccessOf(y.Return.Action()) == Denied ||
				!x.Undecided && AccessOf(x.Return.Action()) == Executed)
		case DirectionLooser:
			var holds bdd.Ref
			if p.m.Try(compareNodes, func() { holds = p.m.Is(p.root, leaf) }) != nil {
				return false, nil, ErrUndecided
			}
			w, err := newWitness(a, b, lowest(p.m, p.form, holds), x, y)
			return false, w, err
		}
	}
	if unknown {
		return false, nil, ErrUndecided
	}
	return true, nil, nil
}
