//go:build !linux

package probe

import (
	"context"
	"errors"
	"io"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// KnownCommand is the argument with which this program is a process that has a
// known filter.
const KnownCommand = "known-filter"

// HoldKnown returns an error: there are filters on Linux only.
func HoldKnown([]string, io.Reader, io.Writer) error {
	return errors.New("installing a filter needs Linux")
}

// readKnown is not reached: there is no Tracer.
func (*collector) readKnown(context.Context) (*ptrace.Reading, *wire.Problem) {
	return nil, &wire.Problem{Code: wire.CodeUnsupported, Op: "read back a known filter", Detail: "it needs Linux"}
}

func x32() bool { return false }
