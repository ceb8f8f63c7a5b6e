// Command probe runs on a node, in a pod of its own that shares the node's PID
// namespace. It copies the seccomp filters out of containers and writes them to
// its standard output in the format of package wire. It reads nothing else,
// writes nowhere else, and talks to nobody.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// version is set by the linker.
var version = "devel"

// memoryLimit makes the garbage collector work harder before the limit of the
// probe's pod, 64 MiB, is met.
const memoryLimit = 48 << 20

func main() {
	debug.SetMemoryLimit(memoryLimit)
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(2)
	}
}

const usage = `want one of
  probe collect --run NAME [--all-threads] [--timeout 20s] [--max-threads-per-target N] --target RUNTIME://ID ...
  probe version`

func run(args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "collect":
		return collect(args[1:], stdout)
	case "version":
		_, err := fmt.Fprintln(stdout, version)
		return err
	}
	return fmt.Errorf("unknown command %q: %s", args[0], usage)
}

// targets is a flag that may be given many times.
type targets []string

func (t *targets) String() string { return strings.Join(*t, " ") }

func (t *targets) Set(ref string) error {
	*t = append(*t, ref)
	return nil
}

func collect(args []string, stdout io.Writer) error {
	req := probe.Request{Version: version}
	flags := flag.NewFlagSet("probe collect", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("run", "", "name of the run, in every frame")
	timeout := flags.Duration("timeout", 20*time.Second, "for everything")
	flags.BoolVar(&req.AllThreads, "all-threads", false, "stop and read every thread")
	flags.IntVar(&req.MaxThreads, "max-threads-per-target", probe.DefaultMaxThreads, "how many threads of a container are looked at")
	flags.Var((*targets)(&req.Targets), "target", "container ID")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: %s", flags.Arg(0), usage)
	case !wire.ValidRun(*name):
		return fmt.Errorf("--run %q: want 1 to %d lower case letters, digits and dashes", *name, wire.MaxRun)
	case len(req.Targets) == 0:
		return errors.New("no --target")
	case *timeout <= 0:
		return fmt.Errorf("--timeout %v: want more than 0", *timeout)
	case req.MaxThreads <= 0:
		return fmt.Errorf("--max-threads-per-target %d: want more than 0", req.MaxThreads)
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	w := wire.NewWriter(stdout, *name)
	if err := probe.Collect(ctx, req, w); err != nil {
		return err
	}
	return w.End()
}
