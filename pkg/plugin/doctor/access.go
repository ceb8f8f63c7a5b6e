package doctor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/shell"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// permission is a request that commands make, and what does not work without it.
type permission struct {
	verb, group, resource, subresource string
	name                               string // of the object, "": any
	without                            string // what is missing then; "": nothing works
}

// grant are the permissions that one role gives in one namespace, or in all.
type grant struct {
	check     string // its name
	namespace string // "": in all namespaces
	role      string // in docs/rbac
	file      string // there, that has the role
	list      []permission
}

// grants are all permissions that the commands need, for targets in a namespace and
// for probes as o has them run. They are the roles of docs/rbac.
func grants(targets string, o probepod.Options) []grant {
	const operands = "operands TYPE/NAME of these types"
	probes := cmp.Or(o.Namespace, probepod.DefaultNamespace)
	probe := []permission{
		{verb: "create", resource: "pods"},
		{verb: "get", resource: "pods"},
		{verb: "watch", resource: "pods"},
		{verb: "delete", resource: "pods"},
		{verb: "get", resource: "pods", subresource: "log"},
		{verb: "list", resource: "pods", without: "the deletion of what killed runs have left"},
	}
	probing := grant{v1alpha1.CheckRBACProbe, probes, "kubectl-seccomp-probe", "probe.yaml", probe}
	if o.CreateNamespace {
		probe = append(probe, []permission{
			{verb: "create", resource: "namespaces"},
			{verb: "delete", resource: "namespaces"},
			{verb: "get", resource: "namespaces", without: "the deletion of a namespace of which the API server did not say that it was made"},
			{verb: "list", resource: "namespaces", without: "the deletion of what killed runs have left"},
		}...)
		probing = grant{v1alpha1.CheckRBACProbe, "", "kubectl-seccomp-create-namespace", "create-namespace.yaml", probe}
	}
	return []grant{
		{v1alpha1.CheckRBACTargets, targets, "kubectl-seccomp-targets", "namespace.yaml", []permission{
			{verb: "get", resource: "pods"},
			{verb: "list", resource: "pods", without: "list, verify, completion and operands TYPE/NAME"},
			{verb: "watch", resource: "pods", without: "record of what starts while it runs"},
		}},
		{v1alpha1.CheckRBACWorkloads, targets, "kubectl-seccomp-targets", "namespace.yaml", []permission{
			{verb: "get", group: "apps", resource: "deployments", without: operands},
			{verb: "get", group: "apps", resource: "daemonsets", without: operands},
			{verb: "get", group: "apps", resource: "statefulsets", without: operands},
			{verb: "get", group: "apps", resource: "replicasets", without: operands},
			{verb: "get", group: "batch", resource: "jobs", without: operands},
			{verb: "get", group: "batch", resource: "cronjobs", without: operands},
		}},
		{v1alpha1.CheckRBACCluster, "", "kubectl-seccomp-targets", "cluster.yaml", []permission{
			{verb: "list", resource: "pods", without: "--all-namespaces, and list node/NODE"},
			{verb: "get", resource: "nodes", without: "the look whether a node is ready before a probe is sent there"},
			{verb: "list", resource: "nodes", without: "doctor without NODE, and completion of nodes"},
			{verb: "get", resource: "namespaces", name: probes, without: "the look whether the probe namespace admits probes before one is created"},
		}},
		probing,
	}
}

// what is what the permission is for: pods/log, deployments.apps.
func (p permission) what() string {
	s := p.resource
	if p.subresource != "" {
		s += "/" + p.subresource
	}
	if p.group != "" {
		s += "." + p.group
	}
	if p.name != "" {
		s += " " + p.name
	}
	return s
}

// phrase puts permissions into words: "get and list pods, get nodes".
func phrase(list []permission) string {
	type clause struct{ verbs, objects []string }
	var objects, all []*clause
	for _, p := range list {
		i := slices.IndexFunc(objects, func(c *clause) bool { return c.objects[0] == p.what() })
		if i < 0 {
			i = len(objects)
			objects = append(objects, &clause{objects: []string{p.what()}})
		}
		objects[i].verbs = append(objects[i].verbs, p.verb)
	}
	for _, o := range objects {
		if i := slices.IndexFunc(all, func(c *clause) bool { return slices.Equal(c.verbs, o.verbs) }); i >= 0 {
			all[i].objects = append(all[i].objects, o.objects...)
		} else {
			all = append(all, o)
		}
	}
	var texts []string
	for _, c := range all {
		texts = append(texts, and(c.verbs)+" "+and(c.objects))
	}
	return strings.Join(texts, "; ")
}

// and enumerates.
func and(list []string) string {
	last := len(list) - 1
	if last == 0 {
		return list[0]
	}
	return strings.Join(list[:last], ", ") + " and " + list[last]
}

// maxReviews is how many permissions are asked about at a time.
const maxReviews = 8

// access checks what the user may do.
func (d *diagnosis) access(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	who, err := d.Client.Authentication.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err == nil {
		d.user = who.Status.UserInfo.Username
	}
	all := grants(d.Namespace, d.Options)
	answers := make([][]review, len(all))
	var g errgroup.Group
	g.SetLimit(maxReviews)
	for i, grant := range all {
		answers[i] = make([]review, len(grant.list))
		for j, p := range grant.list {
			g.Go(func() error {
				answers[i][j] = d.review(ctx, grant.namespace, p)
				return nil
			})
		}
	}
	g.Wait()
	for i, grant := range all {
		d.granted(grant, answers[i])
	}
}

// review is the API server's answer about a permission.
type review struct {
	allowed bool
	err     error
}

func (d *diagnosis) review(ctx context.Context, namespace string, p permission) review {
	answer, err := d.Client.Authorization.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: p.verb, Group: p.group, Resource: p.resource, Subresource: p.subresource, Namespace: namespace, Name: p.name,
		}},
	}, metav1.CreateOptions{})
	switch {
	case err != nil:
		return review{err: err}
	case !answer.Status.Allowed && answer.Status.EvaluationError != "":
		return review{err: fmt.Errorf("the authorizer could not tell: %s", answer.Status.EvaluationError)}
	}
	return review{allowed: answer.Status.Allowed}
}

// granted adds the check of a grant.
func (d *diagnosis) granted(g grant, answers []review) {
	where := "in namespace " + g.namespace
	if g.namespace == "" {
		where = "in the whole cluster"
	}
	var has, lacks []permission
	var without []string
	needed := false
	for i, p := range g.list {
		switch {
		case answers[i].err != nil:
			err := failure.Request{Verb: "create", Resource: "selfsubjectaccessreviews.authorization.k8s.io", Kubectl: d.Options.Kubectl}.Of("ask what you may do", answers[i].err)
			d.unknown(g.check, "", err.Error())
			return
		case answers[i].allowed:
			has = append(has, p)
			continue
		}
		lacks = append(lacks, p)
		if p.without == "" {
			needed = true
		} else if !slices.Contains(without, p.without) {
			without = append(without, p.without)
		}
		d.denied = d.denied || g.check == v1alpha1.CheckRBACProbe && p.verb == "create" && p.resource == "pods"
	}
	switch {
	case len(lacks) == 0:
		d.ok(g.check, "", "you may "+phrase(has)+" "+where)
	case needed:
		d.failed(g.check, "", "you may not "+phrase(lacks)+" "+where, d.binding(g))
	default:
		d.warning(g.check, "", "you may not "+phrase(lacks)+" "+where+". Without, this does not work: "+strings.Join(without, "; "), d.binding(g))
	}
}

// binding is how the user gets a grant. The file has the role without a namespace, and
// binds it to nobody.
func (d *diagnosis) binding(g grant) string {
	in, kind, role := "", "clusterrolebinding", "--clusterrole="+g.role
	if g.namespace != "" {
		in, kind, role = " -n "+shell.Quote(g.namespace), "rolebinding", "--role="+g.role
	}
	apply := fmt.Sprintf("have an administrator create the role and bind it to you: `%s apply%s -f docs/rbac/%s`", d.kubectl(), in, g.file)
	if d.user == "" {
		return apply + ", then `" + d.kubectl() + " create " + kind + "`"
	}
	return fmt.Sprintf("%s, then `%s create %s %s%s %s %s`", apply, d.kubectl(), kind, g.role+"-"+bindingSuffix(d.user), in, role, d.subject())
}

// maxUser bounds, in bytes, what of a user is in a binding's name.
const maxUser = 40

// bindingSuffix is a user as the end of a binding's name: for people to know, and a
// hash by which users differ that are alike in letters and digits.
func bindingSuffix(user string) string {
	words := strings.FieldsFunc(strings.ToLower(user), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	hash := sha256.Sum256([]byte(user))
	suffix := hex.EncodeToString(hash[:4])
	if len(words) == 0 {
		return suffix
	}
	name := strings.Join(words, "-")
	return strings.TrimRight(name[:min(len(name), maxUser)], "-") + "-" + suffix
}

// subject names the user to kubectl create rolebinding.
func (d *diagnosis) subject() string {
	if account, ok := strings.CutPrefix(d.user, "system:serviceaccount:"); ok {
		return "--serviceaccount=" + shell.Quote(account)
	}
	return "--user=" + shell.Quote(d.user)
}
