//go:build linux

package profile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
)

// FuzzLoad parses and loads anything, for every kind of target. What comes of it
// must be a filter that the kernel would take, and say the same as its rules.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/live/*.json", "testdata/warnings/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("kind: SeccompProfile\napiVersion: security-profiles-operator.x-k8s.io/v1beta1\nspec: {defaultAction: SCMP_ACT_LOG}"))
	f.Add([]byte(`{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_TRACE", "syscalls": [null]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data)
		if err != nil {
			return
		}
		for _, runtime := range []Runtime{Containerd, DockerEngine, CRIO} {
			for _, oci := range []OCIRuntime{Runc, OldRunc, Crun} {
				for _, arch := range []string{"amd64", "s390x"} {
					l, err := p.Load(Target{Runtime: runtime, OCIRuntime: oci, Arch: arch, Kernel: Kernel{Major: 6, Minor: 1}})
					if err != nil || l.Unconfined {
						continue
					}
					if err := l.Filter.Check(); err != nil {
						t.Fatal(err)
					}
					checkRules(t, l)
				}
			}
		}
	})
}

// checkRules runs the filter for every number that has rules, with the arguments
// that the rules compare with.
func checkRules(t *testing.T, l *Loaded) {
	t.Helper()
	body := l.Filter[l.Stub:]
	order := l.ABIs[0].ByteOrder()
	for first := 0; first < len(l.Rules); {
		last := first
		for last < len(l.Rules) && l.Rules[last].ABI == l.Rules[first].ABI && l.Rules[last].NR == l.Rules[first].NR {
			last++
		}
		rules := l.Rules[first:last]
		for _, rule := range rules {
			d := dataFor(rule)
			want := l.Default
			for _, r := range rules {
				if holds(r, d.Args) {
					want = r.Return
					break
				}
			}
			if got := body.Run(&d, order).Ret; got != want {
				t.Fatalf("%v: filter returns %s, want %s", rule, got, want)
			}
		}
		first = last
	}
}

// holds tells whether a rule's conditions hold, computed apart from the compiler.
func holds(r Rule, args [6]uint64) bool {
	for _, c := range r.Conditions {
		v := args[c.Arg]
		if words(r.ABI) == 1 {
			v &= 0xffffffff
		}
		if !compareArg(v, c) {
			return false
		}
	}
	return true
}

func compareArg(v uint64, c Condition) bool {
	switch c.Op {
	case NotEqual:
		return v != c.Value
	case Less:
		return v < c.Value
	case LessOrEqual:
		return v <= c.Value
	case Equal:
		return v == c.Value
	case GreaterOrEqual:
		return v >= c.Value
	case Greater:
		return v > c.Value
	}
	return v&c.Mask == c.Value
}

// dataFor returns a call that meets the comparisons of a rule at their edges.
func dataFor(r Rule) bpf.Data {
	d := bpf.Data{NR: r.NR, Arch: r.ABI.AuditArch()}
	for _, c := range r.Conditions {
		d.Args[c.Arg] = c.Value
		switch c.Op {
		case Less, NotEqual:
			d.Args[c.Arg]--
		case Greater:
			d.Args[c.Arg]++
		}
	}
	return d
}
