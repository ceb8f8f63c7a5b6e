package policy

import (
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy/internal/bdd"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// KernelView returns the policy as the kernel sees it.
//
// A filter sees whole registers, of which the kernel may look at the low part
// only: the low 32 bits of an int, or of anything under a 32-bit ABI (a 64-bit
// process can enter by int $0x80 with whatever it likes above), and nothing of
// an argument that the call does not have. Who makes the call chooses the rest.
// In the view, what a call with given values of what the kernel does look at
// gets is therefore the most permissive of all outcomes that the rest can bring
// about: the one of the lowest precedence in the kernel's order of actions and,
// among equal actions, with the smallest data.
//
// What the kernel looks at is taken from syscalls.ABI.Params; a call that has
// no parameters there stands as it is written, but for the width of its ABI.
func (p *Policy) KernelView() *Policy {
	if p.written != nil {
		return p
	}
	return p.view(loosestOutcome)
}

// plainView returns the policy for callers that leave 0 in all that the kernel
// ignores.
func (p *Policy) plainView() *Policy {
	return p.view(func(zero, _ uint64) uint64 { return zero })
}

// view returns p with the outcomes of all values of what the kernel ignores
// joined by choose, from the lowest value up.
func (p *Policy) view(choose func(x, y uint64) uint64) *Policy {
	v := &viewer{m: bdd.New(viewNodes), form: p.form, done: map[viewKey]bdd.Ref{}}
	v.choose = v.m.NewOp(true, choose)
	root := v.within(func() bdd.Ref {
		root := v.m.Import(p.diagram)
		groups, _ := architectures(v.m, root, syscalls.ABIs())
		for _, g := range groups {
			if !g.single() {
				continue
			}
			if sub := v.architecture(g.runs[0].First, g.sub); sub != g.sub {
				root = v.m.ITE(equals(v.m, wordArch, g.runs[0].First), sub, root)
			}
		}
		return root
	})
	return &Policy{stack: p.stack, order: p.order, form: p.form, diagram: v.m.Export(root), written: p}
}

// viewNodes bounds the construction of a view.
const viewNodes = 1 << 20

// viewer makes a view.
type viewer struct {
	m      *bdd.Manager
	form   Form
	choose *bdd.Op
	done   map[viewKey]bdd.Ref
}

type viewKey struct {
	sub     bdd.Ref
	ignored [6]uint64
}

// within returns what f makes, undecided if there is no room for it.
func (v *viewer) within(f func() bdd.Ref) bdd.Ref {
	var r bdd.Ref
	if v.m.Try(viewNodes, func() { r = f() }) != nil {
		// What was made is gone: there is room for a leaf.
		v.m.Try(1, func() { r = v.m.Leaf(undecided) })
	}
	return r
}

// architecture returns the view of what a policy does under one arch.
func (v *viewer) architecture(arch uint32, sub bdd.Ref) bdd.Ref {
	root := sub
	if abi, ok := syscalls.Of(arch, 0); ok && abi.Bits() == 32 {
		root = v.project(root, ignoredParams(abi, nil))
	}
	for _, abi := range syscalls.ABIs() {
		if abi.AuditArch() != arch {
			continue
		}
		for _, call := range abi.Table() {
			was := descend(v.m, root, levelNR, call.Number)
			if v.m.IsLeaf(was) {
				continue
			}
			if is := v.project(was, ignoredBits(arch, call.Number)); is != was {
				root = v.m.ITE(equals(v.m, wordNR, call.Number), is, root)
			}
		}
	}
	return root
}

// project leaves the ignored bits of a diagram to whoever makes the call.
func (v *viewer) project(f bdd.Ref, ignored [6]uint64) bdd.Ref {
	key := viewKey{f, ignored}
	if r, ok := v.done[key]; ok {
		return r
	}
	r := v.m.Quantify(f, func(level int) bool {
		w, bit := v.form.bitOf(level)
		return isIgnored(&ignored, w, bit)
	}, v.choose)
	v.done[key] = r
	return r
}

// equals returns where arch or nr is k.
func equals(m *bdd.Manager, w word, k uint32) bdd.Ref {
	f := bdd.True
	for i := range 32 {
		if level := Sequential.level(w, i); k>>i&1 == 0 {
			f = m.Node(level, f, bdd.False)
		} else {
			f = m.Node(level, bdd.False, f)
		}
	}
	return f
}

// loosestOutcome is the more permissive of two outcomes.
func loosestOutcome(x, y uint64) uint64 {
	allow := uint64(bpf.Allow.With(0))
	switch {
	case x == allow, y == allow:
		return allow
	case x == undecided, y == undecided:
		return undecided
	}
	a, b := int32(bpf.Return(x).Action()), int32(bpf.Return(y).Action())
	if a > b || a == b && x < y {
		return x
	}
	return y
}

// ignoredBits returns the bits of each argument that the kernel does not look
// at in a call.
func ignoredBits(arch, nr uint32) [6]uint64 {
	abi, ok := syscalls.Of(arch, nr)
	if !ok {
		return [6]uint64{}
	}
	name, ok := abi.Name(nr)
	if !ok {
		return ignoredParams(abi, nil)
	}
	return ignoredParams(abi, abi.Params(name))
}

func ignoredParams(abi syscalls.ABI, params []syscalls.Param) (ignored [6]uint64) {
	for i := range ignored {
		bits := abi.Bits()
		if params != nil {
			bits = 0
			if i < len(params) {
				bits = params[i].Bits
			}
		}
		ignored[i] = ^uint64(0) << bits // none of 64
	}
	return ignored
}

func isIgnored(ignored *[6]uint64, w word, bit int) bool {
	if w < wordArg0High {
		return false
	}
	if w%2 == 0 {
		bit += 32
	}
	return ignored[(w-wordArg0High)/2]>>bit&1 != 0
}
