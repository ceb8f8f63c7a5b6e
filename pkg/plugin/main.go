package plugin

import (
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// Exit codes, as those of diff(1). A command that a signal ends exits with 128
// and the signal's number, as shells have it.
const (
	exitOK        = 0
	exitDifferent = 1
	exitError     = 2
	exitSignal    = 128
)

// errDifferent ends a command that found a difference and has printed it.
var errDifferent = errors.New("different")

// Main runs the plugin with a command line, its own name included, and returns
// the exit code.
func Main(args []string, streams genericiooptions.IOStreams) int {
	// That the reader of the output has gone is an error of a write like
	// others, and no reason to leave a probe pod behind.
	signal.Ignore(syscall.SIGPIPE)

	return run(newCommon(streams), args)
}

// run is Main, for whatever streams and cluster.
func run(c *common, args []string) int {
	if plugin, ok := completesFor(args[0]); ok {
		args = append([]string{plugin, cobra.ShellCompRequestCmd}, args[1:]...)
		c.ErrOut = io.Discard // kubectl passes it on
	}
	cmd := newRootCommand(c, args[0])
	cmd.SetArgs(args[1:])
	return exitCode(cmd.Execute(), c.IOStreams)
}

// exitCode prints an error, unless it needs no words, and returns its code.
func exitCode(err error, streams genericiooptions.IOStreams) int {
	var interrupted *probepod.Interrupted
	switch {
	case err == nil, errors.Is(err, errDryRun):
		return exitOK
	case errors.Is(err, errDifferent):
		return exitDifferent
	case errors.Is(err, syscall.EPIPE):
		return exitSignal + int(syscall.SIGPIPE)
	}
	fmt.Fprintf(streams.ErrOut, "error: %s\n", terminal.Line(err.Error()))
	if errors.As(err, &interrupted) {
		return interrupted.ExitCode()
	}
	return exitError
}
