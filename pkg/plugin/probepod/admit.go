package probepod

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// Admit has the API server try the creation of the pod for a request, and create
// nothing: authorization, quota, Pod Security and the admission webhooks that take
// part in a dry run have their say. Of a namespace that the run would make only that
// is tried. It returns the error that Run would.
func Admit(ctx context.Context, c Client, o Options, request Request) error {
	r := &runner{client: c, opts: o, run: runIDFunc()}
	try := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	if o.CreateNamespace {
		ctx, cancel := context.WithTimeout(ctx, createTimeout)
		defer cancel()
		h := r.newHome()
		_, err := c.Namespaces().Create(ctx, h.namespace, try)
		return failure.Request{Verb: "create", Resource: "namespaces", Kubectl: o.Kubectl}.Of("create namespace "+h.namespace.Name, err)
	}
	if err := r.checkNamespace(ctx, request); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	p, err := r.newProbe(request.normal())
	if err != nil {
		return err
	}
	if _, err := p.pods.Create(ctx, p.pod, try); err != nil {
		return p.refusal(err)
	}
	return nil
}
