//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// auditor is a service account that may do nothing but what roles of docs/rbac give
// it.
type auditor struct {
	name, kubeconfig string
	roles            []*role
}

// role is one of docs/rbac: a ClusterRole if it has no namespace.
type role struct {
	namespace, name string
	rules           []rbacv1.PolicyRule
}

// permission is one verb on one resource, in a role.
type permission struct {
	role                  *role
	verb, group, resource string
}

func (p permission) String() string { return p.verb + " " + p.resource }

// newAuditor makes a service account with a token of its own, and binds the roles of
// files to it.
func newAuditor(t *testing.T, name string, files ...string) *auditor {
	t.Helper()
	ctx := t.Context()
	accounts := client.CoreV1().ServiceAccounts(ns)
	if _, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := clientcmd.LoadFromFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for user := range admin.AuthInfos {
		admin.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	for _, context := range admin.Contexts {
		context.Namespace = ns
	}
	a := &auditor{name: name, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	if err := clientcmd.WriteToFile(*admin, a.kubeconfig); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		a.apply(t, file)
	}
	for _, r := range a.roles {
		for _, p := range r.permissions() {
			a.await(t, p, true)
		}
	}
	return a
}

// apply creates the role that is in a file of docs/rbac, under a name of its own, and
// binds it to this account: in the namespace of the tests, or of probes.
func (a *auditor) apply(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(), "docs", "rbac", file))
	if err != nil {
		t.Fatal(err)
	}
	var r rbacv1.ClusterRole // which has all that a Role has
	if err := yaml.UnmarshalStrict(text, &r); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if r.Namespace != "" || r.AggregationRule != nil {
		t.Fatalf("%s: %+v", file, r)
	}
	ctx, rbac := t.Context(), client.RbacV1()
	meta := metav1.ObjectMeta{Name: r.Name + "-" + ns + "-" + a.name}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: a.name}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: r.Kind, Name: meta.Name}
	var err1, err2 error
	switch r.Kind {
	case "ClusterRole":
		t.Cleanup(func() {
			rbac.ClusterRoleBindings().Delete(context.Background(), meta.Name, metav1.DeleteOptions{})
			rbac.ClusterRoles().Delete(context.Background(), meta.Name, metav1.DeleteOptions{})
		})
		_, err1 = rbac.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: r.Rules}, metav1.CreateOptions{})
		_, err2 = rbac.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	case "Role":
		if meta.Namespace = ns; file == "probe.yaml" {
			meta.Namespace = probepod.DefaultNamespace
		}
		t.Cleanup(func() {
			rbac.RoleBindings(meta.Namespace).Delete(context.Background(), meta.Name, metav1.DeleteOptions{})
			rbac.Roles(meta.Namespace).Delete(context.Background(), meta.Name, metav1.DeleteOptions{})
		})
		_, err1 = rbac.Roles(meta.Namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: r.Rules}, metav1.CreateOptions{})
		_, err2 = rbac.RoleBindings(meta.Namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	default:
		t.Fatalf("%s: kind %q", file, r.Kind)
	}
	if err := errors.Join(err1, err2); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	a.roles = append(a.roles, &role{meta.Namespace, meta.Name, r.Rules})
}

// permissions are those that a role gives, each by itself.
func (r *role) permissions() (list []permission) {
	for _, rule := range r.rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					list = append(list, permission{r, verb, group, resource})
				}
			}
		}
	}
	return list
}

// await waits until the API server knows of a permission, or no longer does.
func (a *auditor) await(t *testing.T, p permission, allowed bool) {
	t.Helper()
	resource, subresource, _ := strings.Cut(p.resource, "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:serviceaccount:" + ns + ":" + a.name, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: p.verb, Group: p.group, Resource: resource, Subresource: subresource, Namespace: p.role.namespace},
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := poll(ctx, func() error {
		answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err == nil && answer.Status.Allowed != allowed {
			err = fmt.Errorf("%v in %q is allowed: %v", p, p.role.namespace, answer.Status.Allowed)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// without takes a permission away, and returns what gives it back.
func (a *auditor) without(t *testing.T, p permission) (restore func()) {
	t.Helper()
	var rest []rbacv1.PolicyRule
	for _, other := range p.role.permissions() {
		if other != p {
			rest = append(rest, rbacv1.PolicyRule{APIGroups: []string{other.group}, Resources: []string{other.resource}, Verbs: []string{other.verb}})
		}
	}
	a.set(t, p.role, rest)
	a.await(t, p, false)
	return func() {
		a.set(t, p.role, p.role.rules)
		a.await(t, p, true)
	}
}

func (a *auditor) set(t *testing.T, r *role, rules []rbacv1.PolicyRule) {
	t.Helper()
	var err error
	meta := metav1.ObjectMeta{Namespace: r.namespace, Name: r.name}
	if r.namespace == "" {
		_, err = client.RbacV1().ClusterRoles().Update(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.UpdateOptions{})
	} else {
		_, err = client.RbacV1().Roles(r.namespace).Update(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// run runs the plugin as the account, in the namespace of the tests.
func (a *auditor) run(t *testing.T, line string) result {
	t.Helper()
	p := &process{cmd: exec.Command(plugin, append([]string{"--kubeconfig", a.kubeconfig}, strings.Fields(line)...)...), started: time.Now()}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p.wait()
}

// deploy makes a deployment of one pod, which runs.
func deploy(t *testing.T, name string) {
	t.Helper()
	p := pod(name, "node-a", "sleep")
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: p.Labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec},
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := client.AppsV1().Deployments(ns).Create(ctx, d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.AppsV1().Deployments(ns).Delete(context.Background(), name, metav1.DeleteOptions{}) })
	if err := poll(ctx, func() error {
		d, err := client.AppsV1().Deployments(ns).Get(ctx, name, metav1.GetOptions{})
		if err == nil && d.Status.ReadyReplicas != 1 {
			err = fmt.Errorf("deployment %s has %d pods that are ready", name, d.Status.ReadyReplicas)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// everyCommand is each command in the ways that ask the cluster for something else,
// with the exit code that it has if it is let.
var everyCommand = map[string]int{
	"dump a":                                   0,
	"dump a --least-privilege":                 0,
	"dump deploy/of-auditor":                   0,
	"dump node/node-a:1":                       0,
	"dump RuntimeDefault@node-a":               0,
	"dump a --dry-run=client -o yaml":          0,
	"diff a b":                                 1, // the nodes' runtimes differ
	"diff a Unconfined":                        1,
	"explain a mount":                          0,
	"verify a":                                 0,
	"verify -l pod=a":                          0,
	"list a":                                   0,
	"list -l pod=a":                            0,
	"list deploy/of-auditor":                   0,
	"cleanup":                                  0,
	"cleanup --dry-run=client":                 0,
	"doctor node-a":                            0,
	"record a --duration 2s":                   0,
	"denials a --duration 2s":                  0,
	"tighten a --duration 2s":                  0,
	"merge " + savedRecording:                  0,
	"version":                                  0,
	"__complete dump a":                        0,
	"completion bash":                          0,
	"dump a --service-account default -o json": 0,
}

// savedRecording is a file with one.
const savedRecording = "../../pkg/plugin/testdata/saved-v1alpha1/recording.json"

// TestRolesOfEveryCommand has no command left out of everyCommand.
func TestRolesOfEveryCommand(t *testing.T) {
	help, err := exec.Command(plugin, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(help), "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	commands := 0
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "help" {
			continue
		}
		commands++
		if !slices.ContainsFunc(slices.Collect(maps.Keys(everyCommand)), func(line string) bool { return strings.HasPrefix(line+" ", name+" ") }) {
			t.Errorf("%s is not run with the roles of docs/rbac", name)
		}
	}
	if commands < 9 {
		t.Errorf("%d commands in %s", commands, help)
	}
}

// onlyCluster is what is more than one namespace's.
var onlyCluster = map[string]int{
	"list -A -l pod=a":   0,
	"verify -A -l pod=a": 0,
	"list node/node-a":   0,
	"doctor":             0,
}

// TestRoles runs every command with the roles that are published: what they give is
// enough.
func TestRoles(t *testing.T) {
	deploy(t, "of-auditor")
	for name, test := range map[string]struct {
		files []string
		more  map[string]int
	}{
		"cluster":   {[]string{"cluster.yaml", "probe.yaml"}, onlyCluster},
		"namespace": {[]string{"namespace.yaml", "probe.yaml"}, map[string]int{"list -A": 2, "verify -A": 2, "list node/node-a": 2, "doctor": 2}},
		"create-namespace": {[]string{"cluster.yaml", "create-namespace.yaml"},
			map[string]int{"dump a --create-namespace": 0, "diff a b --create-namespace": 1, "doctor node-a --create-namespace": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuditor(t, "auditor-"+name, test.files...)
			check := func(commands map[string]int) {
				for line, code := range commands {
					r := a.run(t, line)
					if r.code != code || code < 2 && r.stdout == "" && !strings.HasPrefix(line, "cleanup") {
						t.Errorf("%s: exit code %d, want %d: %s%s", line, r.code, code, r.stdout, r.stderr)
					}
					// A refusal names what is missing.
					if said := r.stderr + r.stdout; code == 2 && !strings.Contains(said, "list pods") && !strings.Contains(said, "list nodes") {
						t.Errorf("%s: it does not say what is missing: %s", line, said)
					}
				}
			}
			check(test.more)
			if name != "create-namespace" {
				check(everyCommand)
			}
			nothingLeft(t, metav1.NamespaceAll)
		})
	}
}

// TestEveryPermission takes each permission of the published roles away: a command
// that needs it fails, and says so; what can be done without is done. And doctor sees
// it.
func TestEveryPermission(t *testing.T) {
	deploy(t, "of-auditor")
	const dump = "dump a"
	needed := func(line, say string) func(t *testing.T, a *auditor) {
		return func(t *testing.T, a *auditor) {
			failed(t, a.run(t, line), "you are not allowed to "+say, "auth can-i "+strings.Fields(say)[0])
		}
	}
	dispensable := func(t *testing.T, a *auditor) {
		if r := a.run(t, dump); r.code != 0 {
			t.Errorf("%s: exit code %d, %s", dump, r.code, r.stderr)
		}
	}
	workload := func(typ string) func(t *testing.T, a *auditor) {
		return func(t *testing.T, a *auditor) {
			failed(t, a.run(t, "dump "+typ+"/of-auditor"), "you are not allowed to get "+typ+" in namespace "+ns)
		}
	}
	unwatched := func(t *testing.T, a *auditor) {
		r := a.run(t, "record a --duration 1s")
		if r.code != 0 || !strings.Contains(r.stderr, "containers that start from now on are not recorded") || !strings.Contains(r.stderr, "watch pods") {
			t.Errorf("exit code %d, %s", r.code, r.stderr)
		}
	}
	for file, cases := range map[string]map[string]struct {
		check  func(t *testing.T, a *auditor)
		doctor string // the check that sees it
	}{
		"cluster.yaml": {
			"get pods":   {needed(dump, "get pods in namespace "+ns), v1alpha1.CheckRBACTargets},
			"list pods":  {needed("list -A", "list pods"), v1alpha1.CheckRBACCluster},
			"watch pods": {unwatched, v1alpha1.CheckRBACTargets},
			"get nodes":  {dispensable, v1alpha1.CheckRBACCluster},
			"list nodes": {func(t *testing.T, a *auditor) {
				if r := a.run(t, "doctor"); r.code != 2 || !strings.Contains(r.stdout, "you may not list nodes") {
					t.Errorf("exit code %d, %s", r.code, r.stdout)
				}
			}, v1alpha1.CheckRBACCluster},
			"get namespaces":   {dispensable, v1alpha1.CheckRBACCluster},
			"get deployments":  {workload("deployments"), v1alpha1.CheckRBACWorkloads},
			"get daemonsets":   {workload("daemonsets"), v1alpha1.CheckRBACWorkloads},
			"get statefulsets": {workload("statefulsets"), v1alpha1.CheckRBACWorkloads},
			"get replicasets":  {workload("replicasets"), v1alpha1.CheckRBACWorkloads},
			"get jobs":         {workload("jobs"), v1alpha1.CheckRBACWorkloads},
			"get cronjobs":     {workload("cronjobs"), v1alpha1.CheckRBACWorkloads},
		},
		"namespace.yaml": {
			"get pods":         {needed(dump, "get pods in namespace "+ns), v1alpha1.CheckRBACTargets},
			"list pods":        {needed("dump deploy/of-auditor", "list pods in namespace "+ns), v1alpha1.CheckRBACTargets},
			"watch pods":       {unwatched, v1alpha1.CheckRBACTargets},
			"get deployments":  {workload("deployments"), v1alpha1.CheckRBACWorkloads},
			"get daemonsets":   {nil, v1alpha1.CheckRBACWorkloads},
			"get statefulsets": {nil, v1alpha1.CheckRBACWorkloads},
			"get replicasets":  {nil, v1alpha1.CheckRBACWorkloads},
			"get jobs":         {nil, v1alpha1.CheckRBACWorkloads},
			"get cronjobs":     {nil, v1alpha1.CheckRBACWorkloads},
		},
		"probe.yaml": {
			"create pods": {needed(dump, "create pods in namespace kube-system"), v1alpha1.CheckRBACProbe},
			"get pods":    {dispensable, v1alpha1.CheckRBACProbe},
			"list pods": {func(t *testing.T, a *auditor) {
				dispensable(t, a)
				failed(t, a.run(t, "cleanup"), "you are not allowed to list pods in namespace kube-system")
			}, v1alpha1.CheckRBACProbe},
			"watch pods":   {needed(dump, "watch pods in namespace kube-system"), v1alpha1.CheckRBACProbe},
			"get pods/log": {needed(dump, "get pods/log in namespace kube-system"), v1alpha1.CheckRBACProbe},
			"delete pods": {func(t *testing.T, a *auditor) {
				r := a.run(t, dump)
				if r.code != 2 || !strings.Contains(r.stderr, `cannot delete resource "pods"`) || !strings.Contains(r.stderr, "delete pod seccomp-probe-") {
					t.Errorf("exit code %d, %s", r.code, r.stderr)
				}
				for _, name := range probes(t, probepod.DefaultNamespace) {
					if err := client.CoreV1().Pods(probepod.DefaultNamespace).Delete(t.Context(), name, *metav1.NewDeleteOptions(0)); err != nil {
						t.Error(err)
					}
				}
			}, v1alpha1.CheckRBACProbe},
		},
	} {
		t.Run(file, func(t *testing.T) {
			files := []string{file, "probe.yaml"}
			if file == "probe.yaml" {
				files[1] = "namespace.yaml" // which gives nothing where probes are
			}
			a := newAuditor(t, "less-"+strings.TrimSuffix(file, ".yaml"), files...)
			seen := make(map[string]bool)
			for _, p := range a.roles[0].permissions() {
				test, ok := cases[p.String()]
				if !ok {
					t.Errorf("%v is not tested", p)
					continue
				}
				seen[p.String()] = true
				t.Run(p.String(), func(t *testing.T) {
					defer a.without(t, p)()
					a.diagnose(t, test.doctor, p)
					if test.check != nil {
						test.check(t, a)
					}
				})
			}
			for name := range cases {
				if !seen[name] {
					t.Errorf("%s does not give %s", file, name)
				}
			}
		})
	}
	nothingLeft(t, metav1.NamespaceAll)
}

// diagnose has doctor tell of a permission that is missing. The node is none, and not
// waited for, as no probe is of use here.
func (a *auditor) diagnose(t *testing.T, name string, p permission) {
	t.Helper()
	r := a.run(t, "doctor no-such-node --timeout 1s -o json")
	var d v1alpha1.Diagnosis
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	i := slices.IndexFunc(d.Checks, func(c v1alpha1.Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("no check %s in %s", name, r.stdout)
	}
	c := d.Checks[i]
	if c.Status != v1alpha1.CheckWarning && c.Status != v1alpha1.CheckFailed || !strings.Contains(c.Message, "you may not ") ||
		!strings.Contains(c.Message, p.verb) || !strings.Contains(c.Message, p.resource) || !strings.Contains(c.Remedy, "--serviceaccount="+ns+":"+a.name) {
		t.Errorf("without %v: %+v", p, c)
	}
}
