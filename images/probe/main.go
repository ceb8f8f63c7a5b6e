// Command probe runs on a node, in a pod of its own that shares the node's PID
// namespace. It copies the seccomp filters out of containers and writes them to
// its standard output in the format of package wire, and what the runtime and
// kubelet were told about seccomp if it is asked for that; or what it finds of itself
// and what the kernel lets it do; or it counts the system calls of containers, or
// tells of those that their filters refuse, by a BPF program that is gone when it ends. It reads nothing else, writes nowhere else,
// and talks to nobody.
//
// The same program is what runs in a reference container of that pod, and what has a
// known filter for the probe to try itself on: it waits there to be read.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
)

// version is set by the linker.
var version = "devel"

// memoryLimit makes the garbage collector work harder before the limit of the
// probe's pod, 64 MiB, is met.
const memoryLimit = 48 << 20

func main() {
	debug.SetMemoryLimit(memoryLimit)
	// It does one thing after the other: with more processors Go's threads would
	// spend a fifth of what it takes on waking each other.
	runtime.GOMAXPROCS(1)
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(2)
	}
}

const usage = `want one of
  probe collect --run NAME [--all-threads] [--timeout 20s] [--max-threads-per-target N]
      [--config] [--localhost TARGET=PATH ...] [--self] [--all] [--target TARGET ...]
      [--record 10m [--record-new] | --denials 10m]
      where TARGET is RUNTIME://CONTAINER-ID, pid://PID or reference://N
  probe reference N [--for 5m]
  probe version`

func run(args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch args[0] {
	case "collect":
		return collect(args[1:], stdout)
	case probe.ReferenceCommand:
		return reference(args[1:])
	case probe.KnownCommand:
		return probe.HoldKnown(args[1:], os.Stdin, stdout)
	case "version":
		_, err := fmt.Fprintln(stdout, version)
		return err
	}
	return fmt.Errorf("unknown command %q: %s", args[0], usage)
}
