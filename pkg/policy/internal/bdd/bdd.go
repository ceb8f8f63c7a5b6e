// Package bdd implements reduced ordered decision diagrams with many terminals
// (MTBDD): functions from a string of bits to 64-bit values.
//
// A diagram asks for one variable after the other, always in the order of
// their levels, and shares equal sub-diagrams. For a fixed order it is
// therefore canonical (Bryant 1986; Fujita, McGeer, Yang 1997 for terminals
// other than true and false): within one Manager two functions are equal if
// and only if their Refs are.
//
// A Boolean function is one whose leaves are the values 0 and 1.
//
// A Manager never frees a node, except when Try gives up; it is meant to be
// used for one construction, whose result Export takes out. What it can use is
// bounded: beyond its budget an operation is abandoned with ErrBudget. The
// operations that create nodes must therefore run inside Try.
package bdd

import (
	"errors"
	"slices"
)

// A Ref is a diagram in a Manager.
type Ref uint32

// The two Boolean constants, which are also the leaves 0 and 1.
const (
	False Ref = iota
	True
)

// LeafLevel is the level of leaves, below that of every variable.
const LeafLevel = 1<<16 - 1

// ErrBudget says that an operation would have taken more nodes or steps than
// it was allowed.
var ErrBudget = errors.New("decision diagram exceeds its budget")

// stepsPerNode is how many uncached recursive steps are allowed for each node
// that is: nearly all work ends in a new node, but not quite.
const stepsPerNode = 8

// node is an inner node, or a leaf whose value has lo as lower half and hi as
// upper.
type node struct {
	level  uint32
	lo, hi Ref // the variable is 0, 1
}

func (n node) value() uint64 { return uint64(n.hi)<<32 | uint64(n.lo) }

// Manager holds the nodes of diagrams that share one order of variables. It
// serves one goroutine at a time.
type Manager struct {
	nodes  []node
	unique []uint32 // hash table with linear probing: index into nodes + 1

	nodeLimit int // of len(nodes)
	steps     int
	stepLimit int

	cache cache
	ops   int // operations handed out by NewOp
}

// minNodes is for how many nodes there is room at first: what a policy from practice
// and its making take.
const minNodes = 1 << 12

// New returns a Manager that holds at most budget nodes.
func New(budget int) *Manager {
	m := &Manager{
		nodes:     make([]node, 0, minNodes),
		unique:    make([]uint32, 4*minNodes),
		nodeLimit: budget + 2,
		stepLimit: budget * stepsPerNode,
	}
	m.cache.reset(minCache)
	m.Leaf(0)
	m.Leaf(1)
	return m
}

// Size returns the number of nodes held.
func (m *Manager) Size() int { return len(m.nodes) }

// Try calls f, which may add up to nodes nodes to m. If that or the budget of m
// does not suffice, Try puts m back as it was before, so that every Ref made
// meanwhile is invalid, and returns ErrBudget.
func (m *Manager) Try(nodes int, f func()) (err error) {
	mark, nodeLimit, stepLimit := len(m.nodes), m.nodeLimit, m.stepLimit
	m.nodeLimit = min(nodeLimit, mark+nodes)
	m.stepLimit = min(stepLimit, m.steps+nodes*stepsPerNode)
	defer func() {
		m.nodeLimit, m.stepLimit = nodeLimit, stepLimit
		if r := recover(); r != nil {
			if r != ErrBudget {
				panic(r)
			}
			m.rollback(mark)
			err = ErrBudget
		}
	}()
	f()
	return nil
}

// rollback removes all nodes from mark on. Taken out of a table with linear
// probing in the reverse order of their insertion, they leave no gap in
// anybody's probe sequence; and grow inserts in the order of the indexes.
func (m *Manager) rollback(mark int) {
	mask := uint32(len(m.unique) - 1)
	for i := len(m.nodes) - 1; i >= mark; i-- {
		n := m.nodes[i]
		for h := hash3(n.level, uint32(n.lo), uint32(n.hi)); ; h++ {
			if m.unique[h&mask] == uint32(i+1) {
				m.unique[h&mask] = 0
				break
			}
		}
	}
	if len(m.nodes) > mark {
		m.nodes = m.nodes[:mark]
		m.cache.reset(len(m.cache.entries))
	}
}

// Steps returns how much work was done so far: the number of recursive steps
// whose result was not known.
func (m *Manager) Steps() int { return m.steps }

func (m *Manager) step() {
	if m.steps++; m.steps > m.stepLimit {
		panic(ErrBudget)
	}
}

// Leaf returns the constant function.
func (m *Manager) Leaf(v uint64) Ref {
	return m.find(LeafLevel, Ref(uint32(v)), Ref(v>>32))
}

// Var returns the Boolean function that is the variable of a level.
func (m *Manager) Var(level int) Ref { return m.Node(level, False, True) }

// Node returns the function that is hi where the variable of level is 1 and lo
// where it is 0. Neither may depend on a variable of that level or above.
func (m *Manager) Node(level int, lo, hi Ref) Ref {
	if lo == hi {
		return lo
	}
	return m.find(uint32(level), lo, hi)
}

func (m *Manager) find(level uint32, lo, hi Ref) Ref {
	mask := uint32(len(m.unique) - 1)
	h := hash3(level, uint32(lo), uint32(hi))
	for ; ; h++ {
		i := m.unique[h&mask]
		if i == 0 {
			break
		}
		if m.nodes[i-1] == (node{level, lo, hi}) {
			return Ref(i - 1)
		}
	}
	if len(m.nodes) >= m.nodeLimit {
		panic(ErrBudget)
	}
	m.nodes = append(m.nodes, node{level, lo, hi})
	m.unique[h&mask] = uint32(len(m.nodes))
	if len(m.nodes)*4 > len(m.unique)*3 {
		m.grow()
	}
	return Ref(len(m.nodes) - 1)
}

func (m *Manager) grow() {
	m.unique = make([]uint32, 2*len(m.unique))
	// append would let them grow by a quarter at a time.
	m.nodes = slices.Grow(m.nodes, len(m.unique)*3/4+1-len(m.nodes))
	mask := uint32(len(m.unique) - 1)
	for i, n := range m.nodes {
		h := hash3(n.level, uint32(n.lo), uint32(n.hi))
		for m.unique[h&mask] != 0 {
			h++
		}
		m.unique[h&mask] = uint32(i + 1)
	}
	if len(m.nodes) > len(m.cache.entries) && len(m.cache.entries) < maxCache {
		m.cache.reset(2 * len(m.cache.entries))
	}
}

// IsLeaf tells whether f is constant.
func (m *Manager) IsLeaf(f Ref) bool { return m.nodes[f].level == LeafLevel }

// Value returns the value of a leaf.
func (m *Manager) Value(f Ref) uint64 { return m.nodes[f].value() }

// Level returns the level of the first variable that f depends on, LeafLevel
// if there is none.
func (m *Manager) Level(f Ref) int { return int(m.nodes[f].level) }

// Cofactors returns f for the variable of level being 0 and 1. It must not
// depend on any variable above.
func (m *Manager) Cofactors(f Ref, level int) (lo, hi Ref) {
	if n := m.nodes[f]; int(n.level) == level {
		return n.lo, n.hi
	}
	return f, f
}

// Eval returns the value of f where bit gives the variable of each level.
func (m *Manager) Eval(f Ref, bit func(level int) bool) uint64 {
	for {
		n := m.nodes[f]
		if n.level == LeafLevel {
			return n.value()
		}
		if f = n.lo; bit(int(n.level)) {
			f = n.hi
		}
	}
}

func hash3(a, b, c uint32) uint32 {
	h := uint64(a)*0x9e3779b97f4a7c15 ^ uint64(b)*0xbf58476d1ce4e5b9 ^ uint64(c)*0x94d049bb133111eb
	h ^= h >> 29
	h *= 0xd6e8feb86659fd93
	return uint32(h >> 32)
}
