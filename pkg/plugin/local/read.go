package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"runtime"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Supported returns an error where there is nothing to read: seccomp is Linux'.
func Supported() error {
	if runtime.GOOS == "linux" {
		return nil
	}
	return failure.New(nil, "read this machine", "it runs "+runtime.GOOS+", and seccomp is a part of Linux", "run this on the Linux machine itself")
}

// Read has the probe read this machine, and verifies what it says. Problems in the
// report are in terms of this machine. When the context ends, so does Read, with its
// cause; no thread is stopped any more then.
func Read(ctx context.Context, req probe.Request) (*report.Report, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	run := newRun()
	collected := make(chan error, 1)
	go func() {
		frames := wire.NewWriter(w, run)
		err := probe.Collect(ctx, req, frames)
		if err == nil {
			err = frames.End()
		}
		w.CloseWithError(err)
		collected <- err
	}()
	result, err := report.Read(context.WithoutCancel(ctx), r, run)
	// Whatever became of the reading, the probe lets go of what it holds.
	r.CloseWithError(err)
	<-collected
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, failure.New(nil, "read this machine", err.Error(), "")
	}
	for i := range result.Problems {
		here(&result.Problems[i])
	}
	for _, t := range result.Targets {
		for i := range t.Problems {
			here(&t.Problems[i])
		}
	}
	return result, nil
}

// newRun names a run: a frame of another one is none of this.
func newRun() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return "local-" + hex.EncodeToString(b[:])
}

// asRoot is what to do where something is not permitted.
const asRoot = "run it as root: `sudo kubectl-seccomp …`"

// here has a problem speak of this machine rather than of a probe's pod and its
// node.
func here(p *wire.Problem) {
	switch p.Code {
	case wire.CodePermission:
		switch {
		case p.PID == 0 && p.TID == 0:
			p.Op, p.Remedy = "read the filters of other processes", asRoot
		case p.Remedy != "":
			p.Remedy = strings.Replace(p.Remedy, "the probe needs", "it takes", 1)
		}
	case wire.CodeProbeConfined:
		p.Op, p.Detail, p.Remedy = "read the filters of other processes", "this process runs under seccomp itself, so the kernel will not let it", "run it outside of the container, or wherever it is confined"
	case wire.CodeNotFound:
		p.Detail, p.Remedy = "this machine has none such", "see whether it still runs; what runs in a virtual machine (Docker Desktop) is on another one"
	}
}
