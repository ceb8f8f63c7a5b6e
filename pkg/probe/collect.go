package probe

import (
	"context"
	"crypto/sha256"
	"runtime"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Sink takes messages: a *wire.Writer.
type Sink interface {
	Write(wire.Message) error
}

// Collect collects from this machine's /proc and writes all there is to say to
// the sink. What cannot be had is a Problem there; the error is the sink's.
//
// When the context ends, so does Collect, with a Problem for what is missing
// then. Nothing is stopped any more when it returns.
func Collect(ctx context.Context, req Request, sink Sink) error {
	if req.MaxThreads <= 0 {
		req.MaxThreads = DefaultMaxThreads
	}
	c := &collector{req: req, fs: proc.Host, sink: sink, origins: newOrigins(proc.Host), filters: make(map[[sha256.Size]byte]int), stacks: make(map[stackKey]int)}
	if err := c.hello(); err != nil {
		return err
	}
	if err := c.prepare(); err != nil {
		return err
	}
	if c.tracer != nil {
		defer c.tracer.Close()
	}
	if req.Self {
		if err := c.self(ctx); err != nil {
			return err
		}
	}
	targets, err := c.find(ctx)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if err := t.read(ctx, t.processes[:1]); err != nil {
			return err
		}
	}
	for _, t := range targets {
		if err := t.read(ctx, t.processes[1:]); err != nil {
			return err
		}
		if err := t.report(); err != nil {
			return err
		}
	}
	if err := c.configured(targets); err != nil {
		return err
	}
	if err := c.verdicts(ctx); err != nil {
		return err
	}
	return c.fingerprints(ctx)
}

// collector is one run.
type collector struct {
	req     Request
	fs      proc.FS
	sink    Sink
	origins *origins
	tracer  *ptrace.Tracer // nil if filters cannot be read
	refused *wire.Problem  // why not

	filters  map[[sha256.Size]byte]int // IDs of those written, by hash
	programs []bpf.Filter              // by ID
	length   int                       // of all programs, in instructions
	stacks   map[stackKey]int          // IDs of those written
	stackOf  []bpf.Stack               // by ID
}

func (c *collector) hello() error {
	h := &wire.Hello{Version: c.req.Version, Arch: runtime.GOARCH}
	h.Kernel, h.Machine = uname()
	for _, abi := range syscalls.OfMachine(runtime.GOARCH) {
		h.ABIs = append(h.ABIs, abi.String())
	}
	return c.sink.Write(h)
}

// prepare makes a tracer if the kernel will let it do its work.
func (c *collector) prepare() error {
	if c.refused = selfCheck(c.fs); c.refused != nil {
		return c.sink.Write(c.refused)
	}
	tracer, err := ptrace.New(c.fs, stopTimeout)
	if err != nil {
		c.refused = &wire.Problem{Code: wire.CodeUnsupported, Op: "start a tracer", Detail: err.Error()}
		return c.sink.Write(c.refused)
	}
	c.tracer = tracer
	return nil
}

// unfinished turns a problem into what ended the context, if that did end.
func unfinished(ctx context.Context, p *wire.Problem) *wire.Problem {
	switch ctx.Err() {
	case nil:
	case context.DeadlineExceeded:
		p.Code, p.Detail, p.Remedy = wire.CodeTimeout, "the time for the whole run was up", "give it more, or fewer containers at once"
	default:
		p.Code, p.Detail, p.Remedy = wire.CodeInterrupted, "the probe was told to end", ""
	}
	return p
}
