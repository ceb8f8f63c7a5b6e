package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
)

// Verifier verifies containers. What it works out of profiles and filters that
// many of them have, it works out once.
type Verifier struct {
	// Compare tells how the policy of b stands to that of a.
	Compare func(a, b *source.Source) (*v1alpha1.Diff, error)
	// Strict has nothing hold but what is identical.
	Strict bool

	fits  map[fitKey]fit
	diffs map[diffKey]*v1alpha1.Diff
	doors map[digest]string
}

// digest is the same for equal inputs only.
type digest [sha256.Size]byte

func digestOf(parts ...any) (d digest) {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%q\n", fmt.Sprint(p))
	}
	h.Sum(d[:0])
	return d
}

// Verify holds the readings of a container against each other. What is wrong with
// them is in the result; the error is an internal one.
func (v *Verifier) Verify(in Input) (v1alpha1.VerifiedContainer, error) {
	out := v1alpha1.VerifiedContainer{Source: in.Source, Declared: in.declaration()}
	if in.Target != nil {
		out.Problems = source.Problems(in.Target.Problems)
	}
	first := v1alpha1.Arrow{From: v1alpha1.ReadingDeclared, To: v1alpha1.ReadingConfigured, Holds: v1alpha1.HoldsYes}
	second := v1alpha1.Arrow{From: v1alpha1.ReadingConfigured, To: v1alpha1.ReadingEnforced, Holds: v1alpha1.HoldsYes}
	err := v.configured(&in, &out, &first, &second)
	if err != nil {
		return out, err
	}
	out.Arrows = []v1alpha1.Arrow{first, second}
	out.Holds = worst(first.Holds, second.Holds)
	return out, nil
}

// worst is No before Unknown before Yes.
func worst(a, b v1alpha1.Holds) v1alpha1.Holds {
	for _, h := range []v1alpha1.Holds{v1alpha1.HoldsNo, v1alpha1.HoldsUnknown} {
		if a == h || b == h {
			return h
		}
	}
	return v1alpha1.HoldsYes
}

// unknown has an arrow say that a reading is missing.
func unknown(a *v1alpha1.Arrow, why error) {
	a.Holds = v1alpha1.HoldsUnknown
	reason(a, v1alpha1.ReasonNotRead, "%s", why)
}

func reason(a *v1alpha1.Arrow, code, format string, args ...any) {
	a.Reasons = append(a.Reasons, v1alpha1.Reason{Code: code, Detail: terminal.Line(fmt.Sprintf(format, args...))})
}

// configured reads what the runtime was told, and follows the arrows to it and
// from it.
func (v *Verifier) configured(in *Input, out *v1alpha1.VerifiedContainer, first, second *v1alpha1.Arrow) error {
	m := in.machine()
	if in.Target == nil || in.Target.Config == nil {
		unknown(first, in.why(wire.CodeNoConfig, wire.CodeSandbox, wire.CodeNotFound))
		unknown(second, in.why(wire.CodeNoConfig, wire.CodeSandbox, wire.CodeNotFound))
		v.enforced(in, out)
		return nil
	}
	c := in.Target.Config
	out.Configured = &v1alpha1.Configured{
		File:         v1alpha1.NodeFile{Path: terminal.Escape(c.Path), Modified: at(c.ModifiedNS)},
		Unconfined:   c.Gzip == nil,
		Runtime:      terminal.Escape(c.Runtime),
		Capabilities: escapeEach(c.Bounding),
	}
	config, err := configText(c)
	if err != nil {
		unknown(first, err)
		unknown(second, err)
		return nil
	}
	m.OCIRuntime = loaders(c)[0]
	if v.enforced(in, out) {
		m, err = v.follow(in, config, m, second)
	} else {
		unknown(second, in.unread())
	}
	if err == nil {
		if c.Gzip != nil {
			out.Configured.Reader = m.OCIRuntime.String()
		}
		err = v.asked(in, out.Declared, config, m, first)
	}
	var bad *badProfile
	if errors.As(err, &bad) {
		// It was loaded by the runtime, and cannot be here.
		reason(first, v1alpha1.ReasonInterpretation, "%s", bad)
		reason(second, v1alpha1.ReasonInterpretation, "%s", bad)
		first.Holds, second.Holds = v1alpha1.HoldsUnknown, v1alpha1.HoldsUnknown
		return nil
	}
	return err
}

// badProfile is a profile that cannot be loaded.
type badProfile struct{ error }

func (b *badProfile) Unwrap() error { return b.error }

func escapeEach(list []string) (out []string) {
	for _, s := range list {
		out = append(out, terminal.Escape(s))
	}
	return out
}

// enforced fills in what the kernel holds, and tells whether that is known.
func (v *Verifier) enforced(in *Input, out *v1alpha1.VerifiedContainer) bool {
	if in.Target == nil {
		return false
	}
	subject := in.Target.Subject()
	if subject == nil {
		return false
	}
	out.Enforced = &v1alpha1.Enforced{
		Confinement: source.Confinement(subject, in.order()),
		Started:     at(in.Target.StartedNS), Processes: in.Target.Processes, Threads: in.Target.Threads,
	}
	_, ok := stackOf(subject)
	return ok
}

// compare fills in how b stands to a.
func (v *Verifier) compare(a, b *source.Source, arrow *v1alpha1.Arrow) error {
	d, err := v.diff(a, b)
	if err != nil {
		return err
	}
	arrow.Relation, arrow.Differences, arrow.Truncated = d.Relation, nil, d.Truncated
	if len(d.Differences) > 0 {
		arrow.Differences = d.Differences
	}
	return nil
}

type diffKey struct{ a, b digest }

// diff is Compare, remembered.
func (v *Verifier) diff(a, b *source.Source) (*v1alpha1.Diff, error) {
	key := diffKey{digestOf(a.Dump.Source.Arch, a.Dump.States[0].Filters), digestOf(b.Dump.Source.Arch, b.Dump.States[0].Filters)}
	if d := v.diffs[key]; d != nil {
		return d, nil
	}
	d, err := v.Compare(a, b)
	if err != nil {
		return nil, err
	}
	if v.diffs == nil {
		v.diffs = make(map[diffKey]*v1alpha1.Diff)
	}
	v.diffs[key] = d
	return d, nil
}

// asked follows the arrow from declared to configured. m is as what the
// configuration was read.
func (v *Verifier) asked(in *Input, d v1alpha1.Declaration, config text, m profile.Target, arrow *v1alpha1.Arrow) error {
	configured, err := load(config, m)
	if err != nil {
		return &badProfile{err}
	}
	kind := in.kind(d, arrow)
	declared, ok := v.declared(in, kind, m, arrow)
	if !ok {
		// What it would be does not matter if nobody asked for it.
		_, err := v.whyNotAsked(in, d, configured, m, arrow)
		return err
	}
	if err := v.compare(declared.Source, configured.Source, arrow); err != nil {
		return err
	}
	byDefault := kind == corev1.SeccompProfileTypeRuntimeDefault
	switch {
	case byDefault && configured.loaded != nil && !sameSet(in.Reference.Config.Bounding, in.Target.Config.Bounding):
		// The reference shows what others get, even if that is the same.
		arrow.Holds = v1alpha1.HoldsUnknown
		reason(arrow, v1alpha1.ReasonCapabilities, "what RuntimeDefault is depends on capabilities, and the reference has others (%s) than the container (%s)",
			strings.Join(in.Reference.Config.Bounding, ", "), strings.Join(in.Target.Config.Bounding, ", "))
	case byDefault && declared.loaded == nil && configured.loaded == nil:
		arrow.Holds = v1alpha1.HoldsNo
		reason(arrow, v1alpha1.ReasonNoDefault, "the node's runtime has no profile for RuntimeDefault: what asks for it is started without one")
	case arrow.Relation == v1alpha1.Identical:
	case arrow.Relation == v1alpha1.Undecided:
		arrow.Holds = v1alpha1.HoldsUnknown
		reason(arrow, v1alpha1.ReasonUndecided, undecided)
	default:
		arrow.Holds = v1alpha1.HoldsNo
		return v.whyConfigured(in, d, kind, configured, m, arrow)
	}
	return nil
}

// kind is the profile that a declaration comes to, by what kubelet makes of none.
// The arrow says so if it does not follow from the specification.
func (in *Input) kind(d v1alpha1.Declaration, arrow *v1alpha1.Arrow) corev1.SeccompProfileType {
	const byDefault, unconfined = corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined
	switch {
	case d.Type != "":
		return corev1.SeccompProfileType(d.Type)
	case d.SeccompDefault == nil:
		// There are two possibilities only.
		detail := "the probe does not say why"
		if in.Node != nil && in.Node.Detail != "" {
			detail = in.Node.Detail
		}
		kind := byDefault
		if in.Target.Config.Gzip == nil {
			kind = unconfined
		}
		reason(arrow, v1alpha1.ReasonSeccompDefault, "nothing is declared, and kubelet's seccompDefault could not be told (%s): taken for %s, which the runtime was told", detail, kind)
		return kind
	case *d.SeccompDefault && d.Privileged:
		// kubelet asks for it, and nobody who wrote the specification did.
		reason(arrow, v1alpha1.ReasonSeccompDefault, "nothing is declared, and kubelet's seccompDefault is true, which runtimes leave out for a privileged container")
		return unconfined
	}
	reason(arrow, v1alpha1.ReasonSeccompDefault, "nothing is declared, and kubelet's seccompDefault is %t: %s", *d.SeccompDefault, d.Means)
	return corev1.SeccompProfileType(d.Means)
}

// declared is what a kind of profile is on the node; false if that is not known,
// which the arrow then says.
func (v *Verifier) declared(in *Input, kind corev1.SeccompProfileType, m profile.Target, arrow *v1alpha1.Arrow) (policy, bool) {
	t := none
	var err error
	switch kind {
	case corev1.SeccompProfileTypeRuntimeDefault:
		t, err = in.runtimeDefault()
	case corev1.SeccompProfileTypeLocalhost:
		if in.Target.File == nil {
			err = in.why(wire.CodeNoFile)
		} else {
			t, err = fileText(in.Target.File)
			if t.content == "" && err == nil {
				err = fmt.Errorf("%s is empty", t.name)
			}
			m = asWritten(t, m)
		}
	}
	if err != nil {
		unknown(arrow, err)
		return policy{}, false
	}
	p, err := load(t, m)
	if err != nil {
		arrow.Holds = v1alpha1.HoldsNo
		reason(arrow, v1alpha1.ReasonInterpretation, "no container would start under the profile as it is now: %s", err)
		return policy{}, false
	}
	return p, true
}

// asWritten is the reader that a profile is written for: one in Docker's format
// means what Docker makes of it, whoever reads it.
func asWritten(t text, m profile.Target) profile.Target {
	if p, err := profile.Parse([]byte(t.content)); err == nil && p.Format() == profile.Docker {
		m.Runtime = profile.DockerEngine
	} else if err == nil && p.Format() == profile.ContainersCommon {
		m.Runtime = profile.CRIO
	}
	return m
}

// runtimeDefault is the profile that the reference was started with.
func (in *Input) runtimeDefault() (text, error) {
	switch {
	case in.Reference == nil && in.NoReference != nil:
		return text{}, in.NoReference
	case in.Reference == nil:
		return text{}, errors.New("no reference container was run")
	case in.Reference.Config == nil:
		r := Input{Target: in.Reference}
		return text{}, r.why(wire.CodeNoReference, wire.CodeNoConfig)
	}
	return configText(in.Reference.Config)
}

// base is what the runtime installed of a stack: its oldest filter.
func base(stack bpf.Stack) bpf.Stack {
	if len(stack) == 0 {
		return nil
	}
	return stack[:1]
}
