package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// ReferenceCommand is the first argument of the probe's program in a reference
// container; the second is the container's number.
const ReferenceCommand = "reference"

// referenceTimeout is how long a reference container may take to become what it
// is. It is started before the probe; what may be left is the last step of its
// runtime, which executes the program. There is no event for that.
const (
	referenceTimeout = time.Second
	referencePause   = 2 * time.Millisecond
)

// reference finds a reference container of the probe's own pod. It is known by
// what nobody outside of the pod can have: its network namespace is the probe's.
// In there, its program and number are of our choosing.
func (f *finder) reference(ctx context.Context, ref, number string) (*target, *wire.Problem) {
	p := &wire.Problem{Op: "find the reference container"}
	if n, err := strconv.ParseUint(number, 10, 16); err != nil || strconv.FormatUint(n, 10) != number {
		p.Code, p.Detail = wire.CodeInvalidTarget, fmt.Sprintf("%q is not a reference container: want %s:// and its number", ref, schemeReference)
		return nil, p
	}
	own, err := ownPod(f.fs)
	if err != nil {
		p.Code, p.Detail = wire.CodeNoReference, err.Error()
		return nil, p
	}
	for end := time.Now().Add(referenceTimeout); ; {
		process, err := own.reference(f.fs, number)
		switch {
		case err != nil:
			p.Code, p.Detail = wire.CodeUnreadable, err.Error()
			return nil, p
		case process.PID != 0:
			if f.processes[process.PID] {
				return nil, nil
			}
			return f.single(ref, process), nil
		case ctx.Err() != nil:
			return nil, unfinished(ctx, p)
		case time.Now().After(end):
			p.Code, p.Detail = wire.CodeNoReference, "no process of the probe's pod is the reference container "+number
			return nil, p
		}
		select {
		case <-ctx.Done():
		case <-time.After(referencePause):
		}
	}
}

// pod is what the processes of the probe's pod have in common.
type pod struct {
	network, program string
}

func ownPod(fs proc.FS) (pod, error) {
	self := os.Getpid()
	network, err := fs.Namespace(self, "net")
	if err != nil {
		return pod{}, err
	}
	// Whoever started this process is part of the container runtime, in the
	// node's network namespace; or it is a shell, in the same as this process.
	process, err := fs.Process(self)
	if err != nil {
		return pod{}, err
	}
	starter, err := fs.Namespace(process.PPID, "net")
	if err != nil {
		return pod{}, err
	}
	if network == starter {
		return pod{}, errors.New("the probe is in the node's network namespace and not in a pod's own")
	}
	args, err := fs.Arguments(self)
	if err != nil {
		return pod{}, err
	}
	if len(args) == 0 {
		return pod{}, errors.New("the probe has no arguments")
	}
	return pod{network, args[0]}, nil
}

// reference returns the process of a reference container; none if it is not
// there.
func (own pod) reference(fs proc.FS, number string) (proc.Process, error) {
	pids, err := fs.PIDs()
	if err != nil {
		return proc.Process{}, err
	}
	for _, pid := range pids {
		if network, err := fs.Namespace(pid, "net"); err != nil || network != own.network || pid == os.Getpid() {
			continue
		}
		args, err := fs.Arguments(pid)
		if err != nil || len(args) < 3 || args[0] != own.program || args[1] != ReferenceCommand || args[2] != number {
			continue
		}
		if p, err := fs.Process(pid); err == nil {
			return p, nil
		}
	}
	return proc.Process{}, nil
}
