package policy

import (
	"encoding/binary"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
)

// limits bound what the construction of one policy may take. They count nodes,
// instructions and the like, not time or bytes, so that the same stack has the
// same outcome on every machine.
type limits struct {
	nodes     int // of one diagram with all that its construction leaves behind
	canonical int // nodes of bringing the result into the sequential form
	gate      int // that computing a single bit or comparison may add
	gates     int // steps given to bits and comparisons in all
	failures  int // of joining the two branches of a comparison
	work      int // instructions followed
	states    int // distinct states of the machine at the target of a jump
	vectors   int // distinct values that are not constant
	numbers   int // system calls that are tried apart
}

var defaultLimits = limits{
	nodes:     1 << 20,
	canonical: 1 << 16,
	gate:      1 << 16,
	gates:     1 << 22,
	failures:  16,
	work:      1 << 17,
	states:    1 << 16,
	vectors:   1 << 16,
	numbers:   16,
}

// apart returns the limits for one of the system calls that are tried apart:
// all of them in both forms take about as much as the whole policy did.
func (l limits) apart() limits {
	n := 2 * l.numbers
	l.nodes /= n / 4
	l.gates /= n / 4
	l.gate /= n / 4
	l.work /= n / 4
	l.states /= n / 4
	l.vectors /= n / 4
	return l
}

// Leaves of diagrams under construction are the raw values that filters return,
// and undecided.
const undecided = 1 << 32

// builder turns one stack into a diagram.
type builder struct {
	m      *bdd.Manager
	form   Form
	order  binary.ByteOrder
	limits limits
	// strict makes the first thing that exceeds a limit end the construction.
	strict bool
	// fixed, if not nil, gives arch and nr.
	fixed *[2]uint32

	vectors []vector
	index   map[vector]value
	results map[operation]value

	leafUndecided bdd.Ref

	join *bdd.Op // of outcomes of which either may hold
	fold *bdd.Op // of a newer and an older filter

	gated, failed, worked, stated int
}

// operation is the key under which the result of arithmetic is remembered.
type operation struct {
	op   bpf.Op
	x, y value
}

// errStrict ends a strict construction.
type errStrict struct{}

// valueUnknown is the vector of 32 unknown bits.
const valueUnknown value = 0

func newBuilder(form Form, order binary.ByteOrder, l limits) *builder {
	b := &builder{
		m:       bdd.New(l.nodes),
		form:    form,
		order:   order,
		limits:  l,
		index:   map[vector]value{},
		results: map[operation]value{},
	}
	b.leafUndecided = b.m.Leaf(undecided)
	b.join = b.m.NewOp(true, joinOutcomes)
	b.fold = b.m.NewOp(true, foldReturns)
	var x vector
	for i := range x {
		x[i] = unknown
	}
	b.vectors = append(b.vectors, x)
	b.index[x] = valueUnknown
	return b
}

// joinOutcomes is the outcome where it is not known which of two holds.
func joinOutcomes(x, y uint64) uint64 {
	if x == y {
		return x
	}
	return undecided
}

// foldReturns is what the kernel keeps of what a newer filter, or all that are
// newer, returned, and an older one (seccomp_run_filters in kernel/seccomp.c).
func foldReturns(newer, older uint64) uint64 {
	x, y := bpf.Return(newer).Action(), bpf.Return(older).Action()
	switch {
	case older != undecided && y == bpf.KillProcess && newer == undecided:
		return older // nothing is stronger, and its data has no effect
	case newer != undecided && x == bpf.KillProcess:
		return newer
	case newer == undecided, older == undecided:
		return undecided
	case int32(y) < int32(x):
		return older
	}
	return newer
}

// normalize makes leaves what the kernel does.
func normalize(raw uint64) uint64 {
	if raw == undecided {
		return undecided
	}
	return uint64(bpf.Return(raw).Normalize())
}

// attempt runs f, which may add as many nodes as a gate may, and tells whether
// that was enough. If not, nodes made by f are gone. When the hard ones have
// used up what is for them, easy ones still go on: a filter that compares nr
// with constants must not suffer from another one's arithmetic. A quarter of
// all nodes is kept for joining outcomes.
func (b *builder) attempt(f func()) bool {
	l := &b.limits
	gate := 0
	switch size := b.m.Size(); {
	case b.gated < l.gates && size < l.nodes/2:
		gate = l.gate
	case b.gated < 2*l.gates && size < l.nodes/4*3:
		gate = min(l.gate, easyGate)
	}
	before := b.m.Steps()
	err := b.m.Try(gate, f)
	b.gated += b.m.Steps() - before
	if err != nil && b.strict {
		panic(errStrict{})
	}
	return err == nil
}

// easyGate is enough for a comparison of a word with a constant.
const easyGate = 1 << 8

// attemptTree is attempt for a whole diagram of outcomes, which may take a good
// part of what is left; if even that is too little, the outcome is undecided.
func (b *builder) attemptTree(f func() bdd.Ref) bdd.Ref {
	var r bdd.Ref
	if b.failed < b.limits.failures {
		if b.m.Try(max(b.limits.gate, (b.limits.nodes-b.m.Size())/4), func() { r = f() }) == nil {
			return r
		}
		b.failed++
	}
	return b.undecided()
}

func (b *builder) undecided() bdd.Ref {
	if b.strict {
		panic(errStrict{})
	}
	return b.leafUndecided
}
