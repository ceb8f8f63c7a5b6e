//go:build !linux

package record

import (
	"context"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Run records calls, which only Linux has.
func Run(_ context.Context, _ Request, sink Sink) error {
	return sink.Write(&wire.Problem{Code: wire.CodeUnsupported, Op: "record calls", Detail: "this is not Linux"})
}
