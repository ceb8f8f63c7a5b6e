package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/shell"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
)

// Resolver finds the containers that an operand names.
type Resolver interface {
	Resolve(context.Context, target.Operand) ([]target.Container, error)
	ResolveAll(context.Context, target.Selection) (all []target.Container, away map[string]error, err error)
	CheckNode(ctx context.Context, node string) error
}

// Prober reads what confines containers and processes: one report for each node.
type Prober interface {
	Probe(context.Context, []probepod.Request) (map[string]*report.Report, error)
}

// probeFlags say how a probe is run.
type probeFlags struct {
	image          string
	pullPolicy     string
	namespace      string
	timeout        time.Duration
	leastPrivilege bool
	pullSecrets    []string
	serviceAccount string
	priorityClass  string
	keep           bool
	ownNamespace   bool
	overrideFile   string
	override       *probepod.Override // what overrideFile holds
	allThreads     bool
	dryRun         string
	dryPrinter     printers.ResourcePrinter // of dryRun, by the flag output
	flags          *pflag.FlagSet
	keepGoing      bool          // not a flag: whether the command can do without some nodes
	record         time.Duration // not a flag here: for how long calls are recorded
	denials        time.Duration // not a flag here: for how long refused calls are looked for
	finish         chan struct{} // not a flag: closed, it ends that
	began          func()        // not a flag: called when that begins
	denied         func(node string, r *report.Report, d report.Denial)
}

func (f *probeFlags) add(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringVar(&f.image, "image", ProbeImage, "Image of the probe")
	flags.StringVar(&f.pullPolicy, "image-pull-policy", string(corev1.PullIfNotPresent), "When to pull the image: Always, IfNotPresent, Never")
	flags.StringArrayVar(&f.pullSecrets, "image-pull-secret", nil, "Secret in the probe's namespace to pull the image with; may be given more than once")
	flags.StringVar(&f.serviceAccount, "service-account", "", "Service account of the probe's pods; they get no token of it")
	flags.StringVar(&f.priorityClass, "priority-class", "", "Priority class of the probe's pods")
	flags.StringVar(&f.namespace, "probe-namespace", probepod.DefaultNamespace, "Namespace of the probe's pods; it must admit privileged ones")
	flags.BoolVar(&f.ownNamespace, "create-namespace", false, "Make a namespace for the probe's pods that admits them, and delete it with them")
	flags.DurationVar(&f.timeout, "timeout", probepod.DefaultTimeout, "How long reading may take, pulling the image included")
	flags.StringVar(&f.overrideFile, "override", "", "File with a part of a Pod, YAML or JSON, to merge over the probe's pods: tolerations, labels, annotations, resources, ...")
	flags.StringVar(&f.dryRun, "dry-run", "none", "With client, print the probe's pods with -o yaml or -o json and create none: none, client")
	flags.BoolVar(&f.keep, "keep-probe", false, "Do not delete the probe's pods: print the commands that do")
	flags.BoolVar(&f.leastPrivilege, "least-privilege", false, "Run the probe with the few capabilities that it needs instead of privileged")
	flags.BoolVar(&f.allThreads, "all-threads", false, "Stop and read every thread, not one of those that look alike in /proc")
}

func (f *probeFlags) validate() error {
	switch corev1.PullPolicy(f.pullPolicy) {
	case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		return fmt.Errorf("--image-pull-policy %q: want Always, IfNotPresent or Never", f.pullPolicy)
	}
	for _, secret := range f.pullSecrets {
		if !isName(secret) {
			return fmt.Errorf("--image-pull-secret %q: that cannot be the name of a secret", secret)
		}
	}
	switch {
	case f.serviceAccount != "" && !isName(f.serviceAccount):
		return fmt.Errorf("--service-account %q: that cannot be the name of a service account", f.serviceAccount)
	case f.priorityClass != "" && !isName(f.priorityClass):
		return fmt.Errorf("--priority-class %q: that cannot be the name of a priority class", f.priorityClass)
	case f.dryRun != "none" && f.dryRun != "client":
		return fmt.Errorf("--dry-run %q: want none or client", f.dryRun)
	case f.image == "":
		return errors.New("--image: want the name of an image")
	case f.namespace == "":
		return errors.New("--probe-namespace: want the name of a namespace")
	case !isLabel(f.namespace):
		return fmt.Errorf("--probe-namespace %q: that cannot be the name of a namespace", f.namespace)
	case f.ownNamespace && f.flags.Changed("probe-namespace"):
		return errors.New("--create-namespace makes a namespace of a name of its own: leave out --probe-namespace, or this flag")
	case f.ownNamespace && len(f.pullSecrets) > 0:
		return errors.New("--create-namespace: there are no secrets in a new namespace: leave out --image-pull-secret, or name a namespace by --probe-namespace")
	case f.ownNamespace && f.serviceAccount != "":
		return errors.New("--create-namespace: there are no service accounts to choose from in a new namespace: leave out --service-account, or name a namespace by --probe-namespace")
	case f.timeout < time.Second:
		return fmt.Errorf("--timeout %v: want a second or more", f.timeout)
	}
	var err error
	if f.override, err = readOverride(f.overrideFile); err != nil {
		return err
	}
	if f.dry() {
		f.dryPrinter, err = dryPrinter(f.flags.Lookup("output").Value.String())
		return err
	}
	return nil
}

// maxOverride bounds the file of --override, in bytes.
const maxOverride = 256 << 10

// readOverride reads the file of --override.
func readOverride(file string) (*probepod.Override, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--override: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxOverride+1))
	if err == nil && len(text) > maxOverride {
		err = fmt.Errorf("more than %d bytes", maxOverride)
	}
	var override *probepod.Override
	if err == nil {
		override, err = probepod.ParseOverride(text)
	}
	if err != nil {
		return nil, fmt.Errorf("--override %s: %w", file, err)
	}
	return override, nil
}

// dry tells whether pods are printed in place of being created.
func (f *probeFlags) dry() bool { return f.dryRun == "client" }

// isName reports whether an object can have a name.
func isName(s string) bool { return len(validation.IsDNS1123Subdomain(s)) == 0 }

// isLabel reports whether a namespace can have a name.
func isLabel(s string) bool { return len(validation.IsDNS1123Label(s)) == 0 }

// resolveTimeout bounds looking up one operand, unless --request-timeout gives each
// request more.
const resolveTimeout = 30 * time.Second

// resolver asks the API server, within a time for each operand.
type resolver struct {
	target.Resolver
	timeout time.Duration
}

func (r resolver) Resolve(ctx context.Context, o target.Operand) ([]target.Container, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.Resolver.Resolve(ctx, o)
}

func (r resolver) ResolveAll(ctx context.Context, s target.Selection) ([]target.Container, map[string]error, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.Resolver.ResolveAll(ctx, s)
}

func (r resolver) CheckNode(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return r.Resolver.CheckNode(ctx, node)
}

// prober runs probe pods.
type prober struct {
	client   probepod.Client
	options  probepod.Options
	progress io.Writer
}

func (p *prober) Probe(ctx context.Context, requests []probepod.Request) (map[string]*report.Report, error) {
	return probepod.Run(ctx, p.client, p.options, requests, p.progress)
}

func (c *common) connectCluster(f *probeFlags) (Resolver, Prober, error) {
	config, err := c.restConfig()
	if err != nil {
		return nil, nil, err
	}
	namespace, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, nil, err
	}
	client, err := probepod.NewClient(config)
	if err != nil {
		return nil, nil, err
	}
	progress := io.Discard
	if c.verbose || terminal.IsTerminal(c.ErrOut) {
		progress = c.ErrOut
	}
	found := resolver{target.Resolver{Client: client, Getter: c.config, Namespace: namespace, Warn: c.warn, Kubectl: kubectl(c.config)}, max(config.Timeout, resolveTimeout)}
	options := f.options(kubectl(c.config))
	options.Notices = c.ErrOut
	if f.dry() {
		return found, &dryProber{options, f.dryPrinter, c.Out}, nil
	}
	return found, &prober{client, options, progress}, nil
}

// options are what the flags say. kubectl is how commands begin that are printed.
func (f *probeFlags) options(kubectl string) probepod.Options {
	return probepod.Options{
		Image:          f.image,
		PullPolicy:     corev1.PullPolicy(f.pullPolicy),
		Namespace:      f.namespace,
		Timeout:        f.timeout,
		LeastPrivilege: f.leastPrivilege,
		PullSecrets:    f.pullSecrets,
		ServiceAccount: f.serviceAccount,
		PriorityClass:  f.priorityClass,
		AllThreads:     f.allThreads,
		KeepGoing:      f.keepGoing,
		Record:         f.record,
		Denials:        f.denials,
		Finish:         f.finish,
		Began:          f.began,
		Denied:         f.denied,
		Keep:           f.keep,
		Override:       f.override,

		CreateNamespace: f.ownNamespace,
		Version:         Version,
		Kubectl:         kubectl,
	}
}

// kubectl is how a kubectl command for the same cluster begins, for a shell.
func kubectl(config *genericclioptions.ConfigFlags) string { return "kubectl" + clusterFlags(config) }

// clusterFlags are the flags that say which cluster is meant, for a shell, each after a
// space.
func clusterFlags(config *genericclioptions.ConfigFlags) string {
	var flags string
	for _, flag := range []struct {
		name  string
		value *string
	}{{"kubeconfig", config.KubeConfig}, {"context", config.Context}, {"cluster", config.ClusterName}, {"user", config.AuthInfoName}, {"server", config.APIServer}} {
		if flag.value != nil && *flag.value != "" {
			flags += " --" + flag.name + "=" + shell.Quote(*flag.value)
		}
	}
	return flags
}

// warn says what a result lacks.
func (c *common) warn(err error) {
	fmt.Fprintf(c.ErrOut, "warning: %s\n", terminal.Line(err.Error()))
}
