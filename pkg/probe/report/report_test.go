package report

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

var (
	allow = bpf.Filter{{Op: bpf.RetK, K: uint32(bpf.Allow)}}
	// denyOne refuses syscall 1: write on amd64, exit on s390x.
	denyOne = bpf.Filter{
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: 1, Jf: 1},
		{Op: bpf.RetK, K: uint32(bpf.Errno.With(13))},
		{Op: bpf.RetK, K: uint32(bpf.Allow)},
	}
)

const id = "containerd://aa11"

// output is what a probe writes that found one target with a stack of filters.
// change, if set, may change the messages.
func output(t testing.TB, arch string, abis []string, filters []bpf.Filter, change func([]wire.Message) []wire.Message) string {
	t.Helper()
	order := syscalls.OfMachine(arch)[0].ByteOrder()
	messages := []wire.Message{&wire.Hello{Version: "test", Kernel: "6.1", Arch: arch, ABIs: abis}}
	stack := &wire.Stack{}
	for i, f := range filters {
		messages = append(messages, wire.NewFilter(i, f.Encode(order)))
		stack.Filters = append(stack.Filters, i)
	}
	messages = append(messages, stack, &wire.Target{ID: id, PID: 7, Processes: 1, Threads: 2},
		&wire.State{Target: id, Subject: true, Mode: wire.ModeFilter, FilterCount: len(filters), Processes: 1, Threads: 1},
		&wire.State{Target: id, Stack: wire.NoStack, Processes: 1, Threads: 1})
	for _, name := range abis {
		abi, err := syscalls.ParseABI(name)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, &wire.Verdict{Survey: survey.Of(filters, abi)})
	}
	if change != nil {
		messages = change(messages)
	}
	var b strings.Builder
	w := wire.NewWriter(&b, "run")
	for _, m := range messages {
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		arch string
		abis []string
		abi  syscalls.ABI
	}{
		{"amd64", []string{"amd64", "x32", "386"}, syscalls.AMD64},
		{"s390x", []string{"s390x"}, syscalls.S390X}, // big-endian
	} {
		r, err := Read(t.Context(), strings.NewReader(output(t, test.arch, test.abis, []bpf.Filter{allow, denyOne}, nil)), "run")
		if err != nil {
			t.Errorf("%s: %v", test.arch, err)
			continue
		}
		if len(r.ABIs) != len(test.abis) || r.ABIs[0] != test.abi {
			t.Errorf("%s: ABIs %v", test.arch, r.ABIs)
		}
		target := r.Targets[id]
		if !target.Found() || len(target.States) != 2 || target.Subject() != target.States[0] {
			t.Fatalf("%s: target %+v", test.arch, target)
		}
		s := target.Subject()
		if len(s.Stack) != 2 || len(s.Stack[0]) != 1 || len(s.Stack[1]) != 4 {
			t.Errorf("%s: stack %v, want allow below denyOne", test.arch, s.Stack)
		}
		if len(s.Surveys) != len(test.abis) || s.Surveys[0].ABI != test.abi {
			t.Fatalf("%s: surveys %v", test.arch, s.Surveys)
		}
		if got, want := s.Surveys[0].Outcome(1), (survey.Outcome{Return: bpf.Errno.With(13)}); got != want {
			t.Errorf("%s: number 1 is %v, want %v", test.arch, got, want)
		}
		if other := target.States[1]; other.Stack != nil || other.Surveys != nil {
			t.Errorf("%s: threads without filters have %v", test.arch, other)
		}
	}
}

// TestNoEnd leaves out every end of the output: none of it is a report.
func TestNoEnd(t *testing.T) {
	whole := output(t, "amd64", []string{"amd64"}, []bpf.Filter{denyOne}, nil)
	for n := range whole {
		if r, err := Read(t.Context(), strings.NewReader(whole[:n]), "run"); err == nil {
			t.Fatalf("the first %d of %d bytes are a report: %v", n, len(whole), r)
		}
	}
}

// TestReadStopsAtEnd reads a log that is followed: nobody closes it.
func TestReadStopsAtEnd(t *testing.T) {
	r, w := io.Pipe()
	go io.WriteString(w, output(t, "amd64", []string{"amd64"}, []bpf.Filter{allow}, nil))
	if _, err := Read(t.Context(), r, "run"); err != nil {
		t.Error(err)
	}
}

func TestReadFails(t *testing.T) {
	replace := func(i int, m wire.Message) func([]wire.Message) []wire.Message {
		return func(ms []wire.Message) []wire.Message {
			ms[i] = m
			return ms
		}
	}
	add := func(m ...wire.Message) func([]wire.Message) []wire.Message {
		return func(ms []wire.Message) []wire.Message { return append(ms, m...) }
	}
	invalid := bpf.Filter{{Op: bpf.LdAbsW, K: 3}, {Op: bpf.RetK}} // not a multiple of 4
	endless := bpf.Filter{{Op: bpf.LdAbsW}}
	long := make(bpf.Filter, bpf.MaxInstructions)
	for i := range long {
		long[i] = bpf.Instruction{Op: bpf.RetK}
	}
	for name, test := range map[string]struct {
		filters []bpf.Filter
		change  func([]wire.Message) []wire.Message
		kind    error
		say     string
	}{
		// Messages: hello, filter, stack, target, two states, verdict.
		"disagree": {[]bpf.Filter{denyOne}, replace(6, &wire.Verdict{Survey: survey.Of(bpf.Stack{allow}, syscalls.AMD64)}),
			ErrDisagree, "stack 0 for amd64: node and client disagree: number 1 is ALLOW on the node, ERRNO"},
		"foreign ABI":           {[]bpf.Filter{allow}, replace(6, &wire.Verdict{Survey: survey.Of(bpf.Stack{allow}, syscalls.ARM64)}), wire.ErrInvalid, "arm64"},
		"refused by the kernel": {[]bpf.Filter{invalid}, nil, ErrImpossible, "filter 0"},
		"falls off the end":     {[]bpf.Filter{endless}, nil, ErrImpossible, "filter 0"},
		"too long a stack":      {[]bpf.Filter{long, long, long, long, long, long, long, long}, nil, ErrImpossible, "stack 0"},
		"two subjects": {[]bpf.Filter{allow}, add(&wire.State{Target: id, Subject: true, Stack: wire.NoStack, Processes: 1, Threads: 1}),
			wire.ErrInvalid, "two subjects"},
		"unknown machine": {[]bpf.Filter{allow}, replace(0, &wire.Hello{Arch: "pdp11", ABIs: []string{"pdp11"}}), ErrUnknownMachine, "pdp11"},
		"unknown ABI":     {[]bpf.Filter{allow}, replace(0, &wire.Hello{Arch: "amd64", ABIs: []string{"pdp11"}}), ErrUnknownMachine, "pdp11"},
		"ABI twice":       {[]bpf.Filter{allow}, replace(0, &wire.Hello{Arch: "amd64", ABIs: []string{"amd64", "amd64"}}), ErrUnknownMachine, "amd64"},
		"another's ABI":   {[]bpf.Filter{allow}, replace(0, &wire.Hello{Arch: "amd64", ABIs: []string{"arm64"}}), ErrUnknownMachine, "arm64"},
		"mixed orders":    {[]bpf.Filter{allow}, replace(0, &wire.Hello{Arch: "amd64", ABIs: []string{"s390x"}}), ErrUnknownMachine, "s390x"},
	} {
		t.Run(name, func(t *testing.T) {
			text := output(t, "amd64", []string{"amd64"}, test.filters, func(ms []wire.Message) []wire.Message {
				if test.change != nil {
					ms = test.change(ms)
				}
				return ms
			})
			r, err := Read(t.Context(), strings.NewReader(text), "run")
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.say) || r != nil {
				t.Errorf("report %v, error %v, want a %v that says %q", r, err, test.kind, test.say)
			}
		})
	}
}

// fingerprint is that of a stack, worked out with all that there is.
func fingerprint(t *testing.T, s bpf.Stack) string {
	t.Helper()
	p, err := policy.Of(s, binary.LittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFingerprint has a node that works out the same policy, or none, or another.
func TestFingerprint(t *testing.T) {
	// The product of two arguments has no diagram of reasonable size.
	product := bpf.Filter{
		{Op: bpf.LdAbsW, K: 16}, {Op: bpf.Tax}, {Op: bpf.LdAbsW, K: 24}, {Op: bpf.MulX},
		{Op: bpf.JeqK, K: 12345, Jf: 1}, {Op: bpf.RetK, K: uint32(bpf.Allow)}, {Op: bpf.RetK, K: uint32(bpf.KillProcess)},
	}
	right := fingerprint(t, bpf.Stack{denyOne})
	for name, test := range map[string]struct {
		filter     bpf.Filter
		said, want string
		fails      bool
	}{
		"the same":       {denyOne, right, right, false},
		"none":           {denyOne, "", "", false},
		"another form":   {denyOne, "i:" + right[2:], right, false},
		"another":        {denyOne, fingerprint(t, bpf.Stack{allow}), "", true},
		"of what is not": {product, right, "", true},
	} {
		text := output(t, "amd64", []string{"amd64"}, []bpf.Filter{test.filter}, func(ms []wire.Message) []wire.Message {
			if test.said != "" {
				ms = append(ms, &wire.Fingerprint{Fingerprint: test.said})
			}
			return ms
		})
		r, err := Read(t.Context(), strings.NewReader(text), "run")
		if test.fails {
			if !errors.Is(err, ErrDisagree) {
				t.Errorf("%s: error %v, want %v", name, err, ErrDisagree)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s := r.Targets[id].Subject(); s.Fingerprint != test.want || (s.Policy != nil) != (test.want != "") {
			t.Errorf("%s: fingerprint %q, policy %v", name, s.Fingerprint, s.Policy)
		}
	}
}

// TestReadConfiguration reads what a node says about its configuration, which is
// taken as it is, but not at any length.
func TestReadConfiguration(t *testing.T) {
	long := strings.Repeat("é", 20_000)
	text := output(t, "amd64", []string{"amd64"}, []bpf.Filter{allow}, func(ms []wire.Message) []wire.Message {
		ms[3].(*wire.Target).Comm = long
		return append(ms, &wire.Config{Target: id, Path: long, Runtime: long, Gzip: wire.Compress([]byte("{}"))},
			&wire.File{Target: id, Path: long, Gzip: wire.Compress([]byte("x"))}, &wire.Node{KubeletRoot: long, Detail: long},
			&wire.Self{Label: long, LabelError: long, Unread: &wire.Problem{Code: "internal", Detail: long}})
	})
	r, err := Read(t.Context(), strings.NewReader(text), "run")
	if err != nil {
		t.Fatal(err)
	}
	target := r.Targets[id]
	if target.Config == nil || target.File == nil || r.Node == nil || r.Self == nil {
		t.Fatalf("configuration %v, file %v, node %v", target.Config, target.File, r.Node)
	}
	for i, got := range []string{target.Comm, target.Config.Path, target.Config.Runtime, target.File.Path, r.Node.KubeletRoot, r.Node.Detail,
		r.Self.Label, r.Self.LabelError, r.Self.Unread.Detail} {
		if len(got) > 1024 || got == "" {
			t.Errorf("text %d has %d bytes", i, len(got))
		}
	}
}

func TestReadTooManyStacks(t *testing.T) {
	text := output(t, "amd64", []string{"amd64"}, []bpf.Filter{allow}, func(ms []wire.Message) []wire.Message {
		for i := range maxStacks {
			ms = append(ms, &wire.Stack{ID: i + 1, Filters: []int{0}})
		}
		return ms
	})
	if _, err := Read(t.Context(), strings.NewReader(text), "run"); !errors.Is(err, ErrTooMany) {
		t.Errorf("error %v, want %v", err, ErrTooMany)
	}
}

// TestReadTooManyInstructions has filters that are small only as they travel.
func TestReadTooManyInstructions(t *testing.T) {
	long := make(bpf.Filter, bpf.MaxInstructions)
	for i := range long {
		long[i] = bpf.Instruction{Op: bpf.RetK}
	}
	filter := wire.NewFilter(0, long.Encode(binary.LittleEndian))
	text := output(t, "amd64", []string{"amd64"}, []bpf.Filter{allow}, func(ms []wire.Message) []wire.Message {
		for i := range maxInstructions / len(long) {
			next := *filter
			next.ID = i + 1
			ms = append(ms, &next)
		}
		return ms
	})
	if _, err := Read(t.Context(), strings.NewReader(text), "run"); !errors.Is(err, ErrTooMany) {
		t.Errorf("error %v, want %v", err, ErrTooMany)
	}
}

func TestReadProblems(t *testing.T) {
	text := output(t, "amd64", []string{"amd64"}, []bpf.Filter{allow}, func(ms []wire.Message) []wire.Message {
		return append(ms, &wire.Problem{Target: "containerd://gone", Code: wire.CodeNotFound}, &wire.Problem{Code: wire.CodeTimeout})
	})
	r, err := Read(t.Context(), strings.NewReader(text), "run")
	if err != nil {
		t.Fatal(err)
	}
	if gone := r.Targets["containerd://gone"]; gone == nil || gone.Found() || len(gone.Problems) != 1 || gone.Subject() != nil {
		t.Errorf("target that was not found: %+v", gone)
	}
	if len(r.Problems) != 1 || len(r.Targets[id].Problems) != 0 {
		t.Errorf("problems of the run: %v", r.Problems)
	}
}

func TestReadIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("because")
	cancel(why)
	text := output(t, "amd64", []string{"amd64"}, []bpf.Filter{allow}, nil)
	if _, err := Read(ctx, strings.NewReader(text), "run"); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}

// FuzzRead changes a filter's bytes and the place of the output's end. Whatever
// comes out holds only programs that the kernel would accept, evaluated.
func FuzzRead(f *testing.F) {
	f.Add(denyOne.Encode(binary.LittleEndian), 0)
	f.Add(allow.Encode(binary.LittleEndian), 40)
	f.Fuzz(func(t *testing.T, raw []byte, drop int) {
		filter, err := bpf.Decode(raw, binary.LittleEndian)
		if err != nil {
			return
		}
		var b bytes.Buffer
		w := wire.NewWriter(&b, "run")
		for _, m := range []wire.Message{
			&wire.Hello{Arch: "amd64", ABIs: []string{"amd64"}},
			wire.NewFilter(0, raw), &wire.Stack{Filters: []int{0}},
			&wire.Target{ID: id, PID: 1, Processes: 1, Threads: 1},
			&wire.State{Target: id, Subject: true, Mode: wire.ModeFilter, FilterCount: 1, Processes: 1, Threads: 1},
		} {
			if err := w.Write(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		if drop < 0 || drop >= b.Len() {
			drop = 0
		}
		r, err := Read(t.Context(), bytes.NewReader(b.Bytes()[:b.Len()-drop]), "run")
		switch accepted := filter.Check() == nil; {
		case err == nil && (drop > 0 || !accepted):
			t.Errorf("a report without its last %d bytes, of a filter whose check says %v", drop, filter.Check())
		case err != nil && drop == 0 && accepted:
			t.Errorf("no report of a valid filter: %v", err)
		case err == nil && len(r.Targets[id].Subject().Surveys) != 1:
			t.Errorf("the stack was not evaluated")
		}
	})
}
