package plugin

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// pods are the fixtures, by operand.
func pods() *fakeCluster {
	filter := func(name string, stack ...bpf.Filter) fakePod {
		return fakePod{name: name, subject: wire.ModeFilter, stack: stack}
	}
	one := func(p fakePod) []fakePod { return []fakePod{p} }

	threads := filter("threads", denyFor(addKey, eperm))
	threads.more = []*report.State{{
		State: wire.State{
			Mode: wire.ModeFilter, FilterCount: 2, NoNewPrivs: true, Capabilities: user, Processes: 1, Threads: 1,
			Read: []wire.ThreadRef{{PID: 4007, TID: 4010, NSPID: 9, Comm: "\x1b[2J\u202eevil", StoppedNS: 90_000}},
		},
		Stack: bpf.Stack{denyFor(addKey, eperm), vsock},
	}, {
		State: wire.State{
			Mode: wire.ModeFilter, FilterCount: 3, Stack: wire.NoStack, Capabilities: root, Processes: 1, Threads: 1,
			Sample: []wire.ThreadRef{{PID: 4007, TID: 4011, NSPID: 10, Comm: "stuck"}},
		},
	}}
	threads.problems = []wire.Problem{{
		Target: "containerd://threads", PID: 4007, TID: 4011, Comm: "stuck", Code: wire.CodeDoesNotStop,
		Op: "stop", Detail: "it did not within 1s", Remedy: "run this again",
	}}
	unread := filter("unread")
	unread.unread, unread.problems = true, threads.problems

	var many []fakePod
	for i := range 14 {
		many = append(many, filter(fmt.Sprintf("many-%02d", i), denyFor(addKey, eperm)))
	}

	compat := filter("compat", denyFor(addKey, eperm))
	compat.compat = 1

	arm := filter("arm", readOnly)
	arm.arch = "arm64"

	return &fakeCluster{pods: map[string][]fakePod{
		"free":      one(fakePod{name: "free"}),
		"key":       one(filter("key", denyFor(addKey, eperm))),
		"key-trace": one(filter("key-trace", denyFor(addKey, bpf.Trace.With(7)))),
		"key-kill":  one(filter("key-kill", denyFor(addKey, bpf.KillProcess.With(0)))),
		"key-dead":  one(filter("key-dead", denyFor(addKey, eperm), bpf.Filter{{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))}})),
		"vsock":     one(filter("vsock", vsock)),
		"stack":     one(filter("stack", denyFor(addKey, eperm), vsock)),
		"strict":    one(fakePod{name: "strict", subject: wire.ModeStrict}),
		"read-only": one(filter("read-only", readOnly)),
		"threads":   one(threads),
		"unread":    one(unread),
		"arm":       one(arm),
		"compat":    one(compat),
		"deploy/web": {
			filter("web-1", denyFor(addKey, eperm)), filter("web-2", vsock), filter("web-3", denyFor(addKey, eperm)),
		},
		"deploy/order": { // the same, compiled in two ways
			filter("order-1", denyFor(addKey, eperm)), filter("order-2", append(bpf.Filter{{Op: bpf.LdAbsW}}, denyFor(addKey, eperm)...)),
		},
		"web-2":       one(filter("web-2", vsock)),
		"-l app=web":  {filter("app-1", denyFor(addKey, eperm)), filter("app-2", vsock), unread, filter("app-3", vsock), {name: "free"}},
		"-l app=many": many,
		// The same policy, as runc writes it in another order each time.
		"-l app=orders": {filter("one", denyFor(addKey, eperm)), filter("other", otherOrder), filter("third", vsock)},
		"-l none=read":  one(unread),
		"deploy/same":   {filter("same-1", vsock), filter("same-2", vsock)},
	},
		defaults:  map[string]bpf.Stack{"node-amd64": {denyFor(addKey, eperm), vsock}, "node-b": {vsock}},
		processes: map[int]fakePod{77: filter("process", vsock)},
	}
}

func TestGolden(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
	}{
		{"dump free", 0},
		{"dump key", 0},
		{"dump stack", 0},
		{"dump stack -o asm", 0},
		{"dump stack -o json", 0},
		{"dump strict", 0},
		{"dump read-only", 0},
		{"dump read-only -o wide", 0},
		{"dump threads", 0},
		{"dump compat", 0},
		{"dump threads --all-threads", 0},
		{"dump threads -o asm", 0},
		{"dump deploy/web", 0},
		{"dump web-2 deploy/web free", 0},
		{"dump -l app=web", 2},
		{"dump -l app=many", 0},
		{"dump -l app=orders", 0},
		{"diff key key", 0},
		{"diff key key-dead", 0},
		{"diff free free", 0},
		{"diff free key", 1},
		{"diff stack key", 1},
		{"diff key vsock", 1},
		{"diff key key-kill", 1},
		{"diff key key-trace", 1},
		{"diff key read-only", 1},
		{"diff key deploy/same", 1},
		{"diff key key-kill --color=always", 1},
		{"diff key vsock -o yaml", 1},
		{"diff threads key", 0},
		{"diff key RuntimeDefault", 1},
		{"diff RuntimeDefault@node-amd64 RuntimeDefault@node-b", 1},
		{"dump RuntimeDefault@node-b", 0},
		{"dump node/node-b:77", 0},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Setenv("COLUMNS", "")
			code, stdout, stderr := plugin(pods(), strings.Fields(test.args)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if strings.Contains(stderr, "error:") && test.code < 2 {
				t.Error(stderr)
			}
			name := strings.NewReplacer(" ", "_", "/", "-", "--", "", "=", "-", ":", "-").Replace(test.args) + ".txt"
			golden(t, name, fmt.Sprintf("$ kubectl seccomp %s\n%s%s", test.args, stdout, prefix("stderr: ", stderr)))
			if i := strings.IndexAny(stderr+strings.ReplaceAll(stdout, "\x1b", ""), "\r\x1b\u202e"); i >= 0 && !strings.Contains(test.args, "color") {
				t.Errorf("unprintable output: %q", stdout)
			}
		})
	}
}

func prefix(p, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(p + line)
	}
	return b.String()
}

// TestErrors are command lines that have no answer: each is one line on stderr,
// nothing on stdout, and an exit code that is not "different".
func TestErrors(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"frob", `unknown command "frob"; see .kubectl seccomp --help.`},
		{"dump", `dump takes operands, or a selector of pods; see .kubectl seccomp dump --help.`},
		{"dump key -l app=web", `operands name pods, and --selector, --field-selector and --all-namespaces select them: use one or the other`},
		{"dump -l app=(", `--selector "app=\(": `},
		{"dump --field-selector a", `--field-selector "a": `},
		{"dump -A -n shop", `--namespace and --all-namespaces: use one or the other`},
		{"verify --frob", `unknown flag: --frob; see .kubectl seccomp verify --help.`},
		{"verify ./key.json", `operand "./key.json": `},
		{"verify RuntimeDefault", `operand "RuntimeDefault": want pods`},
		{"verify node/n:1", `operand "node/n:1": want pods`},
		{"list node/n web", `node/NODE: it is listed alone`},
		{"list node/n -l app=web", `node/NODE: everything on it is listed, which no selector goes with`},
		{"explain key", `explain takes a source, a syscall and perhaps arguments of it`},
		{"explain key no_such_call", `syscall "no_such_call": no ABI`},
		{"explain key clone --abi=z80", `--abi: `},
		{"cleanup key", `cleanup takes no operands, not 1`},
		{"cleanup -n shop", `--namespace: that is where targets are`},
		{"verify -A -n shop", `--namespace and --all-namespaces: use one or the other`},
		{"list -A -n shop", `--namespace and --all-namespaces: use one or the other`},
		{"dump key --arch=arm64", `--arch: that is for files, and no operand is one`},
		{"dump -l app=web --kernel=6.12", `--kernel: that is for files, and no operand is one`},
		{"diff key vsock --runtime=docker", `--runtime: that is for files, and no operand is one`},
		{"explain key clone --cap-add=ALL", `--cap-add: that is for files, and no operand is one`},
		{"dump -l app=many -o raw", `this output is of one container, and there are 14`},
		{"dump -l none=read", `read default/pod/unread:main on node node-amd64`},
		{"diff key", `diff takes two operands, A and B, not 1`},
		{"version now", `version takes no operands, not 1`},
		{"dump --frob key", `unknown flag: --frob; see`},
		{"--frob", `unknown flag: --frob; see .kubectl seccomp --help.`},
		{"dump key -o frob", `output format "frob": want one of asm, dot, profile, raw, wide, json, yaml`},
		{"diff key key -o asm", `output format "asm": want one of markdown, sarif, wide, json, yaml, kyaml, name, go-template, .*, custom-columns, custom-columns-file`},
		{"explain key read -o wide", `output format "wide": want one of json`},
		{"dump key -o custom-columns", `custom-columns: want columns behind it: custom-columns=HEADER:PATH,...`},
		{"dump key -o custom-columns=A", `custom-columns: column "A": want HEADER:PATH`},
		{"dump key -o custom-columns=A:", `custom-columns: column "A": path "": want one such as .source.pod`},
		{"dump key -o custom-columns=A:{.b", `custom-columns: column "A": path "{.b": want one such as .source.pod`},
		{"dump key -o custom-columns=A:b[", `custom-columns: column "A": path "b\[": unterminated array`},
		{"dump key -o custom-columns-file", `custom-columns-file: want a file behind it`},
		{"dump key -o custom-columns-file=nosuch", `open nosuch: no such file or directory`},
		{"dump key -o json --no-headers", `--no-headers: output format "json" has no columns with headings`},
		{"dump key -o asm --no-headers", `--no-headers: output format "asm" has no columns with headings`},
		{"dump key -o jsonpath={", `unclosed action`},
		{"dump key --color=blue", `want auto, always or never`},
		{"dump key --timeout=0s", `--timeout 0s: want a second or more`},
		{"dump key --timeout=soon", `invalid argument "soon" for "--timeout" flag`},
		{"dump key --image=", `--image: want the name of an image`},
		{"dump key --probe-namespace=", `--probe-namespace: want the name of a namespace`},
		{"dump key --image-pull-secret=a --image-pull-secret=B/c", `--image-pull-secret "B/c": that cannot be the name of a secret`},
		{"dump key --service-account=a:b", `--service-account "a:b": that cannot be the name of a service account`},
		{"dump key --priority-class=High", `--priority-class "High": that cannot be the name of a priority class`},
		{"dump key --image-pull-policy=Maybe", `--image-pull-policy "Maybe": want Always, IfNotPresent or Never`},
		{"dump a/b/c/d", `operand "a/b/c/d": it has too many parts`},
		{"dump nosuch", `find pod default/nosuch: there is none`},
		{"diff key nosuch", `find pod default/nosuch: there is none`},
		{"dump unread", `read default/pod/unread:main on node node-amd64: stop thread 4011 \(stuck\) of containerd://threads: it did not within 1s: run this again`},
		{"diff key unread", `read default/pod/unread:main`},
		{"diff key strict", `default/pod/strict:main: its main thread is in seccomp's strict mode`},
		{"diff key deploy/web --context=x", "`kubectl seccomp diff default/pod/web-1:main default/pod/web-2:main --context=x` shows how these two differ"},
		{"diff key deploy/web", `deploy/web: its pods do not have the same filters: 2 like default/pod/web-1:main, 1 like default/pod/web-2:main: name one of them`},
	} {
		t.Run(test.args, func(t *testing.T) {
			code, stdout, stderr := plugin(pods(), strings.Fields(test.args)...)
			if code < 2 {
				t.Errorf("exit code %d", code)
			}
			if stdout != "" {
				t.Errorf("stdout: %q", stdout)
			}
			if !regexp.MustCompile(`^error: .*` + test.want + `.*\n$`).MatchString(stderr) {
				t.Errorf("stderr: %q, want one line with %q", stderr, test.want)
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		err    error
		code   int
		stderr string
	}{
		{nil, 0, ""},
		{errDifferent, 1, ""},
		{errors.New("no\nway \x1b[0m"), 2, "error: no; way \\x1b[0m\n"},
		{fmt.Errorf("write: %w", syscall.EPIPE), 141, ""},
		{&probepod.Interrupted{Signal: syscall.SIGTERM}, 143, "error: interrupted (terminated)\n"},
		{fmt.Errorf("%w: %w", errors.New("x"), &probepod.Interrupted{Signal: syscall.SIGINT}), 130, "error: x: interrupted (interrupt)\n"},
	} {
		var stderr strings.Builder
		if code := exitCode(test.err, genericiooptions.IOStreams{ErrOut: &stderr}); code != test.code || stderr.String() != test.stderr {
			t.Errorf("%v: exit code %d and %q, want %d and %q", test.err, code, stderr.String(), test.code, test.stderr)
		}
	}
}

// brokenPipe fails as stdout does whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestBrokenPipe(t *testing.T) {
	for _, args := range []string{"diff free key", "diff key key-dead", "dump key", "dump key -o asm", "dump key -o json", "version"} {
		var stderr strings.Builder
		c := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: brokenPipe{}, ErrOut: &stderr})
		c.connect = func(*probeFlags) (Resolver, Prober, error) { return pods(), pods(), nil }
		code := run(c, append([]string{"kubectl-seccomp"}, strings.Fields(args)...))
		if code != 141 || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, stderr %q", args, code, stderr.String())
		}
	}
}

// TestProbeError is a probe that read everything and yet failed: a target has
// changed, or a pod is left.
func TestProbeError(t *testing.T) {
	c := pods()
	c.err = probepod.ErrNotDeleted
	for _, args := range []string{"dump key", "diff key key"} {
		code, stdout, stderr := plugin(c, strings.Fields(args)...)
		if code != 2 || stdout != "" || stderr != "error: the probe pod could not be deleted\n" {
			t.Errorf("%s: %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// TestDumpHoldsFilters takes the filters out of a dump's JSON again.
func TestDumpHoldsFilters(t *testing.T) {
	_, stdout, _ := plugin(pods(), "dump", "stack", "-o", "json")
	var d v1alpha1.Dump
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	want := bpf.Stack{denyFor(addKey, eperm), vsock}
	if len(d.States[0].Filters) != len(want) {
		t.Fatalf("%d filters, want %d", len(d.States[0].Filters), len(want))
	}
	for i, hash := range d.States[0].Filters {
		for _, f := range d.Filters {
			if f.SHA256 != hash {
				continue
			}
			got, err := bpf.Decode(f.Program, binary.LittleEndian)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want[i]) {
				t.Errorf("filter %d: %v, want %v", i, got, want[i])
			}
			want[i] = nil
		}
		if want[i] != nil {
			t.Errorf("filter %d is not in the dump", i)
		}
	}
}

// TestMirror has each difference the other way round when A and B are swapped.
func TestMirror(t *testing.T) {
	mirror := map[v1alpha1.Direction]v1alpha1.Direction{
		v1alpha1.DirectionTighter: v1alpha1.DirectionLooser, v1alpha1.DirectionLooser: v1alpha1.DirectionTighter,
		v1alpha1.DirectionChanged: v1alpha1.DirectionChanged,
	}
	diff := func(a, b string) (d v1alpha1.Diff) {
		_, stdout, _ := plugin(pods(), "diff", a, b, "-o", "json")
		if err := json.Unmarshal([]byte(stdout), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	names := []string{"free", "key", "key-kill", "key-trace", "vsock", "stack", "read-only"}
	for _, a := range names {
		for _, b := range names {
			there, back := diff(a, b), diff(b, a)
			if len(there.Differences) != len(back.Differences) || (a == b) != (there.Relation == v1alpha1.Identical) {
				t.Errorf("%s and %s: %s with %d differences, and %s with %d", a, b,
					there.Relation, len(there.Differences), back.Relation, len(back.Differences))
				continue
			}
			for i, d := range there.Differences {
				e := back.Differences[i]
				if d.A != e.B || d.B != e.A || d.Syscall != e.Syscall || d.Condition != e.Condition || mirror[d.Direction] != e.Direction {
					t.Errorf("%s and %s: %+v is not the mirror of %+v", a, b, e, d)
				}
			}
		}
	}
}

func TestDisplayName(t *testing.T) {
	for arg0, want := range map[string]string{
		"/root/.krew/bin/kubectl-seccomp": "kubectl seccomp",
		"kubectl-seccomp.exe":             "kubectl seccomp",
		"kubectl-seccomp_inspect":         "kubectl seccomp-inspect",
		"./seccomp":                       "seccomp",
	} {
		if got := displayName(arg0); got != want {
			t.Errorf("displayName(%q) = %q, want %q", arg0, got, want)
		}
	}
}

// TestExamples runs what help texts say can be run, as far as parsing goes.
func TestExamples(t *testing.T) {
	root := newRootCommand(newCommon(genericiooptions.IOStreams{Out: io.Discard, ErrOut: io.Discard}), "kubectl-seccomp")
	seen := 0
	for _, cmd := range append(root.Commands(), root) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ := strings.Cut(line, " >")
			args, ok := strings.CutPrefix(strings.TrimSpace(line), "kubectl seccomp ")
			if !ok {
				continue
			}
			seen++
			sub, rest, err := root.Find(strings.Fields(args))
			if err == nil {
				err = sub.ParseFlags(rest)
			}
			if err == nil {
				err = sub.ValidateArgs(sub.Flags().Args())
			}
			if err != nil || sub == root {
				t.Errorf("%q: %v", line, err)
			}
		}
	}
	if seen < 8 {
		t.Errorf("found only %d examples", seen)
	}
}

// BenchmarkHelp is what every command pays at start.
func BenchmarkHelp(b *testing.B) {
	for b.Loop() {
		newRootCommand(newCommon(genericiooptions.IOStreams{Out: io.Discard}), "kubectl-seccomp").UsageString()
	}
}

func TestVersion(t *testing.T) {
	code, stdout, stderr := offline("", "version")
	want := "Version          dev\n" +
		"Probe image      localhost/kubectl-seccomp/probe:dev\n" +
		"Schema           seccomp.kubectl.dev/v1alpha1\n" +
		fmt.Sprintf("Probe protocol   %d\n", wire.Version) +
		"Syscall tables   Linux " + syscalls.KernelVersion + "\n" +
		"Built with       " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	if code != 0 || stderr != "" || stdout != want {
		t.Errorf("exit code %d, %s\n%s, want\n%s", code, stderr, stdout, want)
	}
}

// TestPodsAlike has pods whose filters were compiled in two ways: they stand for each
// other.
func TestPodsAlike(t *testing.T) {
	for _, args := range []string{"diff deploy/order key", "explain deploy/order add_key"} {
		if code, _, stderr := plugin(pods(), strings.Fields(args)...); code != 0 || stderr != "" {
			t.Errorf("%s: exit code %d, %s", args, code, stderr)
		}
	}
}
