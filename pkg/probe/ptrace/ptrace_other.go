//go:build !linux

package ptrace

import (
	"context"
	"errors"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// Tracer reads threads one at a time. There is none but on Linux.
type Tracer struct{}

// New returns an error: filters can be read on Linux only.
func New(proc.FS, time.Duration) (*Tracer, error) {
	return nil, errors.New("reading the filters of a thread needs Linux")
}

// Read is not reached: there is no Tracer.
func (*Tracer) Read(context.Context, proc.Thread) (*Reading, error) {
	return nil, errors.ErrUnsupported
}

// Close is not reached: there is no Tracer.
func (*Tracer) Close() {}
