package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// rbac is where the roles are that are published.
var rbac = filepath.Join("..", "..", "..", "docs", "rbac")

// TestGrants has the roles of docs/rbac give what is asked about, and nothing else;
// each file is one role, which can be applied to any namespace.
func TestGrants(t *testing.T) {
	asked := make(map[string][]string)
	role := make(map[string]grant)
	seen := make(map[string]bool)
	for _, o := range []probepod.Options{{}, {CreateNamespace: true}} {
		for _, g := range grants("shop", o) {
			role[g.file] = g
			for _, p := range g.list {
				p.name = "" // roles cannot know that of --probe-namespace
				if what := p.verb + " " + p.what(); !seen[g.file+what] {
					seen[g.file+what] = true
					asked[g.file] = append(asked[g.file], what)
				}
			}
		}
	}
	// It gives what namespace.yaml does, everywhere.
	for _, what := range asked["namespace.yaml"] {
		if !seen["cluster.yaml"+what] {
			asked["cluster.yaml"] = append(asked["cluster.yaml"], what)
		}
	}
	if len(asked) != 4 {
		t.Errorf("%d files of roles", len(asked))
	}
	for file, want := range asked {
		text, err := os.ReadFile(filepath.Join(rbac, file))
		if err != nil {
			t.Fatal(err)
		}
		var r rbacv1.ClusterRole // which has all that a Role has
		if err := yaml.UnmarshalStrict(text, &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		kind := map[bool]string{true: "ClusterRole", false: "Role"}[role[file].namespace == ""]
		if r.Kind != kind || r.Name != role[file].role || r.Namespace != "" || strings.Contains(string(text), "\n---") {
			t.Errorf("%s has %s %s in namespace %q, want one %s %s in none", file, r.Kind, r.Name, r.Namespace, kind, role[file].role)
		}
		var gives []string
		for _, rule := range r.Rules {
			for _, resource := range rule.Resources {
				resource, subresource, _ := strings.Cut(resource, "/")
				for _, verb := range rule.Verbs {
					gives = append(gives, verb+" "+permission{group: rule.APIGroups[0], resource: resource, subresource: subresource}.what())
				}
			}
		}
		slices.Sort(gives)
		slices.Sort(want)
		if !slices.Equal(gives, want) {
			t.Errorf("%s gives %q, doctor asks for %q", file, gives, want)
		}
	}
}

// TestExampleBindings has each published role bound once, by its kind.
func TestExampleBindings(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(rbac, "example-bindings.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var bound []string
	for object := range strings.SplitSeq(string(text), "\n---\n") {
		var b rbacv1.RoleBinding
		if err := yaml.UnmarshalStrict([]byte(object), &b); err != nil {
			t.Fatal(err)
		}
		if b.Kind != b.RoleRef.Kind+"Binding" || (b.Kind == "RoleBinding") != (b.Namespace != "") || len(b.Subjects) != 1 {
			t.Errorf("%+v", b)
		}
		bound = append(bound, b.RoleRef.Kind+" "+b.RoleRef.Name)
	}
	want := []string{"ClusterRole kubectl-seccomp-targets", "Role kubectl-seccomp-targets", "Role kubectl-seccomp-probe", "ClusterRole kubectl-seccomp-create-namespace"}
	if !slices.Equal(bound, want) {
		t.Errorf("%q, want %q", bound, want)
	}
}

// TestBindingSuffix has users that are alike: each has a name of their own, which can
// be an object's.
func TestBindingSuffix(t *testing.T) {
	users := []string{"alice@example.com", "bob@example.com", "system:serviceaccount:ns1:default", "system:serviceaccount:ns2:default",
		"a-b", "a.b", "A-b", "", "\u00e9", "O'Hara; rm", strings.Repeat("x", 300), strings.Repeat("x", 301), "CN=" + strings.Repeat("-", 100) + "z"}
	names := make(map[string]string)
	for _, user := range users {
		name := "kubectl-seccomp-create-namespace-" + bindingSuffix(user)
		if errs := validation.IsDNS1123Subdomain(name); len(errs) > 0 {
			t.Errorf("%q: %s: %v", user, name, errs)
		}
		if other, ok := names[name]; ok {
			t.Errorf("%q and %q are both %s", user, other, name)
		}
		names[name] = user
	}
	if got := bindingSuffix("alice@example.com"); !strings.HasPrefix(got, "alice-example-com-") {
		t.Error(got)
	}
}
