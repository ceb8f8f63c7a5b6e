package probepod

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// Labels of a namespace by which Pod Security admission goes, and the level that
// admits a probe
// (https://kubernetes.io/docs/concepts/security/pod-security-admission/).
const (
	labelEnforce    = "pod-security.kubernetes.io/enforce"
	labelAudit      = "pod-security.kubernetes.io/audit"
	labelWarn       = "pod-security.kubernetes.io/warn"
	levelPrivileged = "privileged"
)

var podSecurityModes = []string{labelEnforce, labelAudit, labelWarn}

// checkNamespace returns an error if the namespace of the probe pods is certain to
// admit none: it is not there, is going away, or enforces a Pod Security level that
// forbids a probe. Nothing has been created then. request is one of the run's.
//
// Who may not look at namespaces, and an API server that does not answer, leave it
// to the pods' creation to say.
func (r *runner) checkNamespace(ctx context.Context, request Request) error {
	name := r.opts.namespace()
	op := "create probe pods in namespace " + name
	ctx, cancel := context.WithTimeout(ctx, min(createTimeout, r.opts.timeout()))
	defer cancel()
	ns, err := r.client.Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return &failure.Error{Kind: ErrRefused, Op: op, Said: "there is no such namespace", Remedy: r.namespaceRemedy(), Err: err}
	case err != nil:
		return nil
	case ns.DeletionTimestamp != nil:
		return failure.New(ErrRefused, op, "the namespace is being deleted", "name another by --probe-namespace")
	}
	if level := ns.Labels[labelEnforce]; level == "" || level == levelPrivileged {
		return nil
	}
	// Admission may exempt the user, which no label tells
	// (https://kubernetes.io/docs/concepts/security/pod-security-admission/#exemptions):
	// a creation that is only tried does.
	p, err := r.newProbe(request.normal())
	if err != nil {
		return err
	}
	_, err = p.pods.Create(ctx, p.pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil && violatesPodSecurity(err) {
		return p.refusal(err)
	}
	return nil
}

// namespaceRemedy is what helps where the namespace of the probe pods is not there.
func (r *runner) namespaceRemedy() string {
	return fmt.Sprintf("create it by `%s create namespace %s`, name another by --probe-namespace, or have one made by --create-namespace", r.opts.kubectl(), r.opts.namespace())
}

// violatesPodSecurity reports whether an answer is a refusal by Pod Security
// admission (k8s.io/pod-security-admission/admission, EvaluatePod).
func violatesPodSecurity(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "violates PodSecurity")
}

// podSecurityRemedy is what helps where Pod Security forbids probe pods.
func (o Options) podSecurityRemedy() string {
	return fmt.Sprintf("let privileged pods into the namespace by `%s label --overwrite namespace %s %s=%s`, name another by --probe-namespace, or have one made by --create-namespace",
		o.kubectl(), o.namespace(), labelEnforce, levelPrivileged)
}
