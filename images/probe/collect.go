package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/denials"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/record"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// collect runs a collection as its arguments ask for.
func collect(args []string, stdout io.Writer) error {
	req := probe.Request{Version: version, Localhost: make(map[string]string)}
	flags := flag.NewFlagSet("probe collect", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name := flags.String("run", "", "name of the run, in every frame")
	timeout := flags.Duration("timeout", 20*time.Second, "for everything")
	flags.BoolVar(&req.AllThreads, "all-threads", false, "stop and read every thread")
	flags.IntVar(&req.MaxThreads, "max-threads-per-target", probe.DefaultMaxThreads, "how many threads of a target are looked at")
	flags.Func("target", "what to read", func(ref string) error {
		req.Targets = append(req.Targets, ref)
		return nil
	})
	flags.BoolVar(&req.All, "all", false, "read all that has a seccomp mode")
	flags.BoolVar(&req.Config, "config", false, "read the OCI configurations of containers and kubelet's default")
	flags.BoolVar(&req.Self, "self", false, "tell of the probe itself, and whether it can read a filter back")
	duration := flags.Duration("record", 0, "record the targets' calls for as long, after that")
	refusals := flags.Duration("denials", 0, "tell of the targets' refused calls for as long, after that")
	newcomers := flags.Bool("record-new", false, "record containers that come meanwhile, too")
	flags.Func("localhost", "profile that a target declares", func(arg string) error {
		ref, path, ok := strings.Cut(arg, "=")
		if !ok || ref == "" || path == "" {
			return errors.New("want TARGET=PATH")
		}
		if other, ok := req.Localhost[ref]; ok && other != path {
			return fmt.Errorf("%s declares %q already", ref, other)
		}
		req.Localhost[ref] = path
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: %s", flags.Arg(0), usage)
	case !wire.ValidRun(*name):
		return fmt.Errorf("--run %q: want 1 to %d lower case letters, digits and dashes", *name, wire.MaxRun)
	case len(req.Targets) == 0 && !req.All && !req.Self && !*newcomers:
		return errors.New("neither --target nor --all nor --self")
	case *timeout <= 0:
		return fmt.Errorf("--timeout %v: want more than 0", *timeout)
	case *duration < 0:
		return fmt.Errorf("--record %v: want more than 0", *duration)
	case *duration > 0 && len(req.Targets) == 0 && !*newcomers:
		return errors.New("--record: no --target")
	case *refusals < 0:
		return fmt.Errorf("--denials %v: want more than 0", *refusals)
	case *refusals > 0 && len(req.Targets) == 0:
		return errors.New("--denials: no --target")
	case *refusals > 0 && *duration > 0:
		return errors.New("--denials, or --record: not both")
	case *duration == 0 && *newcomers:
		return errors.New("--record-new: no --record")
	case req.MaxThreads <= 0:
		return fmt.Errorf("--max-threads-per-target %d: want more than 0", req.MaxThreads)
	}
	for ref := range req.Localhost {
		if !slices.Contains(req.Targets, ref) {
			return fmt.Errorf("--localhost %s=%s: that is no --target", ref, req.Localhost[ref])
		}
	}

	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(told, *timeout)
	defer cancel()
	w := wire.NewWriter(stdout, *name)
	known := &denials.Known{Sink: w}
	if err := probe.Collect(ctx, req, known); err != nil {
		return err
	}
	var err error
	switch {
	case *duration > 0:
		err = record.Run(told, record.Request{Targets: req.Targets, Duration: *duration, New: *newcomers}, w)
	case *refusals > 0:
		err = denials.Run(told, denials.Request{Targets: req.Targets, Duration: *refusals}, known)
	default:
		return w.End()
	}
	if err != nil {
		return err
	}
	if err := w.End(); err != nil {
		return err
	}
	if told.Err() != nil {
		// The pod is being deleted, and its log with it once this process has
		// ended: whoever follows the log has until then to read what is new.
		time.Sleep(linger)
	}
	return nil
}

// linger is how long the probe stays that is told to end while it records, or tells
// of refused calls. Kubelet
// hands on what is in a log at once.
const linger = time.Second
