package probepod

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// recordGracePeriod in seconds: what a probe that records has, after SIGTERM, to
// write what it has seen, and its client to read that.
const recordGracePeriod = 15

func (o Options) gracePeriod() int64 {
	if o.Record > 0 || o.Denials > 0 {
		return recordGracePeriod
	}
	return gracePeriod
}

// records notes that the probe records calls, or looks for refused ones.
func (p *probe) records() {
	p.mu.Lock()
	first := !p.recording // of a log that is read again, it is no news
	p.recording = true
	if first {
		p.began++
	}
	all := first && p.began == p.nodes
	if p.enough {
		p.end()
	}
	p.mu.Unlock()
	if all && p.opts.Began != nil {
		p.opts.Began()
	}
}

// denied hands a refused call out. Of a log that is read again, those that were handed
// out before come first.
func (p *probe) denied(r *report.Report, d report.Denial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.Seq <= p.denials || p.opts.Denied == nil {
		return
	}
	p.denials = d.Seq
	p.opts.Denied(p.request.Node, r, d)
}

// finishRecording has all probes end their recordings. It reports false where none
// has begun.
func (r *runner) finishRecording() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began == 0 {
		return false
	}
	r.end()
	return true
}

// finishSoon has all probes end their recordings, once one has begun.
func (r *runner) finishSoon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.enough = true; r.began > 0 {
		r.end()
	}
}

// end closes finish, once; under mu.
func (r *runner) end() {
	if !r.ending {
		r.ending = true
		close(r.finish)
	}
}

// isRecording reports whether the probe has said so.
func (p *probe) isRecording() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recording
}

// writes reports whether a probe that is told to end, by whomever, writes what it has
// before it does.
func (p *probe) writes() bool { return p.finishing || p.isRecording() }

// terminate has kubelet tell the probe to end, by deleting its pod. What the probe
// then writes is still in the log that is followed: it waits a while before it ends,
// and the pod is there until it has.
func (p *probe) terminate(ctx context.Context) {
	for {
		request, cancel := context.WithTimeout(ctx, cleanupTimeout)
		err := p.pods.Delete(request, p.pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To(int64(recordGracePeriod)),
			Preconditions:      &metav1.Preconditions{UID: &p.uid},
		})
		cancel()
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || !waitFor(ctx, retryInterval) {
			return
		}
		p.tell("ending the recording of " + p.String() + ": " + err.Error() + "; trying again")
	}
}
