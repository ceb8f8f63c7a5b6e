package probepod

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// AnnotationDeadline is on a namespace that a run has made for its pods: after how
// many seconds the run has ended, as activeDeadlineSeconds has it for a pod.
const AnnotationDeadline = annotationPrefix + "active-deadline-seconds"

// home is the namespace that a run makes for its pods, from before its creation
// until its deletion is accepted.
type home struct {
	namespace *corev1.Namespace // as asked for
	asked     bool              // its creation was: it may be there
	uid       types.UID         // once it was answered
	until     time.Time         // when all that runs in it has ended at the latest
}

// NewNamespace returns the namespace that a run makes for its pods: one that admits
// them, and says nothing about it.
func NewNamespace(o Options, name, run string) *corev1.Namespace {
	ns := &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      o.labels(run),
			Annotations: map[string]string{AnnotationDeadline: strconv.FormatInt(o.deadlineSeconds(), 10)},
		},
	}
	for _, mode := range podSecurityModes {
		ns.Labels[mode] = levelPrivileged
	}
	if o.Keep {
		ns.Annotations[AnnotationKeep] = "true"
	}
	return ns
}

// newHome makes a name for a run's own namespace, which its pods are in from then on.
func (r *runner) newHome() *home {
	r.opts.Namespace = Name + "-" + nameSuffixFunc(namespaceSuffix)
	return &home{namespace: NewNamespace(r.opts, r.opts.Namespace, r.run)}
}

// prepare sees to the namespace of the probe pods, or says why there can be none.
func (r *runner) prepare(ctx context.Context, request Request) error {
	if r.opts.CreateNamespace {
		return r.createHome(ctx)
	}
	return r.checkNamespace(ctx, request)
}

// createHome creates the run's own namespace. Of interrupts it holds what holds of a
// pod's creation.
func (r *runner) createHome(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	h := r.newHome()
	h.asked = true
	h.until = time.Now().Add(r.opts.timeout() + time.Duration(r.opts.deadlineSeconds())*time.Second)
	r.settle(h)

	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(createTimeout, r.opts.timeout()))
	defer cancel()
	created, err := r.client.Namespaces().Create(request, h.namespace, metav1.CreateOptions{})
	switch {
	case err == nil:
		h.uid = created.UID
		return nil
	case refused(err):
		r.settle(nil)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	op := "create namespace " + h.namespace.Name
	if !failure.IsRBAC(err) && refused(err) {
		return &failure.Error{Kind: ErrRefused, Op: op, Said: failure.Clip(err.Error()), Err: err,
			Remedy: "name a namespace that is there by --probe-namespace"}
	}
	return failure.Request{Verb: "create", Resource: "namespaces", Kubectl: r.opts.Kubectl}.Of(op, err)
}

// settle notes the run's own namespace before it is created, and that there is none.
func (r *runner) settle(h *home) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.home = h
}

// leave deletes the run's own namespace, if there is one, or keeps it with the pods
// that are kept in it. The API server has accepted the deletion then, and refuses
// new objects; what is there Kubernetes takes away within seconds.
func (r *runner) leave() error {
	h := r.home
	switch {
	case h == nil:
		return nil
	case r.keptPods:
		r.notice(fmt.Sprintf("kept: namespace %s; delete it by `%s`", h.namespace.Name, r.deleteCommandOf(h)))
		r.settle(nil)
		return nil
	}
	op := "delete namespace " + h.namespace.Name
	who, err := r.stranger(op)
	if err != nil {
		return &failure.Error{Kind: ErrNotDeleted, Op: op, Said: "whether somebody else's pod is in it is not known: " + failure.Clip(err.Error()), Err: err,
			Remedy: "if there is none, delete it by `" + r.deleteCommandOf(h) + "`; what runs in it stops by itself by " + h.until.Format(time.TimeOnly)}
	}
	if who != "" {
		r.settle(nil)
		return failure.New(ErrNotDeleted, op, "it holds pod "+who+", which is not of this run",
			"if that can go, delete both by `"+r.deleteCommandOf(h)+"`")
	}
	err = insist(h.uid != "", r.deleteHomeOnce, func(err error) {
		r.say(op + ": " + failure.Clip(err.Error()) + "; trying again")
	})
	if err != nil {
		return &failure.Error{Kind: ErrNotDeleted, Op: op, Said: failure.Clip(err.Error()), Err: err,
			Remedy: "delete it by `" + r.deleteCommandOf(h) + "`; what runs in it stops by itself by " + h.until.Format(time.TimeOnly)}
	}
	r.settle(nil)
	return nil
}

// stranger names a pod in the run's own namespace that is not the run's, "" if there is
// none. An error says why that is not known. op is what it is asked for.
func (r *runner) stranger(op string) (name string, err error) {
	insist(true, func(ctx context.Context) error {
		name, err = strangePod(ctx, r.client, r.home.namespace.Name, func(pod *corev1.Pod) bool {
			return made(pod) && pod.Labels[LabelInstance] == r.run
		})
		return err
	}, func(err error) { r.say(op + ": " + failure.Clip(err.Error()) + "; trying again") })
	return name, err
}

func (r *runner) deleteHomeOnce(ctx context.Context) error {
	name, uid := r.home.namespace.Name, r.home.uid
	if uid == "" {
		ns, err := r.client.Namespaces().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if ns.Labels[LabelInstance] != r.run {
			return nil
		}
		uid = ns.UID
	}
	return deleteNamespace(ctx, r.client.Namespaces(), name, uid)
}

// deleteCommandOf is the command that deletes a run's own namespace.
func (r *runner) deleteCommandOf(h *home) string {
	return r.opts.kubectl() + " delete namespace " + h.namespace.Name + " --ignore-not-found"
}

// deleteNamespace has one namespace deleted, and no other that has come by its name.
// That it is gone or going already is no error.
func deleteNamespace(ctx context.Context, c corev1client.NamespaceInterface, name string, uid types.UID) error {
	err := c.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
