package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/local"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// fakeMachine has Docker containers web and bare, and the process 4711.
type fakeMachine struct {
	asked    []probe.Request
	problems []wire.Problem
	err      error
}

const webID = "docker://175126a3b0d9aad9ce0a78d0504c0787f2a325e1828c83eed7f82d57120bf4fa"

func (m *fakeMachine) Find(_ context.Context, o local.Operand) (local.Target, error) {
	switch o.Docker {
	case "":
		return local.Target{ID: fmt.Sprintf("pid://%d", o.PID)}, nil
	case "web":
		return local.Target{ID: webID, ContainerID: webID, Image: "app:1\x1b[2J"}, nil
	}
	return local.Target{}, errors.New("find " + o.Text + ": No such container")
}

func (m *fakeMachine) Read(ctx context.Context, req probe.Request) (*report.Report, error) {
	m.asked = append(m.asked, req)
	if _, limited := ctx.Deadline(); !limited {
		return nil, errors.New("there is no time limit")
	}
	r := &report.Report{
		Hello:    wire.Hello{Kernel: "6.12.1", Arch: "amd64"},
		ABIs:     syscalls.OfMachine("amd64"),
		Targets:  make(map[string]*report.Target),
		Problems: m.problems,
	}
	if req.All {
		req.Targets = append(req.Targets, webID, "pid://4711")
	}
	for _, id := range req.Targets {
		stack := bpf.Stack{denyFor(addKey, eperm)}
		switch id {
		case "pid://4711":
			stack = append(stack, vsock)
		case webID:
		default:
			r.Targets[id] = &report.Target{Target: wire.Target{ID: id}, Problems: []wire.Problem{{
				Target: id, Code: wire.CodeNotFound, Op: "find the process", Detail: "this machine has none such"}}}
			continue
		}
		r.Targets[id] = &report.Target{Target: wire.Target{ID: id, PID: 4711, Processes: 1, Threads: 1}, States: []*report.State{{
			State: wire.State{Subject: true, Mode: wire.ModeFilter, FilterCount: len(stack), Capabilities: root, Processes: 1, Threads: 1,
				Read: []wire.ThreadRef{{PID: 4711, TID: 4711, NSPID: 1, Comm: "app\x1b", StoppedNS: 70_000}}},
			Stack: stack,
		}}}
	}
	return r, m.err
}

// onMachine runs a command line on a machine that has no cluster.
func onMachine(m *fakeMachine, args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	c := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
	c.connect = func(*probeFlags) (Resolver, Prober, error) { return nil, nil, errors.New("there is no cluster") }
	c.local = m
	code = run(c, append([]string{"/opt/bin/kubectl-seccomp"}, args...))
	return code, out.String(), errOut.String()
}

func TestLocal(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
	}{
		{"dump docker:web", 0},
		{"dump pid:4711 -o yaml --syscall add_key", 0},
		{"diff docker:web pid:4711", 1},
		{"diff Unconfined docker:web", 1},
		{"explain pid:4711 socket AF_VSOCK", 0},
		{"list --local", 0},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Setenv("COLUMNS", "")
			m := new(fakeMachine)
			code, stdout, stderr := onMachine(m, strings.Fields(test.args)...)
			if code != test.code || len(m.asked) != 1 {
				t.Errorf("exit code %d, want %d; read %d times: %s", code, test.code, len(m.asked), stderr)
			}
			name := "local_" + strings.NewReplacer(" ", "_", ":", "-", "--", "").Replace(test.args) + ".txt"
			golden(t, name, fmt.Sprintf("$ kubectl seccomp %s\n%s%s", test.args, stdout, prefix("stderr: ", stderr)))
			if strings.Contains(stdout+stderr, "\x1b") {
				t.Errorf("not escaped: %q%q", stdout, stderr)
			}
		})
	}
}

// TestLocalErrors has what cannot be read, and what else a report says.
func TestLocalErrors(t *testing.T) {
	for _, test := range []struct {
		args string
		m    fakeMachine
		code int
		want string
	}{
		{"dump pid:1", fakeMachine{}, 2, "error: read pid:1 on this machine: find the process of pid://1: this machine has none such\n"},
		{"list --local pid:1", fakeMachine{}, 2, "error: --local: all of this machine is listed, which no operand or selector goes with\n"},
		{"list --local", fakeMachine{err: errors.New("read this machine: it is away")}, 2, "error: read this machine: it is away\n"},
		{"dump docker:bare", fakeMachine{}, 2, "error: find docker:bare: No such container\n"},
		{"dump pid:x", fakeMachine{}, 2, `error: operand "pid:x": what follows the colon is no process' number; want pid:PID, such as pid:4711` + "\n"},
		{"diff docker:web ./none", fakeMachine{}, 2, "error: open ./none: no such file or directory\n"},
		{"diff docker:web pod", fakeMachine{}, 2, "error: there is no cluster\n"},
		{"dump docker:web", fakeMachine{err: &probepod.Interrupted{Signal: os.Interrupt}}, 130, "error: interrupted (interrupt)\n"},
		{"diff docker:web docker:web", fakeMachine{problems: []wire.Problem{{Code: wire.CodeUnreadable, Op: "look around", Detail: "it is dark"}}}, 0,
			"warning: this machine: look around: it is dark\nwarning: this machine: look around: it is dark\n" +
				"warning: A and B are the same container: docker:web is compared with itself\n"},
	} {
		code, stdout, stderr := onMachine(&test.m, strings.Fields(test.args)...)
		if code != test.code || stderr != test.want || (code > 1) != (stdout == "") {
			t.Errorf("%s: exit code %d, want %d; %q, want %q; stdout %q", test.args, code, test.code, stderr, test.want, stdout)
		}
	}
}

// TestLocalRequest has the flags in what is asked for.
func TestLocalRequest(t *testing.T) {
	m := new(fakeMachine)
	if code, _, stderr := onMachine(m, "diff", "docker:web", "pid:4711", "--all-threads"); code != 1 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if len(m.asked) != 1 || !m.asked[0].AllThreads || strings.Join(m.asked[0].Targets, " ") != webID+" pid://4711" {
		t.Errorf("asked for %+v", m.asked)
	}
}
