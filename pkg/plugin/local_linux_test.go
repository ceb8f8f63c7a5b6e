package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
)

// TestLocalSignal has SIGINT come while a thread is waited for that does not stop:
// it is let go of, and the signal is the error.
func TestLocalSignal(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test traces a process and installs a filter: run it as root")
	}
	program, err := cprogram.Build(t.TempDir(), "../probe/ptrace/testdata/target.c")
	if err != nil {
		t.Fatal(err)
	}
	kerneltest.New(t).Spend(1, 0)
	cmd := exec.Command(program, "1", "vfork")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its child with it
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() {
		in.Close()
		syscall.Kill(-pid, syscall.SIGKILL)
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("target said %q, %v", line, err)
	}
	status := func() string {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	traced := func() bool { return !strings.Contains(status(), "TracerPid:\t0\n") }
	for !strings.Contains(status(), "State:\tD") { // it was about to
	}
	done := make(chan error)
	go func() {
		_, err := thisMachine{}.Read(context.Background(), probe.Request{Targets: []string{"pid://" + strconv.Itoa(pid)}})
		done <- err
	}()
	for !traced() {
		select {
		case err := <-done:
			t.Fatalf("reading ended before the signal: %v", err)
		default:
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var interrupted *probepod.Interrupted
	if err := <-done; !errors.As(err, &interrupted) || interrupted.ExitCode() != 130 {
		t.Errorf("reading ends with %v", err)
	}
	if traced() {
		t.Error("the process is left traced")
	}
}
