//go:build linux

// Command init is the first process in a virtual machine of package vm. It
// mounts what programs expect, runs a plan, prints what came of each step and
// powers the machine off.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm/plan"
)

// runner is the argument of the child that runs the plan, so that the first
// process can reap whatever is left to it.
const runner = "run"

func main() {
	if os.Getpid() != 1 {
		if len(os.Args) != 2 || os.Args[1] != runner {
			fmt.Fprintln(os.Stderr, "init: for the inside of a virtual machine, as its first process")
			os.Exit(2)
		}
		if err := run(); err != nil {
			fmt.Println("init:", err)
			os.Exit(1)
		}
		return
	}
	if err := first(); err != nil {
		fmt.Println("init:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // never reached; to return would be a panic of the kernel's
}

var mounts = []struct{ fs, dir string }{
	{"proc", "/proc"},
	{"sysfs", "/sys"},
	{"devtmpfs", "/dev"},
	{"tmpfs", "/tmp"},
	{"cgroup2", "/sys/fs/cgroup"},
	{"tracefs", "/sys/kernel/tracing"},
}

// first mounts, starts the child and reaps until it has ended.
func first() error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.fs, m.dir, m.fs, 0, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.fs, m.dir, err)
		}
	}
	child, err := os.StartProcess("/init", []string{"init", runner}, &os.ProcAttr{
		Env:   []string{"PATH=/bin", "HOME=/", "TMPDIR=/tmp"},
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		switch pid, err := unix.Wait4(-1, &status, 0, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case pid == child.Pid:
			return nil
		}
	}
}

func run() error {
	text, err := os.ReadFile(plan.Path)
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("%s: %w", plan.Path, err)
	}
	for i, step := range p.Steps {
		fmt.Printf("=== %s\n", step.Name)
		begin := time.Now()
		e := do(step)
		e.Step, e.Seconds = i, time.Since(begin).Seconds()
		if e.Left, err = others(); err != nil {
			return err
		}
		if err := say(p.Nonce, e); err != nil {
			return err
		}
	}
	return say(p.Nonce, plan.Event{Step: len(p.Steps)})
}

// say prints an event on a line of its own. The kernel writes to the console,
// too: a line that it begins is ended first.
func say(nonce string, e plan.Event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("\n%s%s\n", nonce, text)
	return err
}

// do runs a step.
func do(step plan.Step) (e plan.Event) {
	cmd := exec.Command(step.Args[0], step.Args[1:]...)
	cmd.Dir = step.Dir
	cmd.Env = append(os.Environ(), step.Env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	done := make(chan error, 1)
	var out *io.PipeWriter
	switch {
	case step.Capture:
		cmd.Stdout = &output
		done <- nil
	case step.Test:
		var in *io.PipeReader
		in, out = io.Pipe()
		cmd.Stdout, cmd.Stderr = out, out
		go func() { done <- watch(in, &e) }()
	default:
		done <- nil
	}
	err := cmd.Run()
	if out != nil {
		out.Close()
	}
	if watched := <-done; watched != nil {
		e.Error = watched.Error()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.Error = err.Error()
	}
	e.Exit = -1
	if cmd.ProcessState != nil {
		e.Exit = cmd.ProcessState.ExitCode()
	}
	if step.Capture {
		e.Output = output.Bytes()
	}
	return e
}

// watch copies what a test binary prints to the console and notes what becomes
// of each test: testing begins its own lines with a ^V, which is not copied.
func watch(in io.Reader, e *plan.Event) error {
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if printed, framed, ok := strings.Cut(line, "\x16"); ok {
			note(framed, e)
			if strings.HasPrefix(framed, "===") {
				framed = "" // which test runs: of no interest unless it fails
			}
			line = printed + framed // printed: what had no end of line
		}
		if _, err := os.Stdout.WriteString(line); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func note(line string, e *plan.Event) {
	f := strings.Fields(line)
	if len(f) < 3 || f[0] != "---" {
		return
	}
	switch name := f[2]; f[1] {
	case "PASS:":
		if !strings.Contains(name, "/") {
			e.Passed++
		}
	case "FAIL:":
		e.Failed = append(e.Failed, name)
	case "SKIP:":
		e.Skipped = append(e.Skipped, name)
	}
}

// others lists the processes that are neither the kernel's nor this program.
func others() ([]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var left []string
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// pid (comm) state ppid pgrp session tty_nr tpgid flags …: proc_pid_stat(5).
		end := bytes.LastIndexByte(stat, ')')
		f := strings.Fields(string(stat[end+1:]))
		const state, ppid, kthreadd = 0, 1, "2"
		if pid == 2 || f[ppid] == kthreadd || f[state] == "Z" || f[state] == "X" {
			continue // a zombie is about to be reaped by the first process
		}
		left = append(left, fmt.Sprintf("%s %s", stat[:end+1], f[state]))
	}
	return left, nil
}
