package denials

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Request is what to look at.
type Request struct {
	Targets  []string      // containers, by their ID as a pod's status has it
	Duration time.Duration // how long
}

// op is what is attempted.
const op = "look for refused calls"

const (
	// perSecond is how many calls of a kind are told of in a second.
	perSecond = 10
	// perKind is how many are in all, and maxTold of all kinds: the stream of frames
	// has to end before kubelet rotates the log (see wire.MaxTotal).
	perKind = 400
	maxTold = 10000
	// maxStacks is how many stacks of filters are told of beside those that were
	// read before, and maxInstructions how long they may be, all together.
	maxStacks       = 256
	maxInstructions = 1 << 17
	// maxNumbers is how many copies of stacks are kept track of.
	maxNumbers = 1 << 16
	// maxParts is how many stacks may be incomplete at a time: each processor copies
	// one.
	maxParts = 1024
)

// Sink takes messages: a *wire.Writer.
type Sink interface {
	Write(wire.Message) error
}

// Known hands messages on, and remembers the filters and stacks that went by, which
// a stream has once.
type Known struct {
	Sink    Sink
	filters map[string]int // IDs, by SHA256
	stacks  map[string]int // IDs, by the IDs of the filters
}

// Write implements Sink.
func (k *Known) Write(m wire.Message) error {
	if err := k.Sink.Write(m); err != nil {
		return err
	}
	switch m := m.(type) {
	case *wire.Filter:
		if k.filters == nil {
			k.filters = make(map[string]int)
		}
		k.filters[m.SHA256] = m.ID
	case *wire.Stack:
		if k.stacks == nil {
			k.stacks = make(map[string]int)
		}
		k.stacks[key(m)] = m.ID
	}
	return nil
}

// message is that of a stack of filters, and which of these are not written yet.
func (k *Known) message(raw [][]byte, log []bool) (m *wire.Stack, filters []*wire.Filter) {
	m = &wire.Stack{ID: len(k.stacks)}
	next := make(map[string]int)
	for _, program := range raw {
		sum := sha256.Sum256(program)
		key := hex.EncodeToString(sum[:])
		id, ok := k.filters[key]
		if !ok {
			if id, ok = next[key]; !ok {
				id = len(k.filters) + len(filters)
				next[key] = id
				filters = append(filters, wire.NewFilter(id, program))
			}
		}
		m.Filters = append(m.Filters, id)
	}
	for _, l := range log {
		m.Log = append(m.Log, wire.Log(l))
	}
	return m, filters
}

// known returns the ID of a stack that was written, NoStack if it was not.
func (k *Known) known(raw [][]byte, log []bool) int {
	m, filters := k.message(raw, log)
	if id, ok := k.stacks[key(m)]; ok && len(filters) == 0 {
		return id
	}
	return wire.NoStack
}

// stack returns the ID of a stack, which is written if it is new.
func (k *Known) stack(raw [][]byte, log []bool) (int, error) {
	m, filters := k.message(raw, log)
	if id, ok := k.stacks[key(m)]; ok && len(filters) == 0 {
		return id, nil
	}
	for _, f := range filters {
		if err := k.Write(f); err != nil {
			return wire.NoStack, err
		}
	}
	if err := k.Write(m); err != nil {
		return wire.NoStack, err
	}
	return m.ID, nil
}

func key(m *wire.Stack) string { return fmt.Sprint(m.Filters, m.Log) }
