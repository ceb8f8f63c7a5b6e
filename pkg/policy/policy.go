package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// ErrUndecided says that a question has no proven answer, because a policy is
// undecided for calls that matter to it.
var ErrUndecided = errors.New("undecided: a filter computes more than the analysis has room for")

// A Policy is the meaning of a stack of filters: what the kernel does with each
// of the 2^512 calls that there could be. It is immutable and safe for
// concurrent use.
type Policy struct {
	stack   bpf.Stack
	order   binary.ByteOrder
	form    Form
	diagram *bdd.Diagram // normalised returns, and undecided

	// A view keeps the policy that it is a view of.
	written *Policy
}

// Of returns the policy of a stack, oldest filter first, as a machine of the
// given byte order executes it. An empty stack allows everything. The error, if
// any, is that the kernel would not accept one of the filters.
func Of(s bpf.Stack, order binary.ByteOrder) (*Policy, error) {
	for i, f := range s {
		if err := f.Check(); err != nil {
			return nil, fmt.Errorf("filter %d: %w", i, err)
		}
	}
	return of(s, order, defaultLimits), nil
}

// of goes down the ladder: everything exact in the sequential form; then in the
// interleaved form, with what exceeds the limits undecided; then, for what is
// undecided, each system call apart.
func of(s bpf.Stack, order binary.ByteOrder, l limits) *Policy {
	p := &Policy{stack: s, order: order, form: Sequential}
	if p.diagram = strict(s, order, l); p.diagram != nil {
		return p
	}
	b := newBuilder(Interleaved, order, l)
	root := b.stack(s)
	if hasUndecided(b.m, root) {
		root = b.refine(root, s)
	}
	p.form, p.diagram = Interleaved, b.m.Export(root)

	// What a sequential construction had no room for can have a sequential
	// diagram all the same, and then that is the policy's form.
	m := bdd.New(l.canonical)
	if m.Try(l.canonical, func() { root = Interleaved.in(m, Sequential, p.diagram) }) == nil {
		p.form, p.diagram = Sequential, m.Export(root)
	}
	return p
}

// strict returns the diagram of s in sequential form, nil if it or anything on
// the way to it exceeds a limit.
func strict(s bpf.Stack, order binary.ByteOrder, l limits) (d *bdd.Diagram) {
	defer func() {
		if r := recover(); r != nil && r != (errStrict{}) {
			panic(r)
		}
	}()
	// Filters without much arithmetic need little. For the others the order of
	// the variables is the wrong one, and waiting for that would take long.
	l.gate /= 8
	b := newBuilder(Sequential, order, l)
	b.strict = true
	return b.m.Export(b.stack(s))
}

// stack returns the diagram of a whole stack, folded and normalised.
func (b *builder) stack(s bpf.Stack) bdd.Ref {
	root := b.attemptTree(func() bdd.Ref { return b.m.Leaf(uint64(bpf.Allow.With(0))) })
	built := map[string]bdd.Ref{} // many a stack has the same filter repeated
	for i := len(s) - 1; i >= 0; i-- {
		key := string(s[i].Encode(binary.LittleEndian))
		f, ok := built[key]
		if !ok {
			f = b.program(s[i])
			built[key] = f
		}
		newer := root
		root = b.attemptTree(func() bdd.Ref { return b.m.Apply(b.fold, newer, f) })
	}
	return b.attemptTree(func() bdd.Ref { return b.m.Map(root, normalize) })
}

// refine tries the system calls for which root is undecided apart, with arch
// and nr constant, in both forms.
func (b *builder) refine(root bdd.Ref, s bpf.Stack) bdd.Ref {
	tried := 0
	for _, c := range b.undecidedNumbers(root) {
		if tried++; tried > b.limits.numbers {
			break
		}
		for _, form := range []Form{Sequential, Interleaved} {
			one := newBuilder(form, b.order, b.limits.apart())
			one.fixed = &c
			sub := one.stack(s)
			d := one.m.Export(sub)
			if d.Has(undecided) && form == Sequential {
				continue
			}
			root = b.replace(root, c, form, d)
			break
		}
	}
	return root
}

// replace returns root with d, of the given form, for the calls with c's arch
// and nr; or just root if there is no room.
func (b *builder) replace(root bdd.Ref, c [2]uint32, form Form, d *bdd.Diagram) bdd.Ref {
	r := root
	b.attempt(func() {
		is := b.m.And(equals(b.m, wordArch, c[wordArch]), equals(b.m, wordNR, c[wordNR]))
		r = b.m.ITE(is, form.in(b.m, b.form, d), root)
	})
	return r
}

// undecidedNumbers returns the pairs of arch and nr, among those that root
// singles out, under which something is undecided.
func (b *builder) undecidedNumbers(root bdd.Ref) [][2]uint32 {
	var found [][2]uint32
	n := 0
	more := func() bool { n++; return n < maxRuns }
	b.m.Runs(root, levelArch, 32, func(first, last uint64, sub bdd.Ref) bool {
		if first != last {
			return more()
		}
		arch := uint32(first)
		b.m.Runs(sub, levelNR, 32, func(first, last uint64, sub bdd.Ref) bool {
			if first == last && hasUndecided(b.m, sub) {
				found = append(found, [2]uint32{wordArch: arch, wordNR: uint32(first)})
			}
			return more()
		})
		return more()
	})
	return found
}

func hasUndecided(m *bdd.Manager, f bdd.Ref) bool {
	for _, v := range m.Leaves(f) {
		if v == undecided {
			return true
		}
	}
	return false
}

// An Outcome is what the kernel does with a call, if that is known.
type Outcome struct {
	Return    bpf.Return // normalised; 0 if undecided
	Undecided bool
}

func outcome(leaf uint64) Outcome {
	if leaf == undecided {
		return Outcome{Undecided: true}
	}
	return Outcome{Return: bpf.Return(leaf)}
}

// Format describes o as bpf.Return.Format does.
func (o Outcome) Format(abi syscalls.ABI) string {
	if o.Undecided {
		return "undecided"
	}
	return o.Return.Format(abi)
}

// Outcome returns what the kernel does with a call.
func (p *Policy) Outcome(d *bpf.Data) Outcome {
	return outcome(p.diagram.Eval(p.form.bits(d)))
}

// Decided tells whether the policy is known for every call.
func (p *Policy) Decided() bool { return !p.diagram.Has(undecided) }

// Stack returns the filters that p is the meaning of. Do not modify it.
func (p *Policy) Stack() bpf.Stack { return p.stack }

// ByteOrder returns the byte order of the machine.
func (p *Policy) ByteOrder() binary.ByteOrder { return p.order }

// Form returns the order of variables of p's diagram.
func (p *Policy) Form() Form { return p.form }

// Size returns the number of nodes of p's diagram.
func (p *Policy) Size() int { return p.diagram.Size() }

// Fingerprint returns a name of the policy: two policies with the same
// fingerprint are the same function, whatever filters and whichever machine
// they come from. Two different ones of the same form are different functions.
//
// It is "s:" or "i:", for the form, and the SHA-256 of the diagram in
// hexadecimal. Nearly every policy has the sequential form; one may be left
// with the interleaved form because its construction, not the result, was too
// large, so that between an "s:" and an "i:" only Compare decides. A policy that
// is not decided throughout has none: the error is ErrUndecided.
func (p *Policy) Fingerprint() (string, error) {
	if !p.Decided() {
		return "", ErrUndecided
	}
	h := sha256.New()
	// The version of what follows: nodes as bdd.Diagram.WriteTo writes them.
	fmt.Fprintf(h, "seccomp policy 1 %v\n", p.form)
	p.diagram.WriteTo(h)
	return p.form.String()[:1] + ":" + hex.EncodeToString(h.Sum(nil)), nil
}
