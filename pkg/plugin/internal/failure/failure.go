// Package failure gives what goes wrong between the plugin and a cluster one
// shape: what was attempted on what, what the system said, what to do.
package failure

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// ErrForbidden is a request that the cluster's authorization refused.
var ErrForbidden = errors.New("forbidden")

// Error is a failure that a user can act on. It is one line, fit for a terminal
// whatever the cluster said.
type Error struct {
	Kind   error  // what errors.Is finds; not printed
	Op     string // what was attempted on what: "start probe pod kube-system/x on node n"
	Said   string // what the system said, or what was found
	Remedy string // what to do; "" if there is nothing to add
	Err    error  // the cause, for errors.Is and errors.As; not printed
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Said != "" {
		b.WriteString(": " + e.Said)
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return terminal.Line(b.String())
}

func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Request is one kind of request to the API server.
type Request struct {
	Verb, Resource, Subresource, Namespace string

	Kubectl string // how a command that is printed begins; "": kubectl
}

func (r Request) kubectl() string { return cmp.Or(r.Kubectl, "kubectl") }

// canI is the command that asks whether the request is permitted.
func (r Request) canI() string {
	cmd := r.kubectl() + " auth can-i " + r.Verb + " " + r.Resource
	if r.Subresource != "" {
		cmd += " --subresource=" + r.Subresource
	}
	if r.Namespace != "" {
		cmd += " -n " + r.Namespace
	}
	return cmd
}

func (r Request) String() string {
	s := r.Verb + " " + r.Resource
	if r.Subresource != "" {
		s += "/" + r.Subresource
	}
	if r.Namespace != "" {
		s += " in namespace " + r.Namespace
	}
	return s
}

// Of wraps what the API server answered to a request that served op. A refusal
// by authorization names the permission that is missing.
func (r Request) Of(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case IsRBAC(err):
		return &Error{
			Kind: ErrForbidden, Op: op, Err: err,
			Said:   "you are not allowed to " + r.String(),
			Remedy: "ask for that permission; `" + r.canI() + "` tells whether you have it",
		}
	case apierrors.IsUnauthorized(err):
		return &Error{
			Kind: ErrForbidden, Op: op, Err: err,
			Said:   "the API server does not accept your credentials",
			Remedy: "log in again; `" + r.kubectl() + " auth whoami` tells who you are to it",
		}
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return &Error{Op: op, Said: Clip(err.Error()), Err: err}
	}
	// client-go has no kind of error for it.
	if _, said, ok := strings.Cut(err.Error(), credentials); ok {
		said, _, _ = strings.Cut(said, "\n\n") // general advice follows
		return &Error{Kind: ErrForbidden, Op: op, Err: err, Said: "your credentials could not be had: " + Clip(said),
			Remedy: "log in, or see the user of your kubeconfig: `" + r.kubectl() + " config view --minify`"}
	}
	if certificate := (*tls.CertificateVerificationError)(nil); errors.As(err, &certificate) {
		return &Error{Op: op, Said: Clip(err.Error()), Err: err,
			Remedy: "see the cluster of your kubeconfig: `" + r.kubectl() + " config view --minify`"}
	}
	return &Error{Op: op, Said: Clip(err.Error()), Err: err,
		Remedy: "the API server did not answer: see `" + r.kubectl() + " cluster-info`"}
}

// credentials begins what the error of a credential plugin says
// (k8s.io/client-go/plugin/pkg/client/auth/exec).
const credentials = "getting credentials: "

// IsRBAC reports whether an answer is a refusal by the cluster's authorization,
// and not by its admission, which answers with the same code and reason. They
// differ in the message: the authorizer's names the user and the verb
// (k8s.io/apiserver/pkg/endpoints/handlers/responsewriters, ForbiddenStatusError).
func IsRBAC(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `User "`) && strings.Contains(err.Error(), " cannot ")
}

// maxSaid bounds, in bytes, what is quoted of a stranger in one error.
const maxSaid = 400

// Clip bounds a stranger's message.
func Clip(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxSaid {
		return strings.ToValidUTF8(s[:maxSaid], "") + "…"
	}
	return s
}

// New returns an Error of a kind.
func New(kind error, op, said, remedy string) *Error {
	return &Error{Kind: kind, Op: op, Said: said, Remedy: remedy}
}

// Quote is %q, bounded: for what a user typed or a cluster named.
func Quote(s string) string { return fmt.Sprintf("%q", Clip(s)) }
