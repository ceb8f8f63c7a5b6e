package probepod

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNamespaceIsChecked has namespaces that admit no probe, and such as do: nothing
// is created in the former.
func TestNamespaceIsChecked(t *testing.T) {
	labelled := func(level string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			answer(w, namespace(r.PathValue("ns"), map[string]string{"pod-security.kubernetes.io/enforce": level}))
			return true
		}
	}
	violates := refuser(403, metav1.StatusReasonForbidden,
		`pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true), privileged (container "probe" must not set securityContext.privileged=true)`)
	for name, test := range map[string]struct {
		namespace, create func(http.ResponseWriter, *http.Request) bool // nil: as usual
		kind              error                                         // nil: the run goes on
		say               string
	}{
		"missing": {refuser(404, metav1.StatusReasonNotFound, `namespaces "tools" not found`), nil,
			ErrRefused, "create probe pods in namespace tools: there is no such namespace; create it by `kubectl --context=x create namespace tools`"},
		"terminating": {func(w http.ResponseWriter, r *http.Request) bool {
			ns := namespace("tools", nil)
			ns.DeletionTimestamp = new(metav1.Now())
			answer(w, ns)
			return true
		}, nil, ErrRefused, "the namespace is being deleted"},
		"baseline": {labelled("baseline"), violates,
			ErrPodSecurity, "`kubectl --context=x label --overwrite namespace tools pod-security.kubernetes.io/enforce=privileged`"},
		"no such level":   {labelled("lax"), violates, ErrPodSecurity, "label --overwrite namespace tools"}, // admission takes it for restricted
		"exempt":          {labelled("restricted"), nil, nil, ""},
		"privileged":      {labelled("privileged"), nil, nil, ""},
		"may not look":    {refuser(403, metav1.StatusReasonForbidden, `namespaces "tools" is forbidden: User "jane" cannot get resource "namespaces"`), nil, nil, ""},
		"does not answer": {refuser(500, metav1.StatusReasonInternalError, "etcd is away"), nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			defer within(t, 5*time.Second)()
			s := newAPIServer(t)
			s.addWeb(nil)
			s.onNamespace = test.namespace
			s.onCreate = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("dryRun") == "" && test.kind != nil {
					t.Error("a pod is created")
				}
				return test.create != nil && test.create(w, r)
			}
			reports, _, err := run(t, s, Options{Namespace: "tools", Kubectl: "kubectl --context=x"})
			if test.kind == nil {
				if err != nil || reports["node-a"] == nil {
					t.Errorf("reports %v, error %v", reports, err)
				}
				return
			}
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.say) {
				t.Errorf("error %v, want a %v that says %q", err, test.kind, test.say)
			}
		})
	}
}
