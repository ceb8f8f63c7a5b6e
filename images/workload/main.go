//go:build linux

// Command workload is a container that behaves in one of the ways that reading
// live seccomp filters must cope with. Demo and tests run it as a pod.
//
// It prints "ready" once its behaviour is in place. SIGTERM or SIGINT ends it,
// and all that it started, at once.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

const usage = `usage: workload BEHAVIOUR [FLAGS]

  sleep                    nothing
  stack [-n N]             N filters of its own (3; at most 32), on every thread
  threads [-same-count]    one thread with one filter more than the others, or
                           two with one filter more each, but not the same
  args                     one filter that looks at arguments, on every thread
  epoll, futex, read       the main thread blocks in that system call, and tells
                           how often the call was interrupted
  fork [-children N] [-life D]
                           N child processes at any time, each for about D
  exit [-after D]          ends after D
  call NR[,ARG,…] ...      makes these system calls and prints what came of each
  count [-n N] NR[,ARG,…]  makes this system call N times (1000) and ends
  version                  print the version and end
`

// version is set by the linker.
var version = "dev"

// A behaviour runs until it is done or a value arrives on end.
type behaviour func(args []string, end <-chan os.Signal) error

var behaviours = map[string]behaviour{
	"sleep":   sleep,
	"stack":   stack,
	"threads": threads,
	"args":    arguments,
	"epoll":   epoll,
	"futex":   futex,
	"read":    read,
	"fork":    fork,
	"exit":    exit,
	"call":    call,
	"count":   count,
	"version": printVersion,
	childName: child,
}

// The main goroutine must run on the process' main thread, whatever the runtime
// would do: that thread is the one a container is judged by, and filters and
// signal masks are a thread's own.
func init() { runtime.LockOSThread() }

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	if err := run(os.Args[1:], end); err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(2)
	}
}

func run(args []string, end <-chan os.Signal) error {
	if len(args) == 0 {
		return errors.New("no behaviour\n" + usage)
	}
	b, ok := behaviours[args[0]]
	if !ok {
		return fmt.Errorf("unknown behaviour %q\n%s", args[0], usage)
	}
	return b(args[1:], end)
}

// newFlags returns an empty flag set for a behaviour, to be parsed by parse.
func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run's caller prints the error
	return flags
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%s: %w", flags.Name(), err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s: unexpected argument %q", flags.Name(), flags.Arg(0))
	}
	return nil
}

// ready says that the behaviour is in place.
func ready() { fmt.Println("ready") }

func sleep(args []string, end <-chan os.Signal) error {
	if err := parse(newFlags("sleep"), args); err != nil {
		return err
	}
	ready()
	<-end
	return nil
}

func printVersion(args []string, _ <-chan os.Signal) error {
	if err := parse(newFlags("version"), args); err != nil {
		return err
	}
	fmt.Println(version)
	return nil
}
