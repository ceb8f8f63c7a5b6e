package verify

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
)

// Input is what is known of one container.
type Input struct {
	Source   v1alpha1.Source // with the node's kernel and architecture
	Declared target.Declared
	Node     *wire.Node // nil: not known
	// Target is what the probe found; nil: nothing.
	Target *report.Target
	// Reference is a container under RuntimeDefault with the same capabilities,
	// on the same node; nil if there is none, for the reason in NoReference.
	Reference   *report.Target
	NoReference error
	// Problems are the node's, and Failed is why nothing of it was read.
	Problems []wire.Problem
	Failed   error
}

// machine is where the container's profile is loaded.
func (in *Input) machine() profile.Target {
	m := profile.Target{Arch: in.Source.Arch, Runtime: profile.Containerd}
	switch scheme, _, _ := strings.Cut(in.Source.ContainerID, "://"); scheme {
	case "docker":
		m.Runtime = profile.DockerEngine
	case "cri-o":
		m.Runtime = profile.CRIO
	}
	if k, err := profile.ParseKernel(in.Source.Kernel); err == nil {
		m.Kernel = k
	}
	if in.Target != nil && in.Target.Config != nil {
		m.Capabilities = in.Target.Config.Bounding
	}
	return m
}

// loaders are the OCI runtimes that may have read the configuration: those that
// the name of its program allows.
func loaders(c *wire.Config) []profile.OCIRuntime {
	name := path.Base(c.Runtime)
	switch {
	case strings.Contains(name, "crun"):
		return []profile.OCIRuntime{profile.Crun}
	case strings.Contains(name, "runc"):
		return []profile.OCIRuntime{profile.Runc, profile.OldRunc}
	}
	return []profile.OCIRuntime{profile.Runc, profile.OldRunc, profile.Crun}
}

// A text is a profile as it was written, or none.
type text struct {
	name    string // for messages
	content string // "": there is no profile
}

var none = text{name: "no profile"}

// policy is a text as a target loads it.
type policy struct {
	*source.Source
	loaded *profile.Loaded // nil: there is no profile
}

// load interprets a text.
func load(t text, m profile.Target) (policy, error) {
	from := v1alpha1.Source{Operand: t.name}
	if t.content == "" {
		s, err := source.Of(from, m, nil)
		return policy{Source: s}, err
	}
	p, err := profile.Parse([]byte(t.content))
	if err != nil {
		return policy{}, fmt.Errorf("%s: %w", t.name, err)
	}
	loaded, err := p.Load(m)
	if err != nil {
		return policy{}, fmt.Errorf("%s: %w", t.name, err)
	}
	s, err := source.Of(from, m, loaded.Stack())
	return policy{s, loaded}, err
}

// configText is what a configuration says, as a config.json of its own.
func configText(c *wire.Config) (text, error) {
	if c.Gzip == nil {
		return none, nil
	}
	section, err := wire.Expand(c.Gzip)
	if err != nil {
		return text{}, err
	}
	return text{"the OCI configuration", `{"ociVersion": "1.0.0", "linux": {"seccomp": ` + string(section) + `}}`}, nil
}

func fileText(f *wire.File) (text, error) {
	content, err := wire.Expand(f.Gzip)
	if err != nil {
		return text{}, err
	}
	return text{terminal.Escape(f.Path), string(content)}, nil
}

// declaration is what the specification says, and what that means on the node.
func (in *Input) declaration() v1alpha1.Declaration {
	d := Declaration(in.Declared)
	if in.Node != nil {
		d.SeccompDefault = in.Node.SeccompDefault
	}
	switch {
	case d.Type != "" && !in.Declared.Annotated():
		d.Means = d.Type
	case d.SeccompDefault == nil:
	case *d.SeccompDefault:
		d.Means = string(corev1.SeccompProfileTypeRuntimeDefault)
	default:
		d.Means = string(corev1.SeccompProfileTypeUnconfined)
	}
	if in.Target != nil && in.Target.File != nil {
		d.File = &v1alpha1.NodeFile{Path: terminal.Escape(in.Target.File.Path), Modified: at(in.Target.File.ModifiedNS)}
	}
	return d
}

// Declaration is what a specification says, for output.
func Declaration(d target.Declared) v1alpha1.Declaration {
	return v1alpha1.Declaration{
		Type: string(d.Type), Localhost: terminal.Escape(d.Localhost), By: d.By,
		Privileged: d.Privileged, RuntimeClass: d.RuntimeClass,
	}
}

// at is a time in nanoseconds since the epoch, zero for 0.
func at(ns int64) metav1.Time {
	if ns == 0 {
		return metav1.Time{}
	}
	return metav1.NewTime(time.Unix(0, ns).UTC())
}

// why returns the first problem of some kinds that the probe had with the
// container, or else the first of all.
func (in *Input) why(codes ...string) error {
	if in.Failed != nil {
		return in.Failed
	}
	var list []wire.Problem
	if in.Target != nil {
		list = in.Target.Problems
	}
	list = slices.Concat(list, in.Problems)
	for i := range list {
		if slices.Contains(codes, list[i].Code) {
			return &list[i]
		}
	}
	if len(list) > 0 {
		return &list[0]
	}
	return errors.New("the probe does not say why")
}

// strict is why there is nothing to compare with the filters of a thread in mode
// strict.
const strict = "it is in seccomp's strict mode, which has no filters: there is nothing to compare"

// unread is why the filters of the main thread are not known.
func (in *Input) unread() error {
	if s := in.Target.Subject(); s != nil && s.Mode == wire.ModeStrict {
		return errors.New("the main thread: " + strict)
	}
	return in.why()
}

// harmless are the problems of a container that leave no thread of it out that is
// still there: they are about other readings, or about threads that have ended.
var harmless = []string{wire.CodeNoConfig, wire.CodeNoFile, wire.CodeNoReference, wire.CodeExited, wire.CodeZombie, wire.CodeRestartDenied}

// incomplete is the first problem for which not all threads of the container may
// have been looked at; nil if there is none.
func (in *Input) incomplete() error {
	for i := range in.Target.Problems {
		if p := &in.Target.Problems[i]; !slices.Contains(harmless, p.Code) {
			return p
		}
	}
	return nil
}

// stackOf returns a state's filters; ok is false if they are not known.
func stackOf(s *report.State) (stack bpf.Stack, ok bool) {
	return s.Stack, s.Mode == wire.ModeDisabled || s.Stack != nil
}
