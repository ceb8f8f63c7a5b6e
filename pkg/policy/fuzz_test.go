package policy

import (
	"encoding/binary"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// FuzzCompare builds, lists and compares two programs. There must be no
// internal error, each is at most itself, and the policies say what the
// programs return.
func FuzzCompare(f *testing.F) {
	for _, s := range fixtures() {
		for _, p := range s {
			f.Add(p.Encode(le), sumFilter(5).Encode(le), uint64(1), false)
			f.Add(equalFilter().Encode(le), p.Encode(le), uint64(1)<<32, true)
		}
	}
	f.Fuzz(func(t *testing.T, x, y []byte, argument uint64, big bool) {
		var order binary.ByteOrder = binary.LittleEndian
		if big {
			order = binary.BigEndian
		}
		var policies []*Policy
		for _, raw := range [][]byte{x, y} {
			p, err := bpf.Decode(raw, le)
			if err != nil || p.Check() != nil {
				return
			}
			policies = append(policies, of(bpf.Stack{p}, order, smallLimits))
		}
		a, b := policies[0], policies[1]
		d := &bpf.Data{NR: uint32(argument >> 8), Arch: archAMD64, IP: argument, Args: [6]uint64{argument, argument >> 3, ^argument, 0, argument << 9, 1}}
		for _, p := range policies {
			if got, want := p.Outcome(d), p.stack.Run(d, order).Ret; !got.Undecided && got.Return != want {
				t.Fatalf("%+v: policy says %v, filters return %v", *d, got, want)
			}
			if _, err := p.Partition(Options{ABIs: []syscalls.ABI{syscalls.AMD64}}); err != nil {
				t.Fatal(err)
			}
			if ok, w, err := p.AtMost(p); w != nil || ok != (err == nil) {
				t.Fatalf("at most itself: %v, witness %v, error %v", ok, w, err)
			}
		}
		ab, err := Compare(a, b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ba, err := Compare(b, a, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := map[Relation]Relation{Tighter: Looser, Looser: Tighter}[ab.Relation]
		if want == 0 {
			want = ab.Relation
		}
		if ba.Relation != want {
			t.Fatalf("relation is %v, and %v the other way round", ab.Relation, ba.Relation)
		}
		if _, err := Compare(a, a.KernelView(), Options{}); err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{"arm64", "386"} {
			if _, err := CompareByName(a, b, syscalls.OfMachine("amd64"), syscalls.OfMachine(other)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
