package wire

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const run = "run-7"

// sample is a small whole stream: every type of message, and one that does not
// fit into a frame.
func sample() []Message {
	noise := make([]byte, maxInstructions*instructionSize)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(noise)
	allow := bpf.Filter{{Op: bpf.RetK, K: uint32(bpf.Allow)}}
	raw := allow.Encode(syscalls.S390X.ByteOrder())
	ref := ThreadRef{PID: 4242, TID: 4242, NSPID: 1, Comm: "ngi\tnx \"é\u2028", StoppedNS: 51000}
	return []Message{
		&Hello{Version: "v1.2.3", Kernel: "6.1.0", Machine: "s390x", Arch: "s390x", ABIs: []string{"s390x", "s390"}},
		&Target{
			ID: "containerd://0123", PID: 4242, Processes: 2, Threads: 40, StartedNS: 1795521394187496804, Compat: 1,
			Container: strings.Repeat("0123456789abcdef", 4), Comm: "nginx",
		},
		NewFilter(0, raw),
		NewFilter(1, noise),
		&Stack{ID: 0, Filters: []int{0, 1, 0}, Log: []Log{true, false, false}},
		&State{
			Target: "containerd://0123", Subject: true, Mode: ModeFilter, FilterCount: 3, Stack: 0, NoNewPrivs: true,
			Capabilities: Capabilities{Permitted: 0xa80425fb, Effective: 0xa80425fb, Bounding: 0x1ffffffffff},
			Processes:    1, Threads: 39, Presumed: 38, Read: []ThreadRef{ref}, Sample: []ThreadRef{{PID: 4242, TID: 4243, NSPID: 7, Comm: "worker"}},
		},
		&State{Target: "containerd://0123", Mode: ModeDisabled, Stack: NoStack, Processes: 1, Threads: 1},
		&Problem{Target: "containerd://0123", PID: 4242, TID: 4250, Comm: "gdb'd", Code: CodeAlreadyTraced, Op: "ptrace seize", Errno: "EPERM", Detail: "already traced by pid 99 (gdb)", Remedy: "detach the debugger"},
		&Verdict{Stack: 0, Survey: survey.Survey{
			ABI: syscalls.S390X, Default: survey.Outcome{Return: bpf.Allow.With(0)}, Beyond: survey.Outcome{Return: bpf.Errno.With(38)},
			Runs: []survey.Run{
				{First: 0, Last: 119, Outcome: survey.Outcome{Return: bpf.Allow.With(0)}},
				{First: 120, Last: 120, Outcome: survey.Outcome{Depends: true, Words: bpf.MakeWords(bpf.Arg(1))}},
			},
		}},
		&Fingerprint{Stack: 0, Fingerprint: "s:" + strings.Repeat("9f86d081884c7d65", 4)},
		&Config{
			Target: "containerd://0123", Path: "/run/config.json", ModifiedNS: 1795521392601432352, Runtime: "/usr/bin/crun",
			Bounding: []string{"CAP_KILL"}, NoNewPrivileges: true, Gzip: Compress([]byte("{}")),
		},
		&File{Target: "containerd://0123", Path: "/var/lib/kubelet/seccomp/web.json", ModifiedNS: 1795521392601432352, Gzip: Compress([]byte("{}"))},
		&Node{SeccompDefault: new(bool), KubeletRoot: "/var/lib/kubelet", Detail: "none"},
		&Self{
			Mode: ModeFilter, Effective: 0xa80425fb, Label: "cri-containerd.apparmor.d (enforce)", LabelError: "EACCES", HostPID: true, HostUsers: true, PtraceScope: new(int),
			Cgroup: 2, X32: true, BTF: true, Unread: &Problem{Code: CodePermission, Op: "ptrace seize", Errno: "EPERM"}, StoppedNS: 51000,
		},
		&Began{BeganNS: 1795521392601432352},
		&Denial{
			Target: "containerd://0123", Seq: 1, TimeNS: 1795521392601432353, PID: 4711, TID: 4712, NSPID: 1, NSTID: 2, Process: "ev\x1b[31mil", Comm: "worker",
			ABI: "x32", NR: 0x40000027, Args: [6]uint64{1<<64 - 1, 2, 3, 4, 5, 6}, IP: 0x7f0000000000, How: HowReturned, Return: -38, Stack: NoStack, Held: 3,
		},
		&Denial{Target: "containerd://4567", Seq: 2, ABI: "386", How: HowBegan, Stack: 0},
		&Denied{
			Target: "containerd://0123", BeganNS: 1795521392601432352, EndedNS: 1795521452601432352, Unclear: 1, LostCalls: 2, LostStacks: 3, LostRuns: 4,
			Held: []Held{{ABI: "amd64", NR: 4294967295, How: HowReturned, Result: -1, Count: 12}, {ABI: "amd64", NR: 9, How: HowSignal, Count: 1}},
		},
		&Recorded{
			Target: "containerd://0123", BeganNS: 1795521392601432352, EndedNS: 1795521452601432352,
			Calls:   []Calls{{ABI: "amd64", NR: 59, Runtime: true, Count: 1}, {ABI: "386", NR: 1<<32 - 1, Count: 1 << 63}},
			Values:  []Value{{Calls: Calls{ABI: "amd64", NR: 41, Count: 3}, Arg: 0, Value: 40}},
			Refused: []Refused{{Calls: Calls{ABI: "amd64", NR: 272, Count: 4}, Return: -1}},
			Unclear: 1, LostCalls: 2, LostValues: 3, LostRefusals: 4, LostOrigins: 5, LostRuns: 6,
		},
	}
}

func write(t testing.TB, messages []Message) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, run)
	for _, m := range messages {
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read reads a whole log.
func read(log []byte) ([]Message, error) {
	r := NewReader(bytes.NewReader(log), run)
	var messages []Message
	for {
		m, err := r.Next()
		if err == io.EOF {
			return messages, nil
		}
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
}

func TestRoundTrip(t *testing.T) {
	want := sample()
	log := write(t, want)
	for line := range bytes.Lines(log) {
		if len(line) > MaxLine {
			t.Errorf("line of %d bytes", len(line))
		}
	}
	got, err := read(log)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-written +read):\n%s", diff)
	}
}

// TestGolden keeps the format what it is: a change of it needs a new Version.
// How gzip packs things may change, so what is packed is left out.
func TestGolden(t *testing.T) {
	messages := append(sample()[:3:3], &Stack{ID: 0, Filters: []int{0, 0, 0}, Log: []Log{true, false, false}})
	messages = append(messages, sample()[5:]...)
	for _, m := range messages {
		switch m := m.(type) {
		case *Filter:
			m.Gzip = nil
		case *Config:
			m.Gzip = nil
		case *File:
			m.Gzip = nil
		}
	}
	var b bytes.Buffer
	w := NewWriter(&b, run)
	for _, m := range messages {
		body, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		lines, _, err := w.frames(m.Type(), body)
		if err != nil || len(lines) != 1 {
			t.Fatal(len(lines), err)
		}
		if err := w.writeLine(lines[0]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/stream.golden"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("stream (-golden +written):\n%s", diff)
	}
}

// TestCut cuts a log at every byte of its lines' ends and at many between.
func TestCut(t *testing.T) {
	log := write(t, sample())
	for n := range log {
		nearEnd := bytes.IndexByte(log[max(n-2, 0):min(n+3, len(log))], '\n') >= 0
		if !nearEnd && n%251 != 0 {
			continue
		}
		if _, err := read(log[:n]); !errors.Is(err, ErrNoEnd) {
			t.Fatalf("cut after %d of %d bytes: error %v, want ErrNoEnd", n, len(log), err)
		}
	}
}

// TestFlip changes one bit at a time: each is an error, or changes nothing that
// is said (a letter's case in a key of the end frame).
func TestFlip(t *testing.T) {
	want := sample()[:3]
	log := write(t, want)
	for i := range log {
		for bit := range 8 {
			bad := bytes.Clone(log)
			bad[i] ^= 1 << bit
			if got, err := read(bad); err == nil && !cmp.Equal(want, got) {
				t.Fatalf("bit %d of byte %d flipped and no error:\n%s", bit, i, bad)
			}
		}
	}
}

func TestReaderErrors(t *testing.T) {
	log := string(write(t, sample()))
	lines := strings.SplitAfter(log, "\n")
	lines = lines[:len(lines)-1]
	// line returns a frame outside of a sequence, for streams that break before
	// their end.
	line := func(seq int, typ, body string) string {
		return fmt.Sprintf(`{"v":1,"run":%q,"seq":%d,"type":%q,"body":%s}`+"\n", run, seq, typ, body)
	}
	hello := lines[0]
	target := line(1, "target", `{"id":"a","pid":1,"processes":1,"threads":1}`)
	print := "s:" + strings.Repeat("0", 64)
	bomb, err := encode(Compress(make([]byte, MaxFile+1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, log string
		want      error
	}{
		{"nothing", "", ErrNoEnd},
		{"not JSON", "exec /probe: no such file or directory\n", ErrMalformed},
		{"another version", strings.Replace(log, `"v":1`, `"v":2`, 1), ErrVersion},
		{"another run", strings.Replace(log, run, "run-8", 1), ErrRun},
		{"frame missing", strings.Join(append(lines[:1:1], lines[2:]...), ""), ErrSequence},
		{"frame twice", strings.Join(append(lines[:2:2], lines[1:]...), ""), ErrSequence},
		{"changed", strings.Replace(log, "v1.2.3", "v1.2.4", 1), ErrChecksum},
		{"unknown field", strings.Replace(log, `"v":1`, `"v":1,"w":1`, 1), ErrMalformed},
		{"unknown field of a message", strings.Replace(log, `"kernel"`, `"colonel"`, 1), ErrInvalid},
		{"unknown type", hello + line(1, "hallo", "{}"), ErrUnknownType},
		{"two values", strings.Replace(hello, "\n", "{}\n", 1), ErrMalformed},
		{"neither body nor piece", strings.Replace(hello, `"body"`, `"more":true,"body"`, 1), ErrMalformed},
		{"no hello", line(0, "problem", `{"code":"exited"}`), ErrInvalid},
		{"second hello", hello + strings.Replace(hello, `"seq":0`, `"seq":1`, 1), ErrInvalid},
		{"line too long", `{"v":1,"run":"` + strings.Repeat("x", MaxLine), ErrTooLarge},
		{"zero bytes", strings.Repeat("\x00", 2*MaxLine), ErrTooLarge},
		{"stack of unknown filters", hello + line(1, "stack", `{"id":0,"filters":[0]}`), ErrInvalid},
		{"state of unknown target", hello + line(1, "state", `{"target":"a","mode":"filter","filterCount":1,"stack":-1,"capabilities":{},"processes":1,"threads":1}`), ErrInvalid},
		{"verdict of unknown stack", hello + line(1, "verdict", `{"stack":0,"survey":{"abi":"amd64","default":"ALLOW","beyond":"ALLOW","runs":[]}}`), ErrInvalid},
		{"fingerprint of unknown stack", hello + line(1, "fingerprint", `{"stack":0,"fingerprint":"`+print+`"}`), ErrInvalid},
		{"fingerprint that is none", hello + line(1, "fingerprint", `{"stack":0,"fingerprint":"x:00"}`), ErrInvalid},
		{"configuration of unknown target", hello + line(1, "config", `{"target":"a","path":"/c"}`), ErrInvalid},
		{"configuration from nowhere", hello + target + line(2, "config", `{"target":"a","path":""}`), ErrInvalid},
		{"second configuration", hello + target + line(2, "config", `{"target":"a","path":"/c"}`) + line(3, "config", `{"target":"a","path":"/c"}`), ErrInvalid},
		{"configuration too long", hello + target + line(2, "config", `{"target":"a","path":"/c","gzip":`+string(bomb)+`}`), ErrInvalid},
		{"file of unknown target", hello + line(1, "file", `{"target":"a","path":"/f","modifiedNs":0,"gzip":`+string(bomb)+`}`), ErrInvalid},
		{"file too long", hello + target + line(2, "file", `{"target":"a","path":"/f","modifiedNs":0,"gzip":`+string(bomb)+`}`), ErrInvalid},
		{"file that is not packed", hello + target + line(2, "file", `{"target":"a","path":"/f","modifiedNs":0,"gzip":"AAAA"}`), ErrInvalid},
		{"second node", hello + line(1, "node", `{}`) + line(2, "node", `{}`), ErrInvalid},
		{"second self", hello + line(1, "self", `{"mode":"disabled","effective":"0000000000000000"}`) + line(2, "self", `{"mode":"disabled","effective":"0000000000000000"}`), ErrInvalid},
		{"self with cgroups that are none", hello + line(1, "self", `{"mode":"disabled","effective":"0000000000000000","cgroup":3}`), ErrInvalid},
		{"self with a problem that is none", hello + line(1, "self", `{"mode":"disabled","effective":"0000000000000000","unread":{"code":"NO"}}`), ErrInvalid},
		{"target in no container", hello + line(1, "target", `{"id":"a","pid":1,"processes":1,"threads":1,"container":"abc"}`), ErrInvalid},
		{"target with too much of it compat", hello + line(1, "target", `{"id":"a","pid":1,"processes":1,"threads":1,"compat":2}`), ErrInvalid},
		{"unknown mode", hello + line(1, "state", `{"mode":"maybe"}`), ErrInvalid},
		{"filter that is none", hello + line(1, "filter", `{"id":0,"sha256":"","instructions":1,"gzip":"AAAA"}`), ErrInvalid},
		{"filter too long", hello + line(1, "filter", `{"id":0,"sha256":"","instructions":4097,"gzip":""}`), ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := read([]byte(tt.log))
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\n\x00") {
				t.Errorf("error is not one clean line: %q", err)
			}
		})
	}
}

// TestAfterEnd has output after the end frame, in one read with it or in the
// next: how a log comes in pieces does not decide whether it is good.
func TestAfterEnd(t *testing.T) {
	log := write(t, sample())
	for _, more := range []string{"x", "signal: killed\n", string(log)} {
		for _, r := range []io.Reader{
			strings.NewReader(string(log) + more),
			io.MultiReader(bytes.NewReader(log), strings.NewReader(more)),
		} {
			reader := NewReader(r, run)
			var got []Message
			m, err := reader.Next()
			for ; err == nil; m, err = reader.Next() {
				got = append(got, m)
			}
			if diff := cmp.Diff(sample(), got); err != io.EOF || diff != "" {
				t.Errorf("%d bytes after the end: %v\n%s", len(more), err, diff)
			}
		}
	}
}

// TestBomb reads a filter whose gzip holds far more than it says.
func TestBomb(t *testing.T) {
	f := NewFilter(0, make([]byte, 64<<20))
	f.Instructions = maxInstructions
	if _, err := f.Raw(); err == nil {
		t.Error("64 MiB taken for 32 KiB")
	}
}

// endless is a stream of pieces that never ends.
type endless struct {
	line bytes.Buffer
	seq  int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.line.Len() == 0 {
		fmt.Fprintf(&e.line, `{"v":1,"run":%q,"seq":%d,"type":"hello","piece":%q,"more":true}`+"\n", run, e.seq, strings.Repeat(" ", 4000))
		e.seq++
	}
	return e.line.Read(p)
}

func TestEndless(t *testing.T) {
	if _, err := NewReader(&endless{}, run).Next(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("endless message: %v", err)
	}
	problem := func(n int) []byte {
		var b bytes.Buffer
		w := NewWriter(&b, run)
		for seq := range n {
			m := Message(&Problem{Code: CodeExited, Detail: strings.Repeat("x", 4000)})
			if seq == 0 {
				m = sample()[0]
			}
			body, _ := encode(m)
			line, _ := w.frame(frame{Type: m.Type(), Body: body}, 0)
			w.writeLine(line)
		}
		return b.Bytes()
	}
	if _, err := read(problem(MaxTotal / 4000)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("endless stream: %v", err)
	}
}

// TestFull fills a stream: it still ends well, and has room to say that it is
// full.
func TestFull(t *testing.T) {
	for _, size := range []int{0, 100, 5000, 200_000} {
		var b bytes.Buffer
		w := NewWriter(&b, run)
		if err := w.Write(sample()[0]); err != nil {
			t.Fatal(err)
		}
		var err error
		for n := 0; err == nil; n++ {
			err = w.Write(&Target{ID: fmt.Sprint(n, strings.Repeat("\\", size)), PID: 1, Processes: 1, Threads: 1})
		}
		if !errors.Is(err, ErrTooLarge) {
			t.Fatal(err)
		}
		if err := w.Write(&Problem{Code: CodeOutputFull}); err != nil {
			t.Fatalf("size %d: no room for the problem: %v", size, err)
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
		if _, err := read(b.Bytes()); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	w := NewWriter(io.Discard, run)
	for _, code := range []string{"", "\x1b[2J", "Exited", strings.Repeat("x", 100)} {
		if err := w.Write(&Problem{Code: code}); !errors.Is(err, ErrInvalid) {
			t.Errorf("problem with code %q: %v", code, err)
		}
	}
	for _, more := range []int{-1, 1<<30 + 1} {
		if err := w.Write(&Problem{Code: CodeExited, More: more}); !errors.Is(err, ErrInvalid) {
			t.Errorf("problem with %d more: %v", more, err)
		}
	}
	if err := w.Write(&Problem{Code: CodeExited, Detail: strings.Repeat("x", MaxMessage)}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("huge problem: %v", err)
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(&Problem{Code: CodeExited}); err == nil {
		t.Error("written after the end")
	}
}

// FuzzReader feeds the reader anything. What it accepts, it accepts as the
// writer's: written again and read again, it is the same.
func FuzzReader(f *testing.F) {
	log := write(f, sample())
	f.Add(log)
	f.Add(log[:len(log)/2])
	f.Add(write(f, sample()[:1]))
	for line := range bytes.Lines(log) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		messages, err := read(log)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("error is not one clean line: %q", err)
			}
			return
		}
		again, err := read(write(t, messages))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(messages, again); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzMessage feeds the reader's message layer with bodies, which a checksum
// keeps FuzzReader from reaching.
func FuzzMessage(f *testing.F) {
	for _, m := range sample() {
		body, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.Type(), string(body))
	}
	f.Fuzz(func(t *testing.T, typ, body string) {
		m := newMessage(typ)
		if m == nil || unmarshal([]byte(body), m) != nil || m.check() != nil {
			return
		}
		text, err := encode(m)
		if err != nil {
			t.Fatalf("%#v was accepted and cannot be written: %v", m, err)
		}
		back := newMessage(typ)
		if err := unmarshal(text, back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, back, cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) })); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzPieces cuts any text into frames and joins it.
func FuzzPieces(f *testing.F) {
	f.Add("plain", 10)
	f.Add("\"\\\u2028\u2029é\U0001F600\x00\x1f", 5000)
	f.Fuzz(func(t *testing.T, text string, repeat int) {
		repeat = min(max(repeat, 1), 20_000/(len(text)+1)+1)
		want := []Message{sample()[0], &Problem{Code: CodeExited, Detail: strings.ToValidUTF8(strings.Repeat(text, repeat), "\uFFFD")}}
		log := write(t, want)
		for line := range bytes.Lines(log) {
			if len(line) > MaxLine {
				t.Fatalf("line of %d bytes", len(line))
			}
		}
		got, err := read(log)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
