package probepod

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
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

// Unseen is that the user is not allowed to look for namespaces.
type Unseen struct{ Err error }

func (e *Unseen) Error() string { return e.Err.Error() }
func (e *Unseen) Unwrap() error { return e.Err }

// Incomplete is what Run returns beside reports, with Options.KeepGoing, if they do
// not say all that was asked for.
type Incomplete struct {
	// Failed is why nodes were not read.
	Failed map[string]error
	// Changed tells of containers, by ID, that were not what they had been when
	// they were resolved: the errors wrap target.ErrRestarted. Others say why that
	// is not known.
	Changed map[string]error
}

func (e *Incomplete) Error() string { return errors.Join(e.Unwrap()...).Error() }

func (e *Incomplete) Unwrap() []error {
	var list []error
	for _, errs := range []map[string]error{e.Failed, e.Changed} {
		for _, key := range slices.Sorted(maps.Keys(errs)) {
			list = append(list, errs[key])
		}
	}
	return list
}
