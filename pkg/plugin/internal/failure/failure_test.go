package failure

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestCommands has each answer explained with a command for the cluster that was asked,
// and for the one that is configured where none was named.
func TestCommands(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"forbidden":    {apierrors.NewForbidden(pods, "", errors.New(`User "jane" cannot get resource "pods"`)), "auth can-i get pods --subresource=log -n shop`"},
		"unauthorized": {apierrors.NewUnauthorized("Unauthorized"), "auth whoami`"},
		"credentials":  {errors.New("getting credentials: exec: no such file"), "config view --minify`"},
		"certificate":  {&tls.CertificateVerificationError{Err: errors.New("not valid")}, "config view --minify`"},
		"no answer":    {http.ErrServerClosed, "cluster-info`"},
	} {
		for kubectl, begins := range map[string]string{"": "`kubectl ", "kubectl --context=x": "`kubectl --context=x "} {
			r := Request{Verb: "get", Resource: "pods", Subresource: "log", Namespace: "shop", Kubectl: kubectl}
			if err := r.Of("read it", test.err); !strings.Contains(err.Error(), begins+test.want) {
				t.Errorf("%s: %v: want %s", name, err, begins+test.want)
			}
		}
	}
}
