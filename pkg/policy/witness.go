package policy

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A Witness is a call for which policies A and B act differently. Both stacks
// were run with it and returned what A and B say.
//
// CallA is the call as the filters of A see it, CallB as those of B do. They
// are the same, unless the policies are views: what the kernel ignores of the
// arguments can then be different in them.
type Witness struct {
	CallA, CallB bpf.Data
	A, B         Outcome
}

// newWitness checks the call that is to show that a does x and b does y.
func newWitness(a, b *Policy, call bpf.Data, x, y Outcome) (*Witness, error) {
	w := &Witness{A: x, B: y}
	var err error
	if w.CallA, err = a.confirm(call, x); err != nil {
		return nil, err
	}
	if w.CallB, err = b.confirm(call, y); err != nil {
		return nil, err
	}
	return w, nil
}

// lowest returns the call with the lowest values, in the order of the form, for
// which a Boolean diagram is true. What it does not depend on is 0.
func lowest(m *bdd.Manager, form Form, f bdd.Ref) bpf.Data {
	var d bpf.Data
	for !m.IsLeaf(f) {
		level := m.Level(f)
		lo, hi := m.Cofactors(f, level)
		// Below every node other than the constant there is both.
		if f = lo; f == bdd.False {
			f = hi
			w, bit := form.bitOf(level)
			setBit(&d, w, bit)
		}
	}
	return d
}

func setBit(d *bpf.Data, w word, bit int) {
	switch {
	case w == wordArch:
		d.Arch |= 1 << bit
		return
	case w == wordNR:
		d.NR |= 1 << bit
		return
	}
	if w%2 == 0 {
		bit += 32
	}
	if w < wordArg0High {
		d.IP |= 1 << bit
	} else {
		d.Args[(w-wordArg0High)/2] |= 1 << bit
	}
}

// Show returns a call with which the filters do what p's Outcome for d is: they
// have been run with it. That is d itself or else, for a view, one that differs
// from d in what the kernel ignores. If the outcome is undecided it is d, of which
// nothing is shown. The error, if any, is an internal one.
func (p *Policy) Show(d *bpf.Data) (bpf.Data, error) {
	want := p.Outcome(d)
	if want.Undecided || p.stack.Run(d, p.order).Ret == want.Return {
		return *d, nil
	}
	return p.confirm(*d, want)
}

// confirm runs p's filters with a call and returns the call, if they do what
// the policy says. For a view it first chooses the bits that the view leaves
// free.
func (p *Policy) confirm(d bpf.Data, want Outcome) (bpf.Data, error) {
	if p.written != nil {
		d = p.choose(d, want)
	}
	if got := p.stack.Run(&d, p.order).Ret; got != want.Return {
		abi, _ := syscalls.Of(d.Arch, d.NR)
		return d, fmt.Errorf("internal error: filters return %s for %+v, their policy says %s", got.Format(abi), d, want.Format(abi))
	}
	return d, nil
}

// choose returns d with bits that the kernel ignores chosen such that the
// policy as written does what is wanted; or d, if there is no way.
func (p *Policy) choose(d bpf.Data, want Outcome) bpf.Data {
	form := p.written.form
	ignored := ignoredBits(d.Arch, d.NR)
	set, ok := p.written.diagram.Find(uint64(want.Return), func(level int) (value, free bool) {
		w, bit := form.bitOf(level)
		return valueOf(&d, w)>>bit&1 != 0, isIgnored(&ignored, w, bit)
	})
	if !ok {
		return d
	}
	for i := range d.Args {
		d.Args[i] &^= ignored[i]
	}
	for _, level := range set {
		w, bit := form.bitOf(level)
		setBit(&d, w, bit)
	}
	return d
}
