package main

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const tail = "R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 98765 21 22"
	for _, comm := range []string{"sh", "a b", ") R 1 (", "((", ""} {
		start, state, err := parseStat([]byte("42 (" + comm + ") " + tail))
		if err != nil || start != 98765 || state != 'R' {
			t.Errorf("comm %q: start %d, state %c, %v", comm, start, state, err)
		}
	}
	for _, bad := range []string{"", "42 (sh) R 1 2", "42 (sh)", "no parenthesis"} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// A process that has the recorded ID but not the recorded start time is
// somebody else's and must survive.
func TestEndSparesRecycledID(t *testing.T) {
	cmd, p := startSleep(t)
	wrong := Process{PID: p.PID, Start: p.Start - 1}
	if wrong.alive() {
		t.Error("a process with another start time counts as ours")
	}
	if err := wrong.end(syscall.SIGKILL, time.Second); err != nil {
		t.Fatal(err)
	}
	if !p.alive() {
		t.Fatal("a process that only shares the ID was killed")
	}

	if err := p.end(syscall.SIGTERM, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("still alive after end")
	}
	cmd.Wait()
	if err := p.end(syscall.SIGTERM, time.Second); err != nil {
		t.Errorf("end of a process that is gone: %v", err)
	}
}

// One that ignores SIGTERM is killed when its grace is over.
func TestEndKillsAfterGrace(t *testing.T) {
	cmd := exec.Command("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its sleep
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.end(syscall.SIGTERM, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGKILL {
		t.Errorf("ended by %v, want SIGKILL", ws.Signal())
	}
}

func TestAliveZombie(t *testing.T) {
	cmd, p := startSleep(t)
	cmd.Process.Kill()
	// Not reaped yet: what remains is a zombie.
	if err := p.end(syscall.SIGKILL, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if p.alive() {
		t.Error("a zombie counts as alive")
	}
}

func startSleep(t *testing.T) (*exec.Cmd, Process) {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, p
}
