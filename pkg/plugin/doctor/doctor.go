package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	authenticationv1client "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// Client is the part of the API that the checks need. All of Kubernetes' clients
// together would be a fifth of the program.
type Client struct {
	Core           corev1client.CoreV1Interface
	Authentication authenticationv1client.AuthenticationV1Interface
	Authorization  authorizationv1client.AuthorizationV1Interface
}

// NewClient returns a client for a cluster.
func NewClient(config *rest.Config) (c Client, err error) {
	config = rest.CopyConfig(config)
	config.QPS, config.RateLimiter = -1, nil
	var err1, err2, err3 error
	c.Core, err1 = corev1client.NewForConfig(config)
	c.Authentication, err2 = authenticationv1client.NewForConfig(config)
	c.Authorization, err3 = authorizationv1client.NewForConfig(config)
	return c, errors.Join(err1, err2, err3)
}

// Examination is what is checked.
type Examination struct {
	Client    Client
	Namespace string           // where targets are
	Nodes     []string         // that are named; none: all that are ready and run Linux
	Options   probepod.Options // of the probes
	// Probe runs probes, as probepod.Run does with Options.KeepGoing, and tells answered
	// of each node that has.
	Probe func(ctx context.Context, requests []probepod.Request, answered func(node string, took time.Duration)) (map[string]*report.Report, error)
}

// requestTimeout bounds each request to the API server, or the few of a check. That of
// config may be shorter.
const requestTimeout = 10 * time.Second

// Run makes the checks. What is wrong is a check of the diagnosis; an error is beside
// it for a run of the probes that was interrupted, or left pods behind.
func (e *Examination) Run(ctx context.Context) (*v1alpha1.Diagnosis, error) {
	d := &diagnosis{Examination: e}
	if !d.server(ctx) {
		return d.result(), nil
	}
	d.access(ctx)
	nodes := d.nodes(ctx)
	if !d.admission(ctx, nodes) {
		for _, node := range nodes {
			d.unknown(v1alpha1.CheckProbe, node.name, "not tried: no probe pod can be created")
		}
		return d.result(), nil
	}
	err := d.probes(ctx, nodes)
	return d.result(), err
}

// diagnosis is an Examination under way.
type diagnosis struct {
	*Examination
	user   string // whom the API server takes us for, "" if it does not say
	denied bool   // the user may not create probe pods
	checks []v1alpha1.Check
}

func (d *diagnosis) result() *v1alpha1.Diagnosis {
	return &v1alpha1.Diagnosis{TypeMeta: v1alpha1.TypeMeta("Diagnosis"), Checks: d.checks}
}

// add adds a check. Nodes and the API server have a say in its texts.
func (d *diagnosis) add(c v1alpha1.Check) {
	c.Node, c.Message, c.Remedy = terminal.Line(c.Node), terminal.Line(c.Message), terminal.Line(c.Remedy)
	d.checks = append(d.checks, c)
}

func (d *diagnosis) ok(name, node, message string) {
	d.add(v1alpha1.Check{Name: name, Node: node, Status: v1alpha1.CheckOK, Message: message})
}

func (d *diagnosis) warning(name, node, message, remedy string) {
	d.add(v1alpha1.Check{Name: name, Node: node, Status: v1alpha1.CheckWarning, Message: message, Remedy: remedy})
}

// failed adds a check that did not hold. Where nobody said what helps, it is what else
// can be looked at.
func (d *diagnosis) failed(name, node, message, remedy string) {
	if remedy == "" {
		remedy = "see what else failed"
		if node != "" {
			remedy += ", and the node's kubelet and runtime logs"
		}
	}
	d.add(v1alpha1.Check{Name: name, Node: node, Status: v1alpha1.CheckFailed, Message: message, Remedy: remedy})
}

func (d *diagnosis) unknown(name, node, message string) {
	d.add(v1alpha1.Check{Name: name, Node: node, Status: v1alpha1.CheckUnknown, Message: message})
}

// failure adds the check that an error is of.
func (d *diagnosis) failure(name, node string, err error) {
	message, remedy := err.Error(), ""
	if f := new(failure.Error); errors.As(err, &f) {
		message, remedy = f.Said, f.Remedy
	}
	d.failed(name, node, message, remedy)
}

// server checks that the API server answers.
func (d *diagnosis) server(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	began := time.Now()
	version, err := d.serverVersion(ctx)
	if err != nil {
		said, remedy := failure.Clip(err.Error()), "see `"+d.kubectl()+" cluster-info`, and which cluster `"+d.kubectl()+" config current-context` is"
		if f := new(failure.Error); errors.As(failure.Request{Verb: "get", Resource: "/version", Kubectl: d.Options.Kubectl}.Of("", err), &f) && errors.Is(f, failure.ErrForbidden) {
			said, remedy = f.Said, f.Remedy
		}
		// It is not known of anything whether it would work.
		d.add(v1alpha1.Check{Name: v1alpha1.CheckAPIServer, Status: v1alpha1.CheckUnknown, Message: said, Remedy: remedy})
		return false
	}
	d.add(v1alpha1.Check{Name: v1alpha1.CheckAPIServer, Status: v1alpha1.CheckOK,
		Message: "Kubernetes " + failure.Clip(version), Took: &metav1.Duration{Duration: time.Since(began).Round(time.Millisecond)}})
	return true
}

// serverVersion asks the API server for its version.
func (d *diagnosis) serverVersion(ctx context.Context) (string, error) {
	text, err := d.Client.Core.RESTClient().Get().AbsPath("/version").Do(ctx).Raw()
	if err != nil {
		return "", err
	}
	var info version.Info
	if err := json.Unmarshal(text, &info); err != nil || info.GitVersion == "" {
		return "", errors.New("what answers is no API server: it does not say its version")
	}
	return info.GitVersion, nil
}

// request is what is asked of a node's probe: of itself, and of a container that
// runs under RuntimeDefault.
func request(node string) probepod.Request {
	return probepod.Request{Node: node, Self: true, Configs: true, References: []probepod.Reference{{}}}
}

// admission checks that a probe pod would be created.
func (d *diagnosis) admission(ctx context.Context, nodes []node) bool {
	ns := "namespace " + cmp.Or(d.Options.Namespace, probepod.DefaultNamespace)
	said := ns + " admits probe pods"
	if d.Options.CreateNamespace {
		ns, said = "a namespace of the run's own", "a namespace may be created for the run"
	}
	if d.denied {
		d.unknown(v1alpha1.CheckProbeNamespace, "", "not tried: you may not create pods in "+ns)
		return false
	}
	// The name is not looked at by who admits the pod, and nothing is created.
	name := "none"
	if len(nodes) > 0 {
		name = nodes[0].name
	}
	if err := probepod.Admit(ctx, d.Client.Core, d.Options, request(name)); err != nil {
		d.failure(v1alpha1.CheckProbeNamespace, "", err)
		return false
	}
	d.ok(v1alpha1.CheckProbeNamespace, "", said)
	return true
}

// kubectl is how commands begin that are printed.
func (d *diagnosis) kubectl() string { return cmp.Or(d.Options.Kubectl, "kubectl") }

// probes runs a probe on each node and checks what it says.
func (d *diagnosis) probes(ctx context.Context, nodes []node) error {
	var (
		mu       sync.Mutex
		took     = make(map[string]time.Duration)
		requests []probepod.Request
	)
	for _, n := range nodes {
		requests = append(requests, request(n.name))
	}
	if len(requests) == 0 {
		return nil
	}
	reports, err := d.Probe(ctx, requests, func(node string, d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		took[node] = d
	})
	incomplete, err := split(err)
	for _, n := range nodes {
		if r := reports[n.name]; r != nil {
			d.node(n, r, took[n.name])
		} else if err := incomplete.Failed[n.name]; err != nil {
			d.failure(v1alpha1.CheckProbe, n.name, err)
		} else {
			d.unknown(v1alpha1.CheckProbe, n.name, "it was not asked to the end")
		}
	}
	return err
}

// split parts an error of a run into why nodes were not read, and the rest.
func split(err error) (*probepod.Incomplete, error) {
	incomplete := new(probepod.Incomplete)
	if !errors.As(err, &incomplete) {
		return incomplete, err
	}
	var rest []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok && err != error(incomplete) {
		rest = slices.DeleteFunc(slices.Clone(joined.Unwrap()), func(e error) bool { return e == error(incomplete) })
	}
	return incomplete, errors.Join(rest...)
}

// node is one that is to be checked.
type node struct {
	name    string
	runtime string // as kubelet reports it, "" if that is not known
}
