package plugin

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// The filters that the fixtures have, written by hand.
var (
	// denyFor lets calls of amd64 and x32 with one number fail.
	denyFor = func(nr uint32, with bpf.Return) bpf.Filter {
		return bpf.Filter{
			{Op: bpf.LdAbsW, K: 4}, // arch
			{Op: bpf.JeqK, K: syscalls.AMD64.AuditArch(), Jf: 3},
			{Op: bpf.LdAbsW, K: 0}, // nr
			{Op: bpf.JeqK, K: nr, Jf: 1},
			{Op: bpf.RetK, K: uint32(with)},
			{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
		}
	}
	eperm = bpf.Errno.With(1)

	// vsock lets socket(AF_VSOCK, …) fail on amd64: the low word of args[0] is 40.
	vsock = bpf.Filter{
		{Op: bpf.LdAbsW, K: 4},
		{Op: bpf.JeqK, K: syscalls.AMD64.AuditArch(), Jf: 5},
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: 41, Jf: 3},
		{Op: bpf.LdAbsW, K: 16},
		{Op: bpf.JeqK, K: 40, Jf: 1},
		{Op: bpf.RetK, K: uint32(bpf.Errno.With(97))},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
	}

	// otherOrder does what denyFor(addKey, eperm) does, and looks at the number first.
	otherOrder = bpf.Filter{
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: addKey, Jf: 4},
		{Op: bpf.LdAbsW, K: 4},
		{Op: bpf.JeqK, K: syscalls.AMD64.AuditArch(), Jf: 1},
		{Op: bpf.RetK, K: uint32(bpf.Errno.With(1))},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
	}

	// readOnly allows amd64 to read, write, exit and exit_group and ends the
	// process for anything else.
	readOnly = bpf.Filter{
		{Op: bpf.LdAbsW, K: 4},
		{Op: bpf.JeqK, K: syscalls.AMD64.AuditArch(), Jf: 5},
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: 0, Jt: 4},
		{Op: bpf.JeqK, K: 1, Jt: 3},
		{Op: bpf.JeqK, K: 60, Jt: 2},
		{Op: bpf.JeqK, K: 231, Jt: 1},
		{Op: bpf.RetK, K: uint32(bpf.KillProcess.With(0))},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
	}
)

const addKey = 248 // amd64

// fakeCluster resolves names to the containers of the same pod and probes them.
type fakeCluster struct {
	pods     map[string][]fakePod // by operand
	problems []wire.Problem       // of the node
	err      error                // of Probe
	asked    []string             // IDs that were probed
	requests []probepod.Request

	// defaults is what RuntimeDefault is on a node; processes are by number.
	defaults  map[string]bpf.Stack
	processes map[int]fakePod
	// configs is with what a reference is started, for verify; nodes what is set.
	configs map[string]*wire.Config
	nodes   map[string]*wire.Node
	// noReference is why none of the references runs.
	noReference *wire.Problem
	without     string           // a node without a report
	away        map[string]error // why nodes are not ready
	// found are targets that nobody asked for.
	found []fakePod
	flags *probeFlags // of Probe
}

type fakePod struct {
	name     string
	arch     string // "": amd64
	subject  wire.Mode
	stack    bpf.Stack
	more     []*report.State
	problems []wire.Problem
	unread   bool
	compat   int

	declared target.Declared
	config   *wire.Config
	file     *wire.File
	recorded *wire.Recorded
	denials  []report.Denial
	denied   *wire.Denied
	started  int64
}

func (c *fakeCluster) Resolve(_ context.Context, o target.Operand) (list []target.Container, err error) {
	if c.pods[o.Text] == nil {
		return nil, errors.New("find pod default/" + o.Name + ": there is none")
	}
	for _, p := range c.pods[o.Text] {
		list = append(list, target.Container{
			Namespace: "default", Pod: p.name, PodUID: "uid-" + p.name, Name: "main",
			ID: "containerd://" + p.name, Node: "node-" + p.machine(), Image: "registry.example/app:1",
			Declared: p.declared,
		})
	}
	return list, nil
}

func (c *fakeCluster) ResolveAll(ctx context.Context, s target.Selection) (list []target.Container, away map[string]error, err error) {
	if s.Labels != "" {
		s.Operands = []target.Operand{{Text: "-l " + s.Labels}}
	}
	for _, o := range s.Operands {
		some, err := c.Resolve(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, some...)
	}
	return list, c.away, nil
}

func (c *fakeCluster) CheckNode(_ context.Context, node string) error {
	if !strings.HasPrefix(node, "node-") {
		return fmt.Errorf("read containers on node %s: the cluster has no such node", node)
	}
	return nil
}

func (p fakePod) machine() string {
	if p.arch != "" {
		return p.arch
	}
	return "amd64"
}

var (
	root = wire.Capabilities{Permitted: 0xa80425fb, Effective: 0xa80425fb, Bounding: 0xa80425fb}
	user = wire.Capabilities{Bounding: 0xa80425fb | 1<<12}
)

func (c *fakeCluster) Probe(_ context.Context, requests []probepod.Request) (map[string]*report.Report, error) {
	c.requests = requests
	reports := make(map[string]*report.Report)
	for _, request := range requests {
		arch := strings.TrimPrefix(request.Node, "node-")
		if len(syscalls.OfMachine(arch)) == 0 {
			arch = "amd64"
		}
		r := &report.Report{
			Hello:    wire.Hello{Kernel: "6.12.0", Arch: arch},
			ABIs:     syscalls.OfMachine(arch),
			Targets:  make(map[string]*report.Target),
			Problems: c.problems,
		}
		if request.Node != c.without {
			reports[request.Node] = r
		}
		add := func(id string, pod fakePod) {
			c.asked = append(c.asked, id)
			r.Targets[id] = pod.target(id)
			for _, d := range pod.denials {
				if c.flags.denied != nil {
					d.Target = id
					c.flags.denied(request.Node, r, d)
				}
			}
		}
		for _, container := range request.Containers {
			for _, pods := range c.pods {
				for _, pod := range pods {
					if pod.name == container.Pod {
						add(container.ID, pod)
					}
				}
			}
		}
		for _, pid := range request.PIDs {
			add(probepod.ProcessID(pid), c.processes[pid])
		}
		for n := range request.References {
			if c.noReference != nil {
				r.Targets[probepod.ReferenceID(n)] = &report.Target{Target: wire.Target{ID: probepod.ReferenceID(n)}, Problems: []wire.Problem{*c.noReference}}
				continue
			}
			add(probepod.ReferenceID(n), fakePod{subject: wire.ModeFilter, stack: c.defaults[request.Node], config: c.configs[request.Node]})
		}
		if request.Configs {
			r.Node = c.nodes[request.Node]
		}
		if request.All {
			for _, p := range c.found {
				add("pid://"+p.name, p)
			}
		}
	}
	return reports, c.err
}

// target is what a probe says of the pod's container.
func (p fakePod) target(id string) *report.Target {
	t := &report.Target{
		Target:   wire.Target{ID: id, PID: 4000 + len(p.name), Processes: 1, Threads: 3, Compat: p.compat, StartedNS: p.started},
		Problems: p.problems, Config: p.config, File: p.file, Recorded: p.recorded, Denials: p.denials, Denied: p.denied,
	}
	subject := &report.State{State: wire.State{
		Subject: true, Mode: p.subject, FilterCount: len(p.stack), Stack: wire.NoStack, Capabilities: root,
		Processes: 1, Threads: 3, Presumed: 2,
		Read:   []wire.ThreadRef{{PID: t.PID, TID: t.PID, NSPID: 1, Comm: "app", StoppedNS: 70_000}},
		Sample: []wire.ThreadRef{{PID: t.PID, TID: t.PID + 1, NSPID: 7, Comm: "worker"}},
	}}
	if !p.unread {
		subject.State.Stack, subject.Stack = 0, p.stack
		for _, abi := range syscalls.OfMachine(p.machine()) {
			subject.Surveys = append(subject.Surveys, survey.Of(p.stack, abi))
		}
	}
	// As a probe writes it, in no order.
	t.States = append(slices.Clone(p.more), subject)
	for _, s := range p.more {
		t.Threads += s.Threads
	}
	return t
}

// plugin runs a command line against a cluster.
func plugin(c *fakeCluster, args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	common := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
	common.connect = func(f *probeFlags) (Resolver, Prober, error) {
		c.flags = f
		return c, c, nil
	}
	code = run(common, append([]string{"/opt/bin/kubectl-seccomp"}, args...))
	return code, out.String(), errOut.String()
}

var update = flag.Bool("update", false, "write the golden files; review what changed")

// home is the folder of the package, wherever a test has gone.
var home, _ = os.Getwd()

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(home, "testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
