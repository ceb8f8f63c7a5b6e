package probepod

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// Options are what a run of the probe may be told.
type Options struct {
	Image          string
	PullPolicy     corev1.PullPolicy // "": as the API server defaults it
	Namespace      string            // of the probe pods; "": DefaultNamespace
	Timeout        time.Duration     // of the whole run, without the deletion; 0: DefaultTimeout
	LeastPrivilege bool              // not privileged, with only the capabilities that it needs
	PullSecrets    []string          // in Namespace, for the image
	ServiceAccount string            // in Namespace; "": its default one. No token of it is mounted
	PriorityClass  string            // "": as the cluster defaults it
	AllThreads     bool              // stop and read every thread
	KeepGoing      bool              // read the other nodes if one fails
	Record         time.Duration     // for how long calls are recorded, beside Timeout; 0: they are not
	Denials        time.Duration     // for how long refused calls are looked for, in place of Record
	Keep           bool              // do not delete the pods

	Override *Override // of the pods; nil: none

	// CreateNamespace has the run make a namespace for its pods, in place of
	// Namespace, and delete it with them.
	CreateNamespace bool

	// Finish, if not nil, ends the recording once it is closed, as a signal does.
	Finish <-chan struct{}

	// Began, if not nil, is called once calls are recorded on all nodes, or refused
	// ones looked for.
	Began func()
	// Denied, if not nil, is called for each refused call as it happens, with what the
	// node's report says by then (see report.Events). One call ends before another
	// begins.
	Denied func(node string, r *report.Report, d report.Denial)

	Version string    // of the plugin, for the pods' label
	Kubectl string    // how a command that is printed begins, with --context and the like; "": kubectl
	Notices io.Writer // what is told at any rate, unlike progress; nil: standard error

	// Answered, if set, is told of each node that has answered, and how long that took
	// from its pod's creation on. Calls may overlap.
	Answered func(node string, took time.Duration)
}

func (o Options) namespace() string      { return cmp.Or(o.Namespace, DefaultNamespace) }
func (o Options) timeout() time.Duration { return cmp.Or(o.Timeout, DefaultTimeout) }
func (o Options) watch() time.Duration   { return o.Record + o.Denials }
func (o Options) kubectl() string        { return cmp.Or(o.Kubectl, "kubectl") }

// Client is the part of the API that a run needs.
type Client = corev1client.CoreV1Interface

// NewClient returns a client for Run. The timeout of config is for each request, but
// cuts off no log that is followed; Run bounds what it asks for besides. There is no
// limit of requests per second: client-go's of 5 would delay the log.
func NewClient(config *rest.Config) (Client, error) {
	config = rest.CopyConfig(config)
	if limit := config.Timeout; limit > 0 {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next, limit} })
	}
	config.Timeout = 0 // of a stream from its beginning to its end
	config.QPS = -1
	config.RateLimiter = nil
	return corev1client.NewForConfig(config)
}

const (
	// maxConcurrent bounds the probe pods that are there at one time.
	maxConcurrent = 32
	// createTimeout bounds the request that creates a pod, and cleanupTimeout
	// the deletion of one.
	createTimeout  = 10 * time.Second
	cleanupTimeout = 10 * time.Second
)

// runIDFunc names runs, unguessably: a frame with another run's name is not
// taken for one of this run. Tests replace it.
var runIDFunc = func() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Run answers requests, with one probe pod on each of their nodes, all at the same
// time, and returns a verified report for each node. What it waits for is told on
// progress once it takes longer than usual.
//
// If one node fails the others are given up, unless Options.KeepGoing is set:
// then Run returns the reports of the others, and *Incomplete tells of it. Every
// pod is deleted before Run returns, whatever happened, or with Options.Keep named
// with the command that deletes it; an error that wraps ErrNotDeleted tells of those
// that could not be. Reports come with an error where everything was read but a
// target has changed meanwhile (target.ErrRestarted) or a pod could not be
// deleted.
//
// Run handles SIGINT, SIGTERM and SIGHUP while it runs: the first ends it with
// *Interrupted, after the pods are deleted; a second one ends the process at
// once. While calls are recorded or looked for, one before these ends that, and Run
// returns what was seen.
func Run(ctx context.Context, c Client, o Options, requests []Request, progress io.Writer) (map[string]*report.Report, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	r := &runner{client: c, opts: o, run: runIDFunc(), out: progress, nodes: len(requests), heard: time.Now(), finish: make(chan struct{}), reports: make(map[string]*report.Report),
		failed: make(map[string]error), changed: make(map[string]error)}

	parent, stop := r.handleSignals(ctx)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(parent, o.timeout()+o.watch(), ErrTimeout)
	defer cancel()

	if o.Finish != nil {
		go func() {
			select {
			case <-o.Finish:
				r.finishSoon()
			case <-ctx.Done():
			}
		}()
	}
	g, ctx := errgroup.WithContext(ctx)
	if o.watch() == 0 { // all nodes are recorded at the same time
		g.SetLimit(maxConcurrent)
	}
	if r.fail(r.prepare(ctx, requests[0])) == nil {
		for _, request := range requests {
			g.Go(func() error { return r.node(ctx, request.normal()) })
		}
	}
	g.Wait() // and end ctx
	r.sweeping.Wait()
	r.left = append(r.left, r.leave())
	stop()
	if interrupted := new(Interrupted); errors.As(context.Cause(parent), &interrupted) {
		// It may have come when everything was read already. Who interrupts a
		// command does not expect it to succeed.
		r.fail(interrupted)
	}
	left := errors.Join(r.left...)
	var incomplete error
	if len(r.failed)+len(r.changed) > 0 {
		incomplete = &Incomplete{r.failed, r.changed}
	}
	switch {
	case r.first != nil:
		return nil, errors.Join(r.first, incomplete, left)
	case left == nil:
		return r.reports, incomplete
	}
	return r.reports, errors.Join(incomplete, left)
}

// unique returns targets without those that have the same ID as one before.
func unique(targets []target.Container) []target.Container {
	seen := make(map[string]bool)
	return slices.DeleteFunc(slices.Clone(targets), func(t target.Container) bool {
		dup := seen[t.ID]
		seen[t.ID] = true
		return dup
	})
}

// runner is one call of Run.
type runner struct {
	client Client
	opts   Options
	run    string

	mu      sync.Mutex
	out     io.Writer
	reports map[string]*report.Report
	first   error                // why the run failed
	failed  map[string]error     // why nodes did, if that does not end the run
	changed map[string]error     // targets that did, by ID
	left    []error              // what could not be deleted
	home    *home                // the run's own namespace, while it may be there
	pods    map[string]time.Time // that may be there, by name: until when at the latest they run

	nodes  int           // how many there are
	ended  int           // of them, that were read or failed
	heard  time.Time     // when it was last told of how many, or the run began
	began  int           // of them, that record calls
	finish chan struct{} // closed: what is recorded is to be had now
	ending bool          // it is closed
	enough bool          // it is to be, once a recording has begun

	keptPods bool // at the end pods were, as Options.Keep says

	swept    sync.Once // leftovers are looked for
	sweeping sync.WaitGroup
}

// sweepOnce has leftovers deleted in the background, until the run's context ends,
// from the first pod on that was created: it tells what time it is.
func (r *runner) sweepOnce(ctx context.Context, now time.Time) {
	r.swept.Do(func() { r.sweeping.Go(func() { r.sweep(ctx, now) }) })
}

// node answers the request for one node. An error gives up the other nodes.
func (r *runner) node(ctx context.Context, request Request) error {
	if ctx.Err() != nil {
		err := context.Cause(ctx)
		if errors.Is(err, ErrTimeout) {
			err = failure.New(ErrTimeout, "read node "+request.Node, fmt.Sprintf("its turn did not come within %s", r.opts.timeout()), "set a longer --timeout, or name fewer nodes at once")
		}
		return r.nodeFailed(ctx, request.Node, err)
	}
	p, err := r.newProbe(request)
	if err != nil {
		return r.fail(err)
	}
	rep, err := p.do(ctx)
	if err == nil && r.opts.Answered != nil {
		r.opts.Answered(request.Node, time.Since(p.started))
	}

	r.nodeEnded()

	// The pod is deleted and the targets are looked at again at the same time.
	changed := make(chan map[string]error, 1)
	go func() { changed <- p.changed(ctx, rep) }()
	var left error
	if r.opts.Keep && p.uid != "" && !errors.Is(err, ErrGone) {
		p.keep()
		r.mu.Lock()
		r.keptPods = true
		r.mu.Unlock()
	} else {
		left = p.remove()
	}
	moved := <-changed

	r.mu.Lock()
	r.left = append(r.left, left)
	maps.Copy(r.changed, moved)
	if rep != nil {
		r.reports[request.Node] = rep
	}
	r.mu.Unlock()
	if err == nil {
		return nil
	}
	return r.nodeFailed(ctx, request.Node, err)
}

// nodeEnded tells of how many nodes the run is done with, if it has not for a while.
func (r *runner) nodeEnded() {
	r.mu.Lock()
	r.ended++
	ended := r.ended
	news := ended < r.nodes && time.Since(r.heard) >= quiet
	if news {
		r.heard = time.Now()
	}
	r.mu.Unlock()
	if news {
		r.say(fmt.Sprintf("%d of %d nodes", ended, r.nodes))
	}
}

// nodeFailed records why a node was not read. That ends the run, unless others are to be
// read all the same. A node that does not answer in time fails by itself, too.
func (r *runner) nodeFailed(ctx context.Context, node string, err error) error {
	if !r.opts.KeepGoing || ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrTimeout) {
		return r.fail(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[node] = err
	return nil
}

// fail records why the run failed: the first error. What happens at other nodes
// when they are given up for it tells nothing.
func (r *runner) fail(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = cmp.Or(r.first, err)
	return err
}

// notice tells what is told at any rate.
func (r *runner) notice(line string) {
	out := r.opts.Notices
	if out == nil {
		out = os.Stderr
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(out, terminal.Line(line))
}

// say writes a line of progress. Nodes and the API server have a say in it.
func (r *runner) say(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(r.out, terminal.Line(line))
}
