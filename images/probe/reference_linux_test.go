package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// asProbe in the environment makes the test's program the probe.
const asProbe = "TEST_RUNS_PROBE"

func TestMain(m *testing.M) {
	if os.Getenv(asProbe) != "" {
		restrict()
		main()
		return
	}
	os.Exit(m.Run())
}

// messages are those of a run of collect, in a network namespace that is another
// process' if pid is not 0.
func messages(t *testing.T, pid int, args ...string) (ms []wire.Message) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"collect", "--run", "a"}, args...)...)
	if pid != 0 {
		cmd = exec.Command("nsenter", append([]string{"--net", "--target", fmt.Sprint(pid), "--"}, cmd.Args...)...)
	}
	cmd.Env = append(os.Environ(), asProbe+"=1")
	return messagesOf(t, cmd)
}

// messagesOf are those that a command writes.
func messagesOf(t *testing.T, cmd *exec.Cmd) (ms []wire.Message) {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %v: %s", cmd.Args, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	r := wire.NewReader(bytes.NewReader(out), "a")
	for {
		m, err := r.Next()
		if err == io.EOF {
			return ms
		}
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, m)
	}
}

// TestFindReference has a network namespace as a pod has it, with two reference
// containers in it, and a process that looks like one outside.
func TestFindReference(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	reference := func(pid int, args ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], append([]string{"reference"}, args...)...)
		if pid == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		} else {
			cmd = exec.Command("nsenter", append([]string{"--net", "--target", fmt.Sprint(pid), "--"}, cmd.Args...)...)
		}
		cmd.Env = append(os.Environ(), asProbe+"=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		return cmd
	}
	first := reference(0, "0", "--for", "1m")
	second := reference(first.Process.Pid, "7")
	elsewhere := reference(0, "1")

	targets := make(map[string]*wire.Target)
	problems := make(map[string]string)
	for _, m := range messages(t, first.Process.Pid, "--target", "reference://7", "--target", "reference://0", "--target", "reference://1", "--target", "reference://x") {
		switch m := m.(type) {
		case *wire.Target:
			targets[m.ID] = m
		case *wire.Problem:
			problems[m.Target] = m.Code
		}
	}
	for id, cmd := range map[string]*exec.Cmd{"reference://0": first, "reference://7": second} {
		if got := targets[id]; got == nil || got.PID != cmd.Process.Pid || got.Processes != 1 {
			t.Errorf("%s: %+v, want pid %d", id, got, cmd.Process.Pid)
		}
	}
	if len(problems) != 2 || problems["reference://1"] != wire.CodeNoReference || problems["reference://x"] != wire.CodeInvalidTarget {
		t.Errorf("problems %v, of what is in another pod (pid %d) and of what is none", problems, elsewhere.Process.Pid)
	}

	// On the machine itself there is no pod.
	for _, m := range messages(t, 0, "--target", "reference://0") {
		if _, ok := m.(*wire.Target); ok {
			t.Errorf("a reference in the node's network namespace: %+v", m)
		}
		if p, ok := m.(*wire.Problem); ok && (p.Code != wire.CodeNoReference || !strings.Contains(p.Detail, "network namespace")) {
			t.Errorf("problem %v", p)
		}
	}
}
