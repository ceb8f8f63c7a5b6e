// Command cluster runs a real Kubernetes on this machine, for development and
// tests: one control plane and two nodes with different container runtimes.
// README.md beside this file says what runs and where.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `usage: cluster COMMAND

  up [--replace]      start the cluster; --replace stops another clone's first
  down                stop it and leave nothing behind
  status              show each component; exit 0 if all run, 1 if not
  load IMAGE.tar...   import OCI image tarballs into both nodes
  profile FILE...     install Localhost seccomp profiles on both nodes
  stop COMPONENT      stop one component and wait until it is gone
  start COMPONENT     start it again and wait until it is ready
`

// Exit codes: 0 success, 1 "not running" from status, 2 any error.
const (
	exitNotRunning = 1
	exitError      = 2
)

// errNotRunning is what status returns for a cluster that is not all there.
var errNotRunning = errors.New("not running")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errNotRunning):
		os.Exit(exitNotRunning)
	default:
		fmt.Fprintln(os.Stderr, "cluster: "+err.Error())
		os.Exit(exitError)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("no command\n" + usage)
	}
	name, args := args[0], args[1:]
	if name == "help" || name == "-h" || name == "--help" {
		fmt.Print(usage)
		return nil
	}

	// Which commands there are, and how many operands each takes.
	arity := map[string]func(n int) bool{
		"up":      func(n int) bool { return n <= 1 },
		"down":    func(n int) bool { return n == 0 },
		"status":  func(n int) bool { return n == 0 },
		"load":    func(n int) bool { return n > 0 },
		"profile": func(n int) bool { return n > 0 },
		"stop":    func(n int) bool { return n == 1 },
		"start":   func(n int) bool { return n == 1 },
	}
	fits, known := arity[name]
	if !known {
		return fmt.Errorf("unknown command %q\n%s", name, usage)
	}
	if !fits(len(args)) || name == "up" && len(args) == 1 && args[0] != "--replace" {
		return fmt.Errorf("%s: wrong operands %q\n%s", name, strings.Join(args, " "), usage)
	}

	root, err := findRoot()
	if err != nil {
		return err
	}
	l := newLayout(root)
	switch name {
	case "status":
		return status(ctx, l)
	case "load":
		return load(ctx, l, args)
	case "profile":
		return installProfiles(l, args)
	}

	if err := checkMachine(l); err != nil {
		return err
	}
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	switch name {
	case "up":
		return up(ctx, l, len(args) == 1)
	case "down":
		return down()
	case "stop":
		return stopComponent(l, args[0])
	default:
		return startComponent(ctx, l, args[0])
	}
}
