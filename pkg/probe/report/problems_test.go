package report

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

func TestClip(t *testing.T) {
	for _, test := range []struct {
		text, want string
	}{
		{"", ""},
		{"12345678", "12345678"},
		{"123456789", "12345…"},
		{"1234éé89", "1234…"}, // é is the bytes 4 and 5
		{"ééééé", "éé…"},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80", "…"},
	} {
		if got := clip(test.text, 8); got != test.want {
			t.Errorf("%q is clipped to %q, want %q", test.text, got, test.want)
		}
	}
}

// TestReadClips reads text of 40 kB, and the longest that a kernel has, which
// stays whole: a worker's name of 64 bytes (proc_task_name in fs/proc/array.c),
// none of them UTF-8.
func TestReadClips(t *testing.T) {
	longest := strings.Repeat("\uFFFD", 64)
	endless := strings.Repeat("é", 20_000)
	for _, test := range []struct {
		name, text string
		whole      bool
	}{{"longest", longest, true}, {"endless", endless, false}} {
		text := output(t, "amd64", []string{"amd64"}, []bpf.Filter{allow}, func(ms []wire.Message) []wire.Message {
			hello := ms[0].(*wire.Hello)
			hello.Version, hello.Kernel, hello.Machine = test.text, test.text, test.text
			thread := wire.ThreadRef{PID: 7, TID: 7, Comm: test.text}
			return append(ms,
				&wire.State{Target: id, Stack: wire.NoStack, Processes: 1, Threads: 2, Read: []wire.ThreadRef{thread}},
				&wire.State{Target: id, Stack: wire.NoStack, Processes: 1, Threads: 2, Sample: []wire.ThreadRef{thread}},
				&wire.Problem{Target: id, Code: wire.CodeExited, Comm: test.text, Op: test.text, Errno: test.text, Detail: test.text, Remedy: test.text})
		})
		r, err := Read(t.Context(), strings.NewReader(text), "run")
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		states, p := r.Targets[id].States, r.Targets[id].Problems[0]
		for most, list := range map[int][]string{
			256:  {r.Hello.Version, r.Hello.Kernel, r.Hello.Machine, states[2].Read[0].Comm, states[3].Sample[0].Comm, p.Comm},
			1024: {p.Op, p.Errno, p.Detail, p.Remedy},
		} {
			for i, got := range list {
				if whole := got == test.text; whole != test.whole || len(got) > most || len(got) < most-4 && !whole || !utf8.ValidString(got) {
					t.Errorf("%s: text %d of at most %d bytes has %d, whole: %v", test.name, i, most, len(got), whole)
				}
			}
		}
	}
}

// TestReadTooManyProblems has one more problem than are kept, and many more.
func TestReadTooManyProblems(t *testing.T) {
	for _, target := range []string{id, ""} {
		for _, n := range []int{64, 65, 1000} {
			text := output(t, "amd64", []string{"amd64"}, []bpf.Filter{allow}, func(ms []wire.Message) []wire.Message {
				for i := range n {
					ms = append(ms, &wire.Problem{Target: target, TID: i + 1, Code: wire.CodeExited})
				}
				ms[len(ms)-1].(*wire.Problem).More = 5
				return ms
			})
			r, err := Read(t.Context(), strings.NewReader(text), "run")
			if err != nil {
				t.Fatal(err)
			}
			got := r.Targets[id].Problems
			if target == "" {
				got = r.Problems
			}
			if n == 64 {
				if len(got) != 64 || got[63].More != 5 {
					t.Errorf("target %q: of 64 problems %d are kept", target, len(got))
				}
				continue
			}
			want := wire.Problem{Target: target, Code: wire.CodeTooManyProblems, More: n - 64 + 5}
			if len(got) != 65 || !cmp.Equal(got[64], want) || !slices.IsSortedFunc(got[:64], func(a, b wire.Problem) int { return a.TID - b.TID }) {
				t.Errorf("target %q: %d problems became %d, the last %+v, want %+v", target, n, len(got), got[len(got)-1], want)
			}
		}
	}
}
