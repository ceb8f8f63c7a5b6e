package plugin

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/local"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// Machine reads processes and containers of the machine that the plugin runs on.
type Machine interface {
	Find(context.Context, local.Operand) (local.Target, error)
	Read(context.Context, probe.Request) (*report.Report, error)
}

// thisMachine is the real one.
type thisMachine struct{}

func (thisMachine) Find(ctx context.Context, o local.Operand) (local.Target, error) {
	if err := local.Supported(); err != nil {
		return local.Target{}, err
	}
	return o.Find(ctx)
}

// Read ends at a signal, with *probepod.Interrupted, and then has let go of
// whatever it had stopped.
func (thisMachine) Read(ctx context.Context, req probe.Request) (*report.Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	probepod.NotifySignals(signals)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-signals:
			cancel(&probepod.Interrupted{Signal: s})
		case <-done:
		}
	}()
	r, err := local.Read(ctx, req)
	signal.Stop(signals)
	close(done)
	<-ended
	select {
	case s := <-signals: // it came while the last was done
		return nil, &probepod.Interrupted{Signal: s}
	default:
	}
	return r, err
}

// readLocal reads what the operands name on this machine, all at once.
func (o *operands) readLocal(ctx context.Context, sources [][]*source.Source) error {
	req := probe.Request{Version: Version, AllThreads: o.flags.probe.allThreads}
	targets := make([]local.Target, len(o.list))
	for i, operand := range o.list {
		if !operand.here {
			continue
		}
		var err error
		if targets[i], err = o.Local.Find(ctx, operand.local); err != nil {
			return err
		}
		req.Targets = append(req.Targets, targets[i].ID)
	}
	if len(req.Targets) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.flags.probe.timeout, tookTooLong(o.flags.probe.timeout))
	defer cancel()
	r, err := o.Local.Read(ctx, req)
	if err != nil {
		return err
	}
	for i, operand := range o.list {
		if !operand.here {
			continue
		}
		w := wanted{id: targets[i].ID, container: target.Container{ID: targets[i].ContainerID, Image: targets[i].Image}}
		s, err := newSource(target.Operand{Text: operand.local.Text}, w, r)
		if err != nil {
			return err
		}
		sources[i] = append(sources[i], s)
	}
	return nil
}

func tookTooLong(limit time.Duration) error {
	return failure.New(probepod.ErrTimeout, "read this machine", fmt.Sprintf("it took longer than %v", limit), "--timeout gives it more")
}
