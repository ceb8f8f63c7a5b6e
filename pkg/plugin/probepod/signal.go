package probepod

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// exitFunc ends the process, with its last words on lastWords: not on a run's
// progress, which may go nowhere. Tests replace both.
var (
	exitFunc            = os.Exit
	lastWords io.Writer = os.Stderr
)

// handleSignals returns a context that the first signal cancels, with
// *Interrupted as its cause. A second signal prints how to delete what is left
// and ends the process. The function ends that; a signal that has come by then
// is the context's cause afterwards.
//
// kubectl's own pkg/util/interrupt is not used, as it takes one signal only: it
// has no answer to a second one while the pods are being deleted.
func (r *runner) handleSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	NotifySignals(signals)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			select {
			case <-done:
				return
			case s := <-signals:
				if first && r.finishRecording() {
					// From here on it is as without a recording. timeout(1) and
					// others send a signal to the process and to its group.
					again := time.Now().Add(sameSignal)
					for time.Now().Before(again) {
						select {
						case <-done:
							return
						case s = <-signals:
						}
					}
				}
				err := &Interrupted{s}
				if !first {
					r.sayLeft()
					exitFunc(err.ExitCode())
					return
				}
				cancel(err)
			}
		}
	}()
	return ctx, sync.OnceFunc(func() {
		// Once Stop returns, what the process has received is in the channel.
		signal.Stop(signals)
		close(done)
		<-ended
		select {
		case s := <-signals:
			cancel(&Interrupted{s})
		default:
			cancel(nil)
		}
	})
}

// sameSignal is how long after a signal another counts as the same.
const sameSignal = time.Second

// NotifySignals has the signals sent to a channel that end a command in good order.
func NotifySignals(signals chan<- os.Signal) {
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		// nohup and shells' background jobs have some of them ignored:
		// then they stay so.
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
}

// sayLeft prints the commands that delete the pods that may be there.
func (r *runner) sayLeft() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.home != nil {
		fmt.Fprintf(lastWords, "not deleted: delete the namespace, and what is in it, by `%s`; the pods stop by themselves by %s\n",
			r.deleteCommandOf(r.home), r.home.until.Format(time.TimeOnly))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.pods)) {
		fmt.Fprintf(lastWords, "not deleted: %s\n", r.deletion(name, r.pods[name]))
	}
}

// register notes a pod before it is created, and forget after it is gone.
func (r *runner) register(name string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pods == nil {
		r.pods = make(map[string]time.Time)
	}
	r.pods[name] = until
}

func (r *runner) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pods, name)
}

// deletion says how a pod is deleted by hand, and what happens otherwise.
func (r *runner) deletion(name string, until time.Time) string {
	return fmt.Sprintf("delete the pod by `%s`; it stops by itself by %s", r.deleteCommand(name), until.Format(time.TimeOnly))
}

// deleteCommand is the command that deletes a pod.
func (r *runner) deleteCommand(name string) string {
	return fmt.Sprintf("%s delete pod %s -n %s --ignore-not-found", r.opts.kubectl(), name, r.opts.namespace())
}
