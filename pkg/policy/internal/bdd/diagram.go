package bdd

import (
	"encoding/binary"
	"io"
	"slices"
)

// A Diagram is a function taken out of its Manager: immutable, small, and safe
// for concurrent use. Its nodes are numbered as a walk that takes 0 before 1
// leaves them, children first and the root last. Equal functions of one order
// are therefore the same sequence of nodes, however they were built.
type Diagram struct {
	nodes []node // lo and hi are indexes into nodes, smaller than the node's own
}

// Export takes f out of m.
func (m *Manager) Export(f Ref) *Diagram {
	d := &Diagram{}
	index := map[Ref]Ref{}
	var walk func(Ref) Ref
	walk = func(f Ref) Ref {
		if i, ok := index[f]; ok {
			return i
		}
		n := m.nodes[f]
		if n.level != LeafLevel {
			n.lo = walk(n.lo)
			n.hi = walk(n.hi)
		}
		i := Ref(len(d.nodes))
		d.nodes = append(d.nodes, n)
		index[f] = i
		return i
	}
	walk(f)
	d.nodes = slices.Clip(d.nodes)
	return d
}

// Import brings a diagram into m, whose order of variables must be the same.
func (m *Manager) Import(d *Diagram) Ref {
	refs := make([]Ref, len(d.nodes))
	for i, n := range d.nodes {
		if n.level == LeafLevel {
			refs[i] = m.Leaf(n.value())
		} else {
			refs[i] = m.Node(int(n.level), refs[n.lo], refs[n.hi])
		}
	}
	return refs[len(refs)-1]
}

// Size returns the number of nodes, leaves included.
func (d *Diagram) Size() int { return len(d.nodes) }

// Equal tells whether two diagrams are the same function, given that their
// orders of variables are the same.
func (d *Diagram) Equal(e *Diagram) bool { return slices.Equal(d.nodes, e.nodes) }

// Eval returns the function's value where bit gives the variable of each level.
func (d *Diagram) Eval(bit func(level int) bool) uint64 {
	i := Ref(len(d.nodes) - 1)
	for {
		n := d.nodes[i]
		if n.level == LeafLevel {
			return n.value()
		}
		if i = n.lo; bit(int(n.level)) {
			i = n.hi
		}
	}
}

// Find looks for an input for which the function has a value. The variables are
// given by bit, or free to choose; Find returns the levels of those of the free
// ones that it sets to 1, trying 0 first.
func (d *Diagram) Find(value uint64, bit func(level int) (value, free bool)) (set []int, ok bool) {
	failed := map[Ref]bool{}
	var walk func(i Ref) bool
	walk = func(i Ref) bool {
		n := d.nodes[i]
		if n.level == LeafLevel {
			return n.value() == value
		}
		if failed[i] {
			return false
		}
		v, free := bit(int(n.level))
		if (free || !v) && walk(n.lo) {
			return true
		}
		if (free || v) && walk(n.hi) {
			if free {
				set = append(set, int(n.level))
			}
			return true
		}
		failed[i] = true
		return false
	}
	ok = walk(Ref(len(d.nodes) - 1))
	return set, ok
}

// Levels returns the levels of the variables that the function depends on, in
// no particular order.
func (d *Diagram) Levels() []int {
	seen := map[uint32]bool{}
	var levels []int
	for _, n := range d.nodes {
		if n.level != LeafLevel && !seen[n.level] {
			seen[n.level] = true
			levels = append(levels, int(n.level))
		}
	}
	return levels
}

// Has tells whether the function takes the value v.
func (d *Diagram) Has(v uint64) bool {
	return slices.ContainsFunc(d.nodes, func(n node) bool {
		return n.level == LeafLevel && n.value() == v
	})
}

// WriteTo writes the nodes, as three big-endian 32-bit words each.
func (d *Diagram) WriteTo(w io.Writer) (int64, error) {
	var buf []byte
	for _, n := range d.nodes {
		buf = binary.BigEndian.AppendUint32(buf, n.level)
		buf = binary.BigEndian.AppendUint32(buf, uint32(n.lo))
		buf = binary.BigEndian.AppendUint32(buf, uint32(n.hi))
	}
	n, err := w.Write(buf)
	return int64(n), err
}
