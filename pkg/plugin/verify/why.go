package verify

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// order is the byte order of the container's machine.
func (in *Input) order() binary.ByteOrder {
	return syscalls.OfMachine(in.Source.Arch)[0].ByteOrder()
}

// whyConfigured looks for why the runtime was told something else than a profile
// of a kind, to which the declaration comes. m is as what the configuration was
// read.
func (v *Verifier) whyConfigured(in *Input, d v1alpha1.Declaration, kind corev1.SeccompProfileType, configured policy, m profile.Target, arrow *v1alpha1.Arrow) error {
	if found, err := v.whyNotAsked(in, d, configured, m, arrow); found || err != nil {
		return err
	}
	switch {
	case kind == corev1.SeccompProfileTypeLocalhost:
		return v.whyLocalhost(in, configured, m, arrow)
	case kind == corev1.SeccompProfileTypeRuntimeDefault && configured.loaded != nil:
		reason(arrow, v1alpha1.ReasonDefaultDiffers, "the node's runtime gives a container another profile for RuntimeDefault now than it gave this one: it may have been updated since")
	default:
		reason(arrow, v1alpha1.ReasonUnexplained, unexplained)
	}
	return nil
}

// whyNotAsked looks for why nobody asked the runtime for the profile that is
// declared, whatever that is; false if nothing tells.
func (v *Verifier) whyNotAsked(in *Input, d v1alpha1.Declaration, configured policy, m profile.Target, arrow *v1alpha1.Arrow) (bool, error) {
	if d.Privileged && configured.loaded == nil {
		reason(arrow, v1alpha1.ReasonPrivileged, "the container is privileged: the runtime leaves out the profile that is declared")
		return true, nil
	}
	if d.Type != "" && !in.Declared.Annotated() {
		return false, nil
	}
	for _, on := range []bool{false, true} {
		same, err := v.undeclared(in, on, configured, m)
		switch {
		case err != nil:
			return false, err
		case !same:
		case in.Declared.Annotated() && (d.SeccompDefault == nil || *d.SeccompDefault == on):
			reason(arrow, v1alpha1.ReasonAnnotation, "the profile is declared by the annotation %s, of which Kubernetes takes no notice since 1.27: set seccompProfile", d.By)
			return true, nil
		case d.Type == "":
			reason(arrow, v1alpha1.ReasonSeccompDefault, "the container has what seccompDefault %t gives: kubelet's was another when it was created, or the runtime does not go by it", on)
			return true, nil
		}
	}
	return false, nil
}

// undeclared tells whether a configuration is what a container without a
// declaration gets, with kubelet's seccompDefault on or off.
func (v *Verifier) undeclared(in *Input, on bool, configured policy, m profile.Target) (bool, error) {
	if !on || configured.loaded == nil {
		return !on && configured.loaded == nil, nil
	}
	t, err := in.runtimeDefault()
	if err != nil {
		return false, nil // it cannot be told
	}
	byDefault, err := load(t, m)
	if err != nil {
		return false, nil
	}
	d, err := v.diff(byDefault.Source, configured.Source)
	return err == nil && d.Relation == v1alpha1.Identical, err
}

// What is said where no reason is found, and where there is no telling.
const (
	unexplained = "nothing here tells why"
	undecided   = "the filters compute more than the analysis has room for: it is not known whether they differ"
)

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// whyLocalhost looks for why a Localhost profile is not what the runtime was told:
// keys that this runtime does not know, or a file that was changed since.
func (v *Verifier) whyLocalhost(in *Input, configured policy, m profile.Target, arrow *v1alpha1.Arrow) error {
	t, err := fileText(in.Target.File)
	if err != nil {
		return err
	}
	now, err := load(t, m) // as this runtime reads it, whatever it is written for
	if err == nil {
		d, err := v.diff(now.Source, configured.Source)
		if err != nil {
			return err
		}
		if d.Relation == v1alpha1.Identical {
			for _, w := range now.loaded.Warnings {
				if w.Code == profile.IgnoredKey || w.Code == profile.UnknownKey {
					reason(arrow, v1alpha1.ReasonIgnoredKey, "%s: %s", t.name, w)
				}
			}
			if len(arrow.Reasons) == 0 {
				reason(arrow, v1alpha1.ReasonIgnoredKey, "%s is not written for %s, which reads it otherwise", t.name, m.Runtime)
			}
			return nil
		}
	}
	changed, started := in.Target.File.ModifiedNS, in.Target.StartedNS
	if created := in.Target.Config.ModifiedNS; created != 0 {
		started = created // the runtime reads the profile just before it writes this
	}
	when, then := stamps(changed, started)
	switch {
	case changed > started:
		reason(arrow, v1alpha1.ReasonFileChanged, "%s was changed at %s, after the container was created at %s: it takes effect when the container is started anew",
			t.name, when, then)
	case changed%second == 0 && changed/second == started/second:
		// A file system may note whole seconds only.
		reason(arrow, v1alpha1.ReasonFileDiffers, "%s is not what the runtime was told: it was last changed at %s, and the container was created at %s, which is too close to tell what came first",
			t.name, when, then)
	default:
		reason(arrow, v1alpha1.ReasonFileDiffers, "%s is not what the runtime was told, although it was last changed at %s, before the container was created at %s: another file was in its place then, or times were set",
			t.name, when, then)
	}
	return nil
}

const second = int64(time.Second)

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

// stamps are two times, with as many digits as tell them apart.
func stamps(a, b int64) (string, string) {
	if a/second != b/second {
		return stamp(a), stamp(b)
	}
	return time.Unix(0, a).UTC().Format(time.RFC3339Nano), time.Unix(0, b).UTC().Format(time.RFC3339Nano)
}

// A fit is how a filter comes of a profile.
type fit struct {
	loader profile.OCIRuntime
	// explained tells that the filter is the profile as loader reads it, with what
	// is in reasons taken into account.
	explained bool
	reasons   []v1alpha1.Reason
	// otherwise is how the profile as loader reads it stands to what runc makes of
	// it; "" if that is the same, or nothing.
	otherwise v1alpha1.Relation
}

type fitKey struct{ config, filter digest }

// follow follows the arrow from configured to enforced. It returns m with the OCI
// runtime as which the configuration is to be read.
func (v *Verifier) follow(in *Input, config text, m profile.Target, arrow *v1alpha1.Arrow) (profile.Target, error) {
	subject := in.Target.Subject()
	stack, _ := stackOf(subject)
	f, err := v.fit(in, config, m, base(stack))
	if err != nil {
		return m, err
	}
	m.OCIRuntime = f.loader
	configured, err := load(config, m)
	if err != nil {
		return m, &badProfile{err}
	}
	enforced, err := source.Of(v1alpha1.Source{Operand: "the kernel"}, m, stack)
	if err != nil {
		return m, err
	}
	if err := v.compare(configured.Source, enforced, arrow); err != nil {
		return m, err
	}
	v.judge(arrow, f, config, stack)
	if err := v.others(in, config, m, arrow); err != nil {
		return m, err
	}
	if err := in.incomplete(); err != nil {
		// What was not looked at may be confined by less.
		arrow.Holds = worst(arrow.Holds, v1alpha1.HoldsUnknown)
		reason(arrow, v1alpha1.ReasonNotRead, "%s", err)
	}
	return m, v.door(in, enforced, arrow)
}

// judge gives the reasons for the relation of a stack to the configuration.
func (v *Verifier) judge(arrow *v1alpha1.Arrow, f fit, config text, stack bpf.Stack) {
	arrow.Reasons = append(arrow.Reasons, f.reasons...)
	own := len(stack) - 1
	if config.content == "" {
		own = len(stack)
	}
	switch {
	case own > 0 && config.content == "":
		reason(arrow, v1alpha1.ReasonApplication, "the runtime was told no profile: %s, of the application's own or inherited, which can only tighten", thereAre(own))
	case own > 0 && f.explained:
		reason(arrow, v1alpha1.ReasonApplication, "the application has added %s of its own, which can only tighten", filters(own))
	case len(stack) == 0 && config.content != "":
		reason(arrow, v1alpha1.ReasonNotApplied, "the runtime was told a profile, and the kernel holds no filter")
	case arrow.Relation == v1alpha1.Undecided:
		reason(arrow, v1alpha1.ReasonUndecided, undecided)
	case !f.explained && arrow.Relation != v1alpha1.Identical:
		reason(arrow, v1alpha1.ReasonUnexplained, unexplained)
	}
	arrow.Holds = worst(arrow.Holds, v.verdict(arrow.Relation, f, config))
}

// verdict is whether filters of a relation to the configuration do for it. f is
// how the oldest of them comes of it.
func (v *Verifier) verdict(r v1alpha1.Relation, f fit, config text) v1alpha1.Holds {
	explained := f.explained || config.content == ""
	switch {
	case gives(f.otherwise), v.Strict && f.otherwise != "":
		return v1alpha1.HoldsNo
	case r == v1alpha1.Identical:
	case r == v1alpha1.Undecided:
		if v.Strict || !explained || len(f.reasons) > 0 {
			return v1alpha1.HoldsUnknown
		}
		// Filters that are put on exactly what was configured can only tighten.
	case v.Strict, !explained, gives(r):
		return v1alpha1.HoldsNo
	}
	return v1alpha1.HoldsYes
}

// gives tells whether a relation has calls with more access.
func gives(r v1alpha1.Relation) bool {
	return r == v1alpha1.Looser || r == v1alpha1.Incomparable
}

func thereAre(n int) string {
	if n == 1 {
		return "there is 1 filter"
	}
	return fmt.Sprintf("there are %d filters", n)
}

func filters(n int) string {
	if n == 1 {
		return "1 filter"
	}
	return fmt.Sprintf("%d filters", n)
}

// fit finds as what a configuration was read for a filter to come of it.
func (v *Verifier) fit(in *Input, config text, m profile.Target, filter bpf.Stack) (fit, error) {
	enforced, err := source.Of(v1alpha1.Source{Operand: "the kernel"}, m, filter)
	if err != nil {
		return fit{}, err
	}
	candidates := loaders(in.Target.Config)
	if config.content == "" {
		// Nobody was asked to install anything.
		return fit{loader: candidates[0]}, nil
	}
	key := fitKey{digestOf(config.content, m.Arch, candidates), digestOf(m.Arch, enforced.Dump.States[0].Filters)}
	if f, ok := v.fits[key]; ok {
		return f, nil
	}
	f, err := v.findFit(config, m, candidates, enforced)
	if err == nil {
		if v.fits == nil {
			v.fits = make(map[fitKey]fit)
		}
		v.fits[key] = f
	}
	return f, err
}

func (v *Verifier) findFit(config text, m profile.Target, candidates []profile.OCIRuntime, enforced *source.Source) (fit, error) {
	var (
		first   *fit
		refused error
	)
	for _, loader := range candidates {
		m.OCIRuntime = loader
		p, err := load(config, m)
		if err != nil {
			// It was not this one then.
			refused = cmp.Or[error](refused, &badProfile{err})
			continue
		}
		d, err := v.diff(p.Source, enforced)
		if err != nil {
			return fit{}, err
		}
		f := fit{loader: loader}
		if first == nil {
			first = &f
		}
		if f.explained, f.reasons, err = v.explain(config, m, p, enforced, d); err != nil {
			return fit{}, err
		}
		if f.explained {
			err := v.otherwise(config, m, p, len(candidates) > 1, &f)
			return f, err
		}
	}
	if first == nil {
		return fit{}, refused
	}
	return *first, nil
}

// explain looks for what accounts for the whole difference between a profile, as
// m reads it, and a filter.
func (v *Verifier) explain(config text, m profile.Target, p policy, enforced *source.Source, d *v1alpha1.Diff) (bool, []v1alpha1.Reason, error) {
	if d.Relation == v1alpha1.Identical {
		return true, nil, nil
	}
	if names := newest(config, m, d); len(names) > 0 {
		m.Known = func(name string) bool { return !slices.Contains(names, name) }
		without, err := load(config, m)
		if err != nil {
			return false, nil, &badProfile{err}
		}
		w, err := v.diff(without.Source, enforced)
		if err != nil {
			return false, nil, err
		}
		if w.Relation == v1alpha1.Identical {
			return true, []v1alpha1.Reason{{Code: v1alpha1.ReasonUnknownSyscalls,
				Detail: "the node's libseccomp does not know " + listed(names) + ", and skips what the profile says about " + them(names)}}, nil
		}
	}
	dependent := func(d v1alpha1.Difference) bool {
		return slices.ContainsFunc(p.loaded.Dependent, func(c profile.Dependent) bool { return c.ABI.String() == d.ABI && c.Name == d.Syscall })
	}
	if !d.Truncated && len(d.Differences) > 0 && !slices.ContainsFunc(d.Differences, func(d v1alpha1.Difference) bool { return !dependent(d) }) {
		var names []string
		for _, d := range d.Differences {
			names = append(names, d.Syscall)
		}
		slices.Sort(names)
		return true, []v1alpha1.Reason{{Code: v1alpha1.ReasonCompiler,
			Detail: "the profile's rules for " + listed(slices.Compact(names)) + " compete, and this is what libseccomp has made of them"}}, nil
	}
	return false, nil, nil
}

// newest returns the names of a profile that an older libseccomp may not know,
// given what is done otherwise than the profile says: those that it names and that
// differ, if they are the newest that it names. What it does not name may differ
// for their sake, as runc's ENOSYS stub begins after the newest call that is known.
func newest(config text, m profile.Target, d *v1alpha1.Diff) (names []string) {
	native := syscalls.OfMachine(m.Arch)[0]
	named := namesOf(config)
	oldest := ^uint32(0)
	for _, d := range d.Differences {
		if d.Syscall == "" || slices.Contains(names, d.Syscall) || !named[d.Syscall] {
			continue
		}
		nr, ok := native.Number(d.Syscall)
		if !ok || nr < unified && !outOfLine(d.Syscall) {
			return nil
		}
		if !outOfLine(d.Syscall) {
			oldest = min(oldest, nr)
		}
		names = append(names, d.Syscall)
	}
	for _, call := range native.Table() {
		if call.Number >= oldest && !slices.Contains(names, call.Name) && named[call.Name] {
			return nil
		}
	}
	slices.Sort(names)
	return names
}

// namesOf is the syscalls that a configuration names.
func namesOf(config text) map[string]bool {
	var c struct {
		Linux struct {
			Seccomp struct {
				Syscalls []struct{ Names []string }
			}
		}
	}
	names := make(map[string]bool)
	if json.Unmarshal([]byte(config.content), &c) != nil {
		return names // then it was not loaded either
	}
	for _, entry := range c.Linux.Seccomp.Syscalls {
		for _, name := range entry.Names {
			names[name] = true
		}
	}
	return names
}

// unified is the number from which on a new syscall has the same one on every
// architecture (Linux 5.0, Documentation/process/adding-syscalls.rst), so that
// numbers tell which is newer.
const unified = 403

// outOfLine tells the syscalls that are new and have the number of an old one.
func outOfLine(name string) bool { return name == "uretprobe" || name == "uprobe" }

// otherwise adds to a fit that runc reads the profile in another way. guessed is
// whether that it was crun is known by the filter only.
func (v *Verifier) otherwise(config text, m profile.Target, p policy, guessed bool, f *fit) error {
	if f.loader != profile.Crun {
		return nil
	}
	m.OCIRuntime = profile.Runc
	runc, err := load(config, m)
	if err != nil {
		return nil // runc refuses it: there is nothing to compare with
	}
	d, err := v.diff(runc.Source, p.Source)
	if err != nil || d.Relation == v1alpha1.Identical {
		return err
	}
	f.otherwise = d.Relation
	detail := "crun makes something else of this profile than runc does: "
	if guessed {
		detail = "the OCI runtime reads this profile as crun does, and not as runc: "
	}
	f.reasons = append(f.reasons, v1alpha1.Reason{Code: v1alpha1.ReasonOCIRuntime, Detail: detail + relation(d)})
	return nil
}

// relation says how B stands to A in words, with some of the calls.
func relation(d *v1alpha1.Diff) string {
	word := map[v1alpha1.Relation]string{
		v1alpha1.Tighter: "it is tighter", v1alpha1.Looser: "it is looser", v1alpha1.Incomparable: "it is looser for some calls and tighter for others",
		v1alpha1.SameAccess: "calls are denied in another manner", v1alpha1.Undecided: "how is undecided",
	}[d.Relation]
	var names []string
	for _, d := range d.Differences {
		if d.Syscall != "" && !slices.Contains(names, d.Syscall) {
			names = append(names, d.Syscall)
		}
	}
	if len(names) == 0 {
		return word + ", for numbers that no syscall has"
	}
	return word + ", for " + listed(names)
}

// maxNamed is the most names that a reason lists.
const maxNamed = 6

func listed(names []string) string {
	if more := len(names) - maxNamed; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

func them(names []string) string {
	if len(names) == 1 {
		return "it"
	}
	return "them"
}

// others looks at the threads that are not confined as the main thread is.
func (v *Verifier) others(in *Input, config text, m profile.Target, arrow *v1alpha1.Arrow) error {
	for _, s := range in.Target.States {
		if s.Subject {
			continue
		}
		stack, ok := stackOf(s)
		if !ok {
			arrow.Holds = worst(arrow.Holds, v1alpha1.HoldsUnknown)
			how := "the filters were not read"
			if s.Mode == wire.ModeStrict {
				how = strict
			}
			reason(arrow, v1alpha1.ReasonThreads, "%s: %s", someThreads(s), how)
			continue
		}
		if len(in.Target.Subject().Stack) == len(stack) && slices.EqualFunc(in.Target.Subject().Stack, stack, slices.Equal[bpf.Filter]) {
			continue // other capabilities only
		}
		f, err := v.fit(in, config, m, base(stack))
		if err != nil {
			return err
		}
		configured, err := load(config, m)
		if err != nil {
			return &badProfile{err}
		}
		enforced, err := source.Of(v1alpha1.Source{Operand: "the kernel"}, m, stack)
		if err != nil {
			return err
		}
		d, err := v.diff(configured.Source, enforced)
		if err != nil {
			return err
		}
		how := relation(d)
		switch more := len(stack) - len(in.Target.Subject().Stack); {
		case d.Relation == v1alpha1.Identical:
			how = "as configured"
		case f.explained && more > 0 && !gives(d.Relation):
			how = "under " + filters(more) + " more than the main thread"
		}
		reason(arrow, v1alpha1.ReasonThreads, "%s: %s", someThreads(s), how)
		arrow.Holds = worst(arrow.Holds, v.verdict(d.Relation, f, config))
	}
	return nil
}

// someThreads names the threads of a state.
func someThreads(s *report.State) string {
	text := fmt.Sprintf("%d threads", s.Threads)
	if s.Threads == 1 {
		text = "1 thread"
	}
	if refs := slices.Concat(s.Read, s.Sample); len(refs) > 0 {
		text += fmt.Sprintf(" (thread %d of pid %d, %s)", refs[0].TID, refs[0].PID, terminal.Escape(refs[0].Comm))
	}
	if s.Mode == wire.ModeDisabled {
		text += " without a filter"
	}
	return text
}

// door adds to an arrow which restricted calls can be made in another ABI.
func (v *Verifier) door(in *Input, enforced *source.Source, arrow *v1alpha1.Arrow) error {
	if len(enforced.Stacks[0]) == 0 {
		return nil
	}
	key := digestOf(in.Source.Arch, enforced.Dump.States[0].Filters)
	text, ok := v.doors[key]
	if !ok {
		var err error
		if text, err = doors(enforced); err != nil {
			return err
		}
		if v.doors == nil {
			v.doors = make(map[digest]string)
		}
		v.doors[key] = text
	}
	if text != "" {
		reason(arrow, v1alpha1.ReasonDoor, "%s", text)
	}
	return nil
}
