package v1alpha1

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// The printers of k8s.io/cli-runtime take runtime.Object.

// DeepCopyObject implements runtime.Object.
func (d *Dump) DeepCopyObject() runtime.Object { return d.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (l *DumpList) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = cloneEach(l.Items, func(d Dump) Dump { return *d.DeepCopy() })
	return &out
}

// DeepCopyObject implements runtime.Object.
func (d *Diff) DeepCopyObject() runtime.Object {
	out := *d
	out.A, out.B = d.A.deepCopy(), d.B.deepCopy()
	out.Differences = cloneEach(d.Differences, Difference.deepCopy)
	out.ByName = d.ByName.deepCopy()
	out.Selection, out.Risks = d.Selection.deepCopy(), slices.Clone(d.Risks)
	return &out
}

// DeepCopyObject implements runtime.Object.
func (v *Version) DeepCopyObject() runtime.Object {
	out := *v
	return &out
}

// DeepCopy returns a copy that shares nothing with d.
func (d *Dump) DeepCopy() *Dump {
	out := *d
	out.Source = d.Source.deepCopy()
	out.States = cloneEach(d.States, State.deepCopy)
	out.Filters = cloneEach(d.Filters, func(f Filter) Filter {
		f.Program = slices.Clone(f.Program)
		return f
	})
	out.Problems = slices.Clone(d.Problems)
	out.Selection, out.Risks = d.Selection.deepCopy(), slices.Clone(d.Risks)
	out.Dependent = slices.Clone(d.Dependent)
	return &out
}

func (s Source) deepCopy() Source {
	s.ABIs = slices.Clone(s.ABIs)
	return s
}

func (c Confinement) deepCopy() Confinement {
	c.Filters = slices.Clone(c.Filters)
	c.Capabilities = Capabilities{
		Inheritable: slices.Clone(c.Capabilities.Inheritable),
		Permitted:   slices.Clone(c.Capabilities.Permitted),
		Effective:   slices.Clone(c.Capabilities.Effective),
		Bounding:    slices.Clone(c.Capabilities.Bounding),
		Ambient:     slices.Clone(c.Capabilities.Ambient),
	}
	return c
}

func (s State) deepCopy() State {
	s.Confinement = s.Confinement.deepCopy()
	s.Sample = slices.Clone(s.Sample)
	s.Syscalls = cloneEach(s.Syscalls, func(u Summary) Summary {
		u.Groups = cloneEach(u.Groups, func(g Group) Group {
			g.Syscalls = slices.Clone(g.Syscalls)
			g.Numbers = slices.Clone(g.Numbers)
			g.Outline = slices.Clone(g.Outline)
			return g
		})
		u.Archs = slices.Clone(u.Archs)
		return u
	})
	s.Findings = slices.Clone(s.Findings)
	return s
}

func (s Side) deepCopy() Side {
	s.Source, s.Confinement = s.Source.deepCopy(), s.Confinement.deepCopy()
	return s
}

func (d Difference) deepCopy() Difference {
	d.Archs = slices.Clone(d.Archs)
	d.Outline = slices.Clone(d.Outline)
	if d.Numbers != nil {
		numbers := *d.Numbers
		d.Numbers = &numbers
	}
	if d.Witness != nil {
		witness := d.Witness.deepCopy()
		d.Witness = &witness
	}
	return d
}

func (w Witness) deepCopy() Witness {
	w.Args, w.ArgsB = slices.Clone(w.Args), slices.Clone(w.ArgsB)
	return w
}

// cloneEach returns the copies of a slice's elements, nil for nil.
func cloneEach[T any](list []T, clone func(T) T) []T {
	if list == nil {
		return nil
	}
	out := make([]T, len(list))
	for i, e := range list {
		out[i] = clone(e)
	}
	return out
}
