package policy

import (
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

func TestKernelView(t *testing.T) {
	i386Socket, _ := syscalls.I386.Number("socket")
	for _, c := range []struct {
		name string
		s    bpf.Stack
		call bpf.Data
		want uint32 // in the view
		// written is what the filters return for the call itself.
		written uint32
	}{
		// family is an int: a filter that denies one value of 64 bits is
		// passed by with anything above.
		{"a denied value of an int", amd64(deny(41, test{0, all64, 38})),
			bpf.Data{NR: 41, Arch: archAMD64, Args: [6]uint64{38}}, allow, eperm},
		{"its low word", amd64(deny(41, test{0, 1<<32 - 1, 38})),
			bpf.Data{NR: 41, Arch: archAMD64, Args: [6]uint64{38}}, eperm, eperm},
		{"an allowed value of an int", amd64(rule{archAMD64, 41, []test{{0, all64, 1}}, allow}, deny(41)),
			bpf.Data{NR: 41, Arch: archAMD64, Args: [6]uint64{1 << 32}}, eperm, eperm},
		// clone_flags is an unsigned long.
		{"a denied value of a long", amd64(deny(56, test{0, all64, 1 << 17})),
			bpf.Data{NR: 56, Arch: archAMD64, Args: [6]uint64{1 << 17}}, eperm, eperm},
		// dup has one argument.
		{"an argument there is not", amd64(deny(32, test{3, all64, 0})),
			bpf.Data{NR: 32, Arch: archAMD64}, allow, eperm},
		{"a number without a name", amd64(deny(5000, test{0, all64, 38})),
			bpf.Data{NR: 5000, Arch: archAMD64, Args: [6]uint64{38}}, eperm, eperm},
		{"a 32-bit ABI", bpf.Stack{compile([]rule{{archI386, i386Socket, []test{{0, all64, 38}}, eperm}}, []uint32{archI386}, allow)},
			bpf.Data{NR: i386Socket, Arch: archI386, Args: [6]uint64{38}}, allow, eperm},
		{"a 32-bit ABI, no name", bpf.Stack{compile([]rule{{archI386, 5000, []test{{0, all64, 38}}, eperm}}, []uint32{archI386}, allow)},
			bpf.Data{NR: 5000, Arch: archI386, Args: [6]uint64{38}}, allow, eperm},
	} {
		p := mustOf(t, c.s)
		v := p.KernelView()
		if got := v.Outcome(&c.call); got != outcome(uint64(c.want)) {
			t.Errorf("%s: in the view %v, want %v", c.name, got, bpf.Return(c.want))
		}
		if got := p.Outcome(&c.call); got != outcome(uint64(c.written)) {
			t.Errorf("%s: as written %v, want %v", c.name, got, bpf.Return(c.written))
		}
		// What the view adds can be shown. An allowed value of an int is
		// allowed in it with anything above, too.
		comparison, err := Compare(p, v, Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		want := Identical
		if c.want != c.written || c.name == "an allowed value of an int" {
			want = Looser
		}
		if comparison.Relation != want {
			t.Errorf("%s: the view is %v, want %v", c.name, comparison.Relation, want)
		}
		for _, d := range comparison.Differences {
			w := d.Witness
			if w.CallA == w.CallB || w.CallA.NR != w.CallB.NR {
				t.Errorf("%s: the calls of the witness are %+v and %+v", c.name, w.CallA, w.CallB)
			}
			if got := c.s.Run(&w.CallB, le).Ret; got != d.B.Return {
				t.Errorf("%s: filters return %v for %+v, want %v", c.name, got, w.CallB, d.B.Return)
			}
		}
	}
}

// TestKernelViewIsReachable checks for random calls that some choice of what
// the kernel ignores gets what the view says, and that none of a sample gets
// more.
func TestKernelViewIsReachable(t *testing.T) {
	for name, s := range fixtures() {
		p := mustOf(t, s)
		v := p.KernelView()
		calls := newCalls(1, s)
		for range 3000 {
			d := *calls.next()
			want := v.Outcome(&d)
			shown, err := v.Show(&d)
			if err != nil {
				t.Fatalf("%s: %+v: %v", name, d, err)
			}
			ignored := ignoredBits(d.Arch, d.NR)
			if got := s.Run(&shown, le).Ret; got != want.Return || v.Outcome(&shown) != want || shown.NR != d.NR || shown.Arch != d.Arch || shown.IP != d.IP {
				t.Fatalf("%s: %+v is shown by %+v, which gets %v, want %v", name, d, shown, got, want)
			}
			for i := range d.Args {
				if (d.Args[i]^shown.Args[i])&^ignored[i] != 0 {
					t.Fatalf("%s: %+v is shown by %+v, which the kernel can tell from it", name, d, shown)
				}
			}
			other := *calls.next()
			for i := range d.Args {
				d.Args[i] = d.Args[i]&^ignored[i] | other.Args[i]&ignored[i]
			}
			if got := s.Run(&d, le).Ret; loosestOutcome(uint64(got), uint64(want.Return)) != uint64(want.Return) {
				t.Fatalf("%s: %+v gets %v, more than the view's %v", name, d, got, want)
			}
			if got := v.Outcome(&d); got != want {
				t.Fatalf("%s: %+v: view depends on what the kernel ignores: %v and %v", name, d, got, want)
			}
		}
	}
}

func TestKernelViewNames(t *testing.T) {
	p := mustOf(t, amd64(deny(41, test{0, 1<<32 - 1, 38})))
	c, err := Compare(mustOf(t, nil).KernelView(), p.KernelView(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Differences) != 1 || c.Differences[0].Condition.String() != "family == AF_ALG" {
		t.Errorf("differences are %+v", c.Differences)
	}
}
