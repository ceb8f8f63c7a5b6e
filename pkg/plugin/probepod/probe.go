package probepod

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// probe is one pod, from before its creation until it is gone.
type probe struct {
	*runner
	request Request
	pods    corev1client.PodInterface
	pod     *corev1.Pod // as asked for
	asked   bool        // its creation was: it may be there
	uid     types.UID   // once it was answered
	version string      // the resource version that was answered
	started time.Time
	until   time.Time // when kubelet ends it at the latest
	told    string    // the last line of progress

	recording bool // the probe has said so; under runner.mu
	finishing bool // the pod is being deleted so that it ends its recording

	partial *report.Report // what was read of a recording before the output was cut
	denials int            // how many were handed out; under runner.mu
}

func (r *runner) newProbe(request Request) (*probe, error) {
	pod, err := r.newPod(request)
	if err != nil {
		return nil, err
	}
	return &probe{runner: r, request: request, pods: r.client.Pods(pod.Namespace), pod: pod}, nil
}

func (p *probe) String() string {
	return "probe pod " + p.pod.Namespace + "/" + p.pod.Name + " on node " + p.request.Node
}

// permission is for a request that concerns the probe's pod.
func (p *probe) permission(verb, subresource string) failure.Request {
	return failure.Request{Verb: verb, Resource: "pods", Subresource: subresource, Namespace: p.pod.Namespace, Kubectl: p.opts.Kubectl}
}

// do creates the pod and reads its output. With an error comes what the output had of
// a recording by then, if it had something. The caller removes the pod.
func (p *probe) do(ctx context.Context) (*report.Report, error) {
	if err := p.create(ctx); err != nil {
		return nil, err
	}
	rep, err := p.read(ctx)
	if err != nil {
		if p.partial != nil && p.answers(p.partial) == nil {
			return p.partial, err
		}
		return nil, err
	}
	if err := p.answers(rep); err != nil {
		return nil, err
	}
	p.explainReferences(ctx, rep)
	return rep, nil
}

// explainReferences adds to a report why references were not found: kubelet
// starts the probe also if what comes before it cannot be started.
func (p *probe) explainReferences(ctx context.Context, rep *report.Report) {
	var pod *corev1.Pod
	for n := range p.request.References {
		problems := rep.Targets[ReferenceID(n)].Problems
		i := slices.IndexFunc(problems, func(p wire.Problem) bool { return p.Code == wire.CodeNoReference })
		if i < 0 {
			continue
		}
		if pod == nil {
			var err error
			if pod, err = p.pods.Get(ctx, p.pod.Name, metav1.GetOptions{}); err != nil {
				return // what the probe said stands
			}
		}
		for _, s := range pod.Status.ContainerStatuses {
			if s.Name != referenceName(n) {
				continue
			}
			switch {
			case s.State.Waiting != nil && s.State.Waiting.Message != "":
				problems[i].Detail = s.State.Waiting.Reason + ": " + failure.Clip(s.State.Waiting.Message)
			case s.State.Terminated != nil:
				problems[i].Detail = "it ended with " + exit(s.State.Terminated)
			}
		}
	}
}

// create creates the pod. An interrupt does not cut the request off: that would
// leave open whether there is a pod, and the answer takes milliseconds.
func (p *probe) create(ctx context.Context) error {
	p.started = time.Now()
	p.asked = true
	p.until = p.started.Add(time.Duration(*p.pod.Spec.ActiveDeadlineSeconds) * time.Second)
	p.register(p.pod.Name, p.until)

	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(createTimeout, p.opts.timeout()))
	defer cancel()
	created, err := p.pods.Create(request, p.pod, metav1.CreateOptions{})
	if err != nil {
		if refused(err) {
			p.asked = false
			p.forget(p.pod.Name)
		}
		if ctx.Err() != nil {
			return p.gaveUp(ctx, "")
		}
		return p.refusal(err)
	}
	p.uid, p.version = created.UID, created.ResourceVersion
	p.sweepOnce(ctx, created.CreationTimestamp.Time)
	if ctx.Err() != nil {
		return p.gaveUp(ctx, "")
	}
	return nil
}

// refused reports whether an answer says for certain that nothing was created.
// That there is a pod of the name already does not: it may be of a request that
// was sent twice, the first time without an answer.
func refused(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && code != 408 && !apierrors.IsAlreadyExists(err)
}

// remove deletes the pod if it may be there. It does so whatever became of the
// run's context, in a bounded time, and returns an error that wraps
// ErrNotDeleted if it is not certain that the pod is gone.
func (p *probe) remove() error {
	if !p.asked {
		return nil
	}
	err := insist(p.uid != "", p.delete, func(err error) {
		p.tell("deleting " + p.String() + ": " + failure.Clip(err.Error()) + "; trying again")
	})
	if err != nil {
		return &failure.Error{
			Kind: ErrNotDeleted, Op: "delete " + p.String(), Err: err,
			Said:   failure.Clip(err.Error()),
			Remedy: p.deletion(p.pod.Name, p.until),
		}
	}
	p.forget(p.pod.Name)
	return nil
}

// insist removes an object until it is certain that it is gone, for as long as
// cleanupTimeout. seen tells whether its creation was answered. An attempt that fails
// and is made again is told.
func insist(seen bool, remove func(context.Context) error, again func(error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	// What nobody has seen yet may be created by a request that is still
	// on its way: look more than once.
	looks := 1
	if !seen {
		looks = 5
	}
	for {
		err := remove(ctx)
		if err == nil {
			return nil
		}
		if looks--; apierrors.IsNotFound(err) && looks <= 0 {
			return nil
		}
		if failure.IsRBAC(err) || !waitFor(ctx, retryInterval) {
			return err
		}
		if !apierrors.IsNotFound(err) {
			again(err)
		}
	}
}

// keep leaves the pod where it is, and says how it is deleted.
func (p *probe) keep() {
	p.notice(fmt.Sprintf("kept: %s; delete it by `%s`", p, p.deleteCommand(p.pod.Name)))
	p.forget(p.pod.Name)
}

// delete deletes the pod once. A pod that is not this run's is left alone.
func (p *probe) delete(ctx context.Context) error {
	uid := p.uid
	if uid == "" {
		pod, err := p.pods.Get(ctx, p.pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.Labels[LabelInstance] != p.run {
			return nil
		}
		uid = pod.UID
	}
	return deletePod(ctx, p.pods, p.pod.Name, uid)
}

const (
	// pollFast is between two requests for a log that is not there yet: there is
	// no event to wait for, as a kubelet serves a container's log before it
	// reports that the container runs. After pollFastFor, when it is known that
	// an image is being pulled or the node is slow, pollSlow will do.
	pollFast    = 50 * time.Millisecond
	pollFastFor = 2 * time.Second
	pollSlow    = 500 * time.Millisecond
	// retryInterval is between two attempts when the API server does not answer.
	retryInterval = 500 * time.Millisecond
	// stallTimeout is how long a log that is followed may go on after the
	// container has ended. Follows are known to stall when a log is rotated
	// (kubernetes/kubernetes#115701).
	stallTimeout = 2 * time.Second
)

// reading is where reading a probe's output stands.
type reading struct {
	ended   *corev1.ContainerStateTerminated // once the container has
	broken  error                            // why the followed log was not enough
	status  string                           // what the pod is doing, for people
	problem string                           // the last request that failed, for people
	cancel  context.CancelFunc               // of the attempt that is under way; nil: none is
}

// attempt is the outcome of one request for the log.
type attempt struct {
	report *report.Report
	opened bool // the log was there
	whole  bool // it was read after the container's end
	err    error
}

// read reads the probe's output to its end. It asks for the log until it is
// there, follows it, and watches the pod beside that for what can go wrong.
func (p *probe) read(ctx context.Context) (*report.Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		r        reading
		events   = p.watch(ctx)
		attempts = make(chan attempt, 1)
		next     = time.NewTimer(pollFast)
		stalled  <-chan time.Time
		finish   = p.finish
		gone     error // the pod is, and the end of its log may still come
	)
	defer next.Stop()
	defer func() {
		if r.cancel != nil {
			r.cancel()
			p.keepPartial(<-attempts)
		}
	}()
	try := func() {
		if r.cancel != nil || r.broken != nil && r.ended == nil && !p.isRecording() {
			return // one is under way, or the end has to come first, which is not far
		}
		var one context.Context
		one, r.cancel = context.WithCancel(ctx)
		whole := r.ended != nil
		go func() { attempts <- p.attempt(one, whole) }()
	}
	for {
		p.tellLate(r.waitingFor())
		select {
		case <-ctx.Done():
			return nil, p.gaveUp(ctx, r.waitingFor())

		case <-finish:
			finish = nil
			p.finishing = true
			go p.terminate(ctx)

		case e := <-events:
			if e.err != nil && p.writes() && errors.Is(e.err, ErrGone) && r.cancel != nil {
				// Whoever deleted it, it was told to end, and kubelet may still hand
				// on the end of its log.
				gone = e.err
				if stalled == nil {
					stalled = time.After(stallTimeout)
				}
				continue
			}
			if e.err != nil {
				return nil, e.err
			}
			r.problem = e.problem
			if e.pod == nil {
				continue
			}
			if err := p.fatal(e.pod); err != nil {
				return nil, err
			}
			r.status = statusLine(e.pod)
			if t := terminated(e.pod); t != nil && r.ended == nil {
				r.ended = t
				stalled = time.After(stallTimeout)
			}
			try()

		case <-stalled:
			if r.cancel != nil {
				r.cancel()
			}

		case <-next.C:
			try()

		case a := <-attempts:
			r.cancel()
			r.cancel = nil
			if a.err == nil {
				return a.report, nil
			}
			p.keepPartial(a)
			if gone != nil {
				return nil, gone
			}
			wait, err := p.after(&r, a)
			if err != nil && ctx.Err() == nil {
				return nil, err
			}
			next.Reset(wait)
		}
	}
}

// after decides what follows a request for the log that yielded no report: how
// long until the next, or an error if there is none.
func (p *probe) after(r *reading, a attempt) (time.Duration, error) {
	switch {
	case !a.opened && failure.IsRBAC(a.err):
		return 0, p.permission("get", "log").Of("read the log of "+p.String(), a.err)

	case !a.opened && apierrors.IsBadRequest(a.err):
		// "container … is waiting to start": kubelet has no log yet.
		if time.Since(p.started) < pollFastFor {
			return pollFast, nil
		}
		return pollSlow, nil

	case !a.opened:
		r.problem = "its log cannot be had: " + failure.Clip(a.err.Error())
		return retryInterval, nil

	case isAny(a.err, wrong...), a.whole && isAny(a.err, cut...):
		return 0, p.badOutput(r.ended, a.err)

	case a.whole:
		r.problem = "its log cannot be read: " + failure.Clip(a.err.Error())
		return retryInterval, nil
	}
	// Cut, garbled or stalled under way: once the container has ended its whole
	// log tells for certain.
	r.broken = a.err
	if p.isRecording() {
		return retryInterval, nil // the end can be far: it is followed again
	}
	return 0, nil
}

// keepPartial keeps what an attempt has read of a recording.
func (p *probe) keepPartial(a attempt) {
	if a.err != nil && a.report != nil {
		p.partial = a.report
	}
}

// What can be wrong with output: that it was not whole, or not as written, which
// the log that is read again after the container's end may set right; and what
// no other reading changes.
var (
	cut   = []error{wire.ErrNoEnd, wire.ErrMalformed, wire.ErrSequence, wire.ErrChecksum}
	wrong = []error{
		wire.ErrVersion, wire.ErrRun, wire.ErrUnknownType, wire.ErrInvalid, wire.ErrTooLarge,
		report.ErrDisagree, report.ErrImpossible, report.ErrUnknownMachine, report.ErrTooMany,
	}
)

func isAny(err error, kinds ...error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}

// attempt asks for the log and reads it: the whole log of a container that has
// ended, or what comes of one that may still run.
func (p *probe) attempt(ctx context.Context, whole bool) attempt {
	log, err := p.pods.GetLogs(p.pod.Name, &corev1.PodLogOptions{Container: containerName, Follow: !whole}).Stream(ctx)
	if err != nil {
		return attempt{err: err}
	}
	defer log.Close()
	rep, err := report.Follow(ctx, log, p.run, report.Events{Began: p.records, Denied: p.denied})
	return attempt{report: rep, opened: true, whole: whole, err: err}
}

// badOutput is the error for output that is not a report.
func (p *probe) badOutput(ended *corev1.ContainerStateTerminated, err error) error {
	said := err.Error()
	if ended != nil && ended.ExitCode != 0 {
		said = "the probe ended with " + exit(ended) + "; " + said
	}
	remedy := "run this again"
	switch {
	case errors.Is(err, wire.ErrVersion):
		remedy = "the image " + p.opts.Image + " is of another release than this plugin: leave --image out, or match it"
	case errors.Is(err, report.ErrDisagree), errors.Is(err, report.ErrImpossible):
		remedy = "this is a bug of the probe, or the node is not to be trusted"
	case ended != nil && ended.Reason == "OOMKilled":
		remedy = "the probe needs more than " + memoryLimit + ": name fewer targets, or set its resources by --override"
	}
	return &failure.Error{Kind: ErrOutput, Op: "read the output of " + p.String(), Said: failure.Clip(said), Remedy: remedy, Err: err}
}

// answers checks that a report speaks of what was asked for and of nothing else.
func (p *probe) answers(rep *report.Report) error {
	asked := make(map[string]bool)
	for _, id := range p.request.targets() {
		asked[id] = true
		if rep.Targets[id] == nil {
			return p.badOutput(nil, fmt.Errorf("it says nothing of %s", p.request.name(id)))
		}
	}
	if p.request.Self && rep.Self == nil {
		return p.badOutput(nil, errors.New("it says nothing of the probe itself"))
	}
	for id := range rep.Targets {
		if !asked[id] && !p.request.All {
			return p.badOutput(nil, fmt.Errorf("it speaks of %q, which was not asked for", id))
		}
	}
	return nil
}

// changedTimeout is how long kubelet has to report what became of a container
// whose processes the probe did not find.
const changedTimeout = 4 * time.Second

// maxLooks is how many pods are looked at again at the same time.
const maxLooks = 8

// changed returns why targets are not, or may not be, what they were when they
// were resolved, by ID.
func (p *probe) changed(ctx context.Context, rep *report.Report) map[string]error {
	if rep == nil {
		return nil
	}
	pods := make(map[string][]target.Container)
	for _, t := range p.request.Containers {
		pods[t.PodUID] = append(pods[t.PodUID], t)
	}
	var (
		mu   sync.Mutex
		errs = make(map[string]error)
		g    errgroup.Group
	)
	g.SetLimit(maxLooks)
	for _, uid := range slices.Sorted(maps.Keys(pods)) {
		g.Go(func() error {
			changed := p.podChanged(ctx, pods[uid], rep)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(errs, changed)
			return nil
		})
	}
	g.Wait()
	return errs
}

// podChanged is changed for the containers of one pod.
func (p *probe) podChanged(ctx context.Context, containers []target.Container, rep *report.Report) map[string]error {
	run := ctx
	ctx, cancel := context.WithTimeout(ctx, changedTimeout)
	defer cancel()
	// Of one that was not found kubelet may not know yet that it has ended. One in
	// a sandbox has no processes, and is there.
	lost := func(changed map[string]error) bool {
		return slices.ContainsFunc(containers, func(c target.Container) bool {
			return !rep.Targets[c.ID].Found() && !sandboxed(rep.Targets[c.ID]) && changed[c.ID] == nil
		})
	}
	resolver := target.Resolver{Client: p.client, Kubectl: p.opts.Kubectl}
	changed, err := resolver.Changed(ctx, containers)
	for err == nil && lost(changed) && waitFor(ctx, retryInterval) {
		var latest map[string]error
		if latest, err = resolver.Changed(ctx, containers); err == nil {
			changed = latest
		}
	}
	if run.Err() != nil {
		if cause := context.Cause(run); !errors.Is(cause, ErrTimeout) {
			return nil // the cause is the run's error
		}
		err = p.gaveUp(run, "to see whether "+containers[0].String()+" has changed")
	}
	errs := make(map[string]error)
	for _, c := range containers {
		switch found := rep.Targets[c.ID].Found(); {
		case changed[c.ID] != nil:
			errs[c.ID] = changed[c.ID]
		case !found && !sandboxed(rep.Targets[c.ID]):
			errs[c.ID] = failure.New(target.ErrRestarted, "read "+c.String(),
				"node "+p.request.Node+" has no process of "+c.ID,
				"it ended or restarted while it was read, or its runtime runs it in a sandbox of its own (gVisor, Kata): run this again")
		case err != nil:
			errs[c.ID] = err
		}
	}
	return errs
}

// sandboxed tells a container that has no processes on the node for what it is.
func sandboxed(t *report.Target) bool {
	return slices.ContainsFunc(t.Problems, func(p wire.Problem) bool { return p.Code == wire.CodeSandbox })
}

// gaveUp is the error for a run that ended before its answer came.
func (p *probe) gaveUp(ctx context.Context, waitingFor string) error {
	cause := context.Cause(ctx)
	if !errors.Is(cause, ErrTimeout) {
		return cause
	}
	said := fmt.Sprintf("no answer within %s", p.opts.timeout())
	if waitingFor != "" {
		said += ": " + waitingFor
	}
	if why := p.nodeTrouble(); why != "" {
		said += "; " + why
	}
	return &failure.Error{Kind: ErrTimeout, Op: "wait for " + p.String(), Said: said,
		Remedy: "if that only takes its time, set a longer --timeout", Err: cause}
}

// waitFor waits and reports whether the context is still alive.
func waitFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// quiet is how long a run says nothing about what it waits for: most are done
// by then.
const quiet = time.Second

// tellLate tells what is waited for once that takes longer than usual.
func (p *probe) tellLate(line string) {
	if line != "" && time.Since(p.started) >= quiet {
		p.tell("waiting for " + p.String() + ": " + line)
	}
}

// tell writes a line of progress if it is news.
func (p *probe) tell(line string) {
	if line != p.told {
		p.told = line
		p.say(line)
	}
}
