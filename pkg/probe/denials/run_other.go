//go:build !linux

package denials

import (
	"context"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Run looks for refused calls, which only Linux has.
func Run(_ context.Context, _ Request, sink *Known) error {
	return sink.Write(&wire.Problem{Code: wire.CodeUnsupported, Op: op, Detail: "this is not Linux"})
}
