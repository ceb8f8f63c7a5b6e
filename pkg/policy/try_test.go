package policy

import (
	"errors"
	"math/rand"
	"runtime"
	"testing"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
)

// TestTry holds Try against Of: the same policy or none, and one wherever that is
// to be expected.
func TestTry(t *testing.T) {
	check := func(t *testing.T, s bpf.Stack, expected bool) {
		t.Helper()
		p, err := Try(s, le, SmallBudget)
		if err != nil {
			if expected || p != nil || !errors.Is(err, ErrBudget) {
				t.Errorf("%v, %v", p, err)
			}
			return
		}
		got, err := p.Fingerprint()
		if err != nil {
			t.Fatal(err)
		}
		if want, err := mustOf(t, s).Fingerprint(); err != nil || got != want {
			t.Errorf("fingerprint %s, and of Of %s, %v", got, want, err)
		}
	}
	for name, s := range fixtures() {
		sequential := mustOf(t, s).Form() == Sequential
		t.Run(name, func(t *testing.T) { check(t, s, sequential && name != "product with nr" && name != "multiply") })
	}
	names, stacks := rawStacks(t)
	for i, s := range stacks {
		t.Run(names[i], func(t *testing.T) { check(t, s, names[i] != "synth-add" && names[i] != "synth-jeqx") })
	}
	r := rand.New(rand.NewSource(11))
	for range 300 {
		check(t, bpf.Stack{randomProgram(r, 4+r.Intn(30))}, false)
	}
	if _, err := Try(bpf.Stack{{stmt(bpf.LdAbsW, 3)}}, le, SmallBudget); err == nil || errors.Is(err, ErrBudget) {
		t.Errorf("what the kernel refuses: %v", err)
	}
	if _, err := Try(bpf.Stack{containerFilter()}, le, 100); !errors.Is(err, ErrBudget) {
		t.Errorf("with 100 nodes: %v", err)
	}
}

// TestTryHostile checks that Try takes little of what is made to be too much.
func TestTryHostile(t *testing.T) {
	for _, c := range hostileStacks() {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			_, err := Try(c.stack, le, SmallBudget)
			runtime.ReadMemStats(&after)
			// All that it allocated, though some of it was free again by then.
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%v, %d MiB allocated: %v", time.Since(begin), allocated, err)
			if allocated > 40 {
				t.Errorf("it allocated %d MiB", allocated)
			}
		})
	}
}
