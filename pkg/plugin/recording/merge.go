package recording

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A Set is runs, each once.
type Set struct {
	runs map[string]v1alpha1.RecordedRun
}

// Add adds a run, and tells whether it was there already. Of two recordings of one run
// the one that ended later stays: it has what the other one has.
func (s *Set) Add(run v1alpha1.RecordedRun) (again bool) {
	old, again := s.runs[run.ID]
	if s.runs == nil {
		s.runs = make(map[string]v1alpha1.RecordedRun)
	}
	if !again || later(&run, &old) {
		s.runs[run.ID] = run
	}
	return again
}

// Len is how many runs there are.
func (s *Set) Len() int { return len(s.runs) }

// later tells whether a ended after b. Which of two that ended in the same second is
// taken must not depend on the order in which they come.
func later(a, b *v1alpha1.RecordedRun) bool {
	if c := a.Ended.Time.Compare(b.Ended.Time); c != 0 {
		return c > 0
	}
	x, _ := json.Marshal(a) // there is nothing in it that could fail
	y, _ := json.Marshal(b)
	return bytes.Compare(x, y) > 0
}

// A Criterion says which runs are of the same: it names what a run is of.
type Criterion func(v1alpha1.Source) string

// Criteria are those that there are, by name.
var Criteria = map[string]Criterion{
	"workload":  byWorkload,
	"container": func(s v1alpha1.Source) string { return "container " + s.Container },
	"image":     func(s v1alpha1.Source) string { return "image " + s.Image },
	"all":       func(v1alpha1.Source) string { return "all containers" },
}

// byWorkload has the containers of one name in the pods of one workload, or in pods of
// one name that nothing made, be the same, in whatever namespace.
func byWorkload(s v1alpha1.Source) string {
	if s.Workload == "" {
		return "pod/" + s.Pod + ":" + s.Container
	}
	return s.Workload + ":" + s.Container
}

// Merge returns a recording of all runs that are of the same, for each such. Machines
// of different architectures are never the same.
func (s *Set) Merge(by Criterion) (list []v1alpha1.Recording) {
	type key struct{ name, arch string }
	groups := make(map[key][]v1alpha1.RecordedRun)
	for _, id := range slices.Sorted(maps.Keys(s.runs)) {
		run := s.runs[id]
		k := key{by(run.Source), run.Source.Arch}
		groups[k] = append(groups[k], run)
	}
	keys := slices.SortedFunc(maps.Keys(groups), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.arch, b.arch))
	})
	for _, k := range keys {
		list = append(list, *together(k.name, groups[k]))
	}
	return list
}

// together returns a recording of runs by ID, of which there is one at least.
func together(name string, runs []v1alpha1.RecordedRun) *v1alpha1.Recording {
	out := &v1alpha1.Recording{TypeMeta: v1alpha1.TypeMeta("Recording"), RecordedRun: runs[0]}
	if len(runs) == 1 {
		return out.DeepCopy()
	}
	out.Runs = runs
	out = out.DeepCopy() // what is changed here is no run's
	out.ID, out.Source.Operand, out.Source.PID = "", name, 0
	out.Coverage, out.Problems = v1alpha1.Coverage{}, nil
	for i := range runs {
		r := &runs[i]
		common(&out.Source, &r.Source)
		if r.Began.Before(&out.Began) {
			out.Began = r.Began
		}
		if out.Ended.Before(&r.Ended) {
			out.Ended = r.Ended
		}
		if r.Mode != out.Mode {
			out.Mode = ""
		}
		out.FilterCount = max(out.FilterCount, r.FilterCount)
		cover(&out.Coverage, &r.Coverage)
		for _, p := range r.Problems {
			if !slices.Contains(out.Problems, p) {
				out.Problems = append(out.Problems, p)
			}
		}
	}
	machine := syscalls.OfMachine(out.Source.Arch)
	itself := func(c *v1alpha1.RecordedCall) *v1alpha1.RecordedCall { return c }
	out.Calls = sum(runs, machine, func(r *v1alpha1.RecordedRun) []v1alpha1.RecordedCall { return r.Calls }, itself)
	out.Runtime = sum(runs, machine, func(r *v1alpha1.RecordedRun) []v1alpha1.RecordedCall { return r.Runtime }, itself)
	out.Refused = sum(runs, machine, func(r *v1alpha1.RecordedRun) []v1alpha1.RefusedCall { return r.Refused },
		func(c *v1alpha1.RefusedCall) *v1alpha1.RecordedCall { return &c.RecordedCall })
	out.Values = sum(runs, machine, func(r *v1alpha1.RecordedRun) []v1alpha1.RecordedValue { return r.Values },
		func(v *v1alpha1.RecordedValue) *v1alpha1.RecordedCall { return &v.RecordedCall })
	if out.Calls == nil {
		out.Calls = []v1alpha1.RecordedCall{}
	}
	return out
}

// common leaves of a source what is the same in another one, and has both's ABIs.
func common(s, other *v1alpha1.Source) {
	for _, field := range []struct {
		of    *string
		other string
	}{
		{&s.Namespace, other.Namespace}, {&s.Pod, other.Pod}, {&s.PodUID, other.PodUID}, {&s.Workload, other.Workload},
		{&s.Container, other.Container}, {&s.ContainerID, other.ContainerID}, {&s.Image, other.Image}, {&s.Node, other.Node}, {&s.Kernel, other.Kernel},
	} {
		if *field.of != field.other {
			*field.of = ""
		}
	}
	for _, abi := range other.ABIs {
		if !slices.Contains(s.ABIs, abi) {
			s.ABIs = append(s.ABIs, abi)
		}
	}
	machine := syscalls.OfMachine(s.Arch)
	slices.SortFunc(s.ABIs, func(a, b string) int { return cmp.Compare(place(machine, a), place(machine, b)) })
}

// place is where an ABI is among those of a machine, whose own is the first.
func place(machine []syscalls.ABI, name string) int {
	return slices.IndexFunc(machine, func(abi syscalls.ABI) bool { return abi.String() == name })
}

// cover adds what another run did not see. That one of them saw the start is enough:
// what it saw is in the sum.
func cover(c, other *v1alpha1.Coverage) {
	c.Start = c.Start || other.Start
	c.Unclear = plus(c.Unclear, other.Unclear)
	if other.Lost == nil {
		return
	}
	if c.Lost == nil {
		c.Lost = new(v1alpha1.Lost)
	}
	l, m := c.Lost, other.Lost
	l.Calls, l.Values, l.Refused = plus(l.Calls, m.Calls), plus(l.Values, m.Values), plus(l.Refused, m.Refused)
	l.Origins, l.Runs = plus(l.Origins, m.Origins), plus(l.Runs, m.Runs)
}

// plus is the sum of two numbers of calls, or the largest there is.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// sum adds up the counts of one list of each run, by all that is not a count, and
// says in how many runs there was one.
func sum[T comparable](runs []v1alpha1.RecordedRun, machine []syscalls.ABI, list func(*v1alpha1.RecordedRun) []T, call func(*T) *v1alpha1.RecordedCall) (out []T) {
	index := make(map[T]int)
	for i := range runs {
		for _, c := range list(&runs[i]) {
			n := call(&c).Count
			call(&c).Count, call(&c).Runs = 0, 0
			at, ok := index[c]
			if !ok {
				at = len(out)
				index[c] = at
				out = append(out, c)
			}
			total := call(&out[at])
			total.Count, total.Runs = plus(total.Count, n), total.Runs+1
		}
	}
	slices.SortStableFunc(out, func(a, b T) int {
		x, y := call(&a), call(&b)
		return cmp.Or(cmp.Compare(place(machine, x.ABI), place(machine, y.ABI)), cmp.Compare(number(x.NR), number(y.NR)))
	})
	return out
}

// number is the number that a text has; the largest for none, which stands for all that
// no syscall has.
func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return math.MaxUint64
	}
	return n
}
