package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A running component that this command has started itself.
type running struct {
	Process
	ended chan struct{} // closed when it has ended
	err   error         // how, once ended is closed
}

// spawn starts a component in a session of its own, so that it outlives this
// command and no Ctrl-C reaches it.
func (c Component) spawn(l Layout) (*running, error) {
	if err := os.MkdirAll(filepath.Dir(l.log(c.Name)), 0o755); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(l.log(c.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = l.State
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	r := &running{ended: make(chan struct{})}
	// Read before anybody waits for the process: until then its ID is its own.
	r.Process, err = identify(cmd.Process.Pid)
	go func() {
		r.err = cmd.Wait()
		close(r.ended)
	}()
	return r, err
}

// identify notes a process' start time.
func identify(pid int) (Process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	start, _, err := parseStat(b)
	return Process{PID: pid, Start: start}, err
}

// parseStat reads the start time and the state out of /proc/PID/stat. The
// second field is the command in parentheses and may hold anything.
func parseStat(b []byte) (start uint64, state byte, err error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 || len(fields[0]) != 1 {
		return 0, 0, fmt.Errorf("stat of a process: %d fields after the command", len(fields))
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return start, fields[0][0], err
}

// alive reports whether the process still runs; a zombie does not.
func (p Process) alive() bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return false
	}
	start, state, err := parseStat(b)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// errStillRunning is what kill returns for a process that outlives SIGKILL,
// being stuck in the kernel.
var errStillRunning = errors.New("still runs after SIGKILL")

// end sends a signal and waits until the process is gone. Past the grace it is
// killed. A process that is already gone is no error.
func (p Process) end(sig syscall.Signal, grace time.Duration) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pidfd of process %d: %w", p.PID, err)
	}
	defer unix.Close(fd)
	// The descriptor holds on to one process; now see that it is the right one.
	if !p.alive() {
		return nil
	}
	for {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", p.PID, err)
		}
		switch gone, err := waitPidfd(fd, grace); {
		case err != nil:
			return err
		case gone:
			return nil
		case sig == syscall.SIGKILL:
			return fmt.Errorf("process %d: %w", p.PID, errStillRunning)
		}
		sig, grace = syscall.SIGKILL, 10*time.Second
	}
}

// waitPidfd waits until the process behind a pidfd has ended, which is when
// it becomes readable (pidfd_open(2)).
func waitPidfd(fd int, timeout time.Duration) (gone bool, err error) {
	deadline := time.Now().Add(timeout)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(0, int(time.Until(deadline).Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0, err
	}
}

// poll calls ready until it returns nil or the context ends, and then returns
// its last error. It is for what announces itself by no event: a server that
// comes to listen, a node that becomes Ready.
func poll(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %v)", context.Cause(ctx), err)
		}
	}
}
