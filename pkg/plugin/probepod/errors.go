package probepod

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// Kinds of failure, for errors.Is. What the user is not permitted to do is
// ErrForbidden, a container that changed while it was read
// [target.ErrRestarted].
var (
	ErrForbidden   = failure.ErrForbidden
	ErrRefused     = errors.New("the API server refused the probe pod")
	ErrPodSecurity = errors.New("Pod Security forbids the probe pod")
	ErrQuota       = errors.New("quota exceeded")
	ErrNode        = errors.New("the node refused the probe pod")
	ErrImage       = errors.New("the probe's image cannot be pulled")
	ErrContainer   = errors.New("the probe's container cannot be started")
	ErrGone        = errors.New("the probe pod was deleted by somebody else")
	ErrOutput      = errors.New("the probe's output is incomplete or wrong")
	ErrTimeout     = errors.New("timed out")
	ErrNotDeleted  = errors.New("the probe pod could not be deleted")
)

// Interrupted is the end of a run by a signal.
type Interrupted struct{ Signal os.Signal }

func (e *Interrupted) Error() string { return fmt.Sprintf("interrupted (%v)", e.Signal) }

// ExitCode is what a shell reports of a process that the signal ended.
func (e *Interrupted) ExitCode() int {
	if s, ok := e.Signal.(syscall.Signal); ok {
		return 128 + int(s)
	}
	return 130
}

// NodeError is why a node was not read when others were.
type NodeError struct {
	Node string
	Err  error
}

func (e *NodeError) Error() string { return e.Err.Error() }

func (e *NodeError) Unwrap() error { return e.Err }
