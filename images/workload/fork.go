//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// childName is the behaviour of fork's children, for its own use.
const childName = "child"

// Bounds of fork, so that a slip of the hand does not take a node down.
const (
	maxChildren = 16
	minLife     = 50 * time.Millisecond
)

// fork keeps a number of child processes alive, each of which ends after a
// random time, of a mean of life, and is replaced.
func fork(args []string, end <-chan os.Signal) error {
	flags := newFlags("fork")
	children := flags.Int("children", 4, "")
	life := flags.Duration("life", time.Second, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *children < 1 || *children > maxChildren {
		return fmt.Errorf("fork: -children %d: want 1 to %d", *children, maxChildren)
	}
	if *life < minLife {
		return fmt.Errorf("fork: -life %s: want %s or more", *life, minLife)
	}

	ctx, kill := context.WithCancel(context.Background())
	ended := make(chan error)
	start := func() error {
		after := *life/2 + rand.N(*life)
		cmd := exec.CommandContext(ctx, "/proc/self/exe", childName, "-life", after.String())
		cmd.Stderr = os.Stderr
		// For when this process is killed. The signal is sent when the thread
		// ends that made the child: the main thread, which lasts.
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start a child: %w", err)
		}
		go func() { ended <- cmd.Wait() }()
		return nil
	}
	alive := 0
	defer func() {
		kill()
		for range alive {
			<-ended
		}
	}()
	for ; alive < *children; alive++ {
		if err := start(); err != nil {
			return err
		}
	}
	ready()
	for {
		select {
		case <-end:
			return nil
		case err := <-ended:
			alive--
			if err != nil {
				return fmt.Errorf("a child ended: %w", err)
			}
			if err := start(); err != nil {
				return err
			}
			alive++
		}
	}
}

// child lives for a while.
func child(args []string, end <-chan os.Signal) error {
	flags := newFlags(childName)
	life := flags.Duration("life", time.Second, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	select {
	case <-end:
	case <-time.After(*life):
	}
	return nil
}
