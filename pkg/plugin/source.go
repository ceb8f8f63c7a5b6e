package plugin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/capability"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/local"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// sourceFlags say how operands are read.
type sourceFlags struct {
	probe      probeFlags
	arch       string
	runtime    string
	ociRuntime string
	capAdd     []string
	capDrop    []string
	kernel     string
}

func (f *sourceFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.probe.add(flags)
	flags.StringVar(&f.arch, "arch", "", "Architecture that files are for, as Go names it; default: that of what a file is compared with, or else this machine's")
	flags.StringVar(&f.runtime, "runtime", "containerd", "Runtime that a profile is interpreted as: containerd, docker, cri-o")
	flags.StringVar(&f.ociRuntime, "oci-runtime", "runc", "OCI runtime that a profile is interpreted as: runc, crun")
	flags.StringSliceVar(&f.capAdd, "cap-add", nil, "Capabilities that a profile is loaded with besides those of the container beside it, or else the default ones; or ALL")
	flags.StringSliceVar(&f.capDrop, "cap-drop", nil, "Capabilities that a profile is loaded without, unless they are in --cap-add; or ALL")
	flags.StringVar(&f.kernel, "kernel", "", "Release of the kernel that files are for, such as 6.12; default: that of the container beside it, or else one as new as the tables of syscalls")
}

var (
	runtimes    = map[string]profile.Runtime{"containerd": profile.Containerd, "docker": profile.DockerEngine, "cri-o": profile.CRIO}
	ociRuntimes = map[string]profile.OCIRuntime{"runc": profile.Runc, "crun": profile.Crun}
)

func (f *sourceFlags) validate() error {
	if _, ok := runtimes[f.runtime]; !ok {
		return fmt.Errorf("--runtime %q: want containerd, docker or cri-o", f.runtime)
	}
	if _, ok := ociRuntimes[f.ociRuntime]; !ok {
		return fmt.Errorf("--oci-runtime %q: want runc or crun", f.ociRuntime)
	}
	if f.arch != "" && len(syscalls.OfMachine(f.arch)) == 0 {
		return fmt.Errorf("--arch %q: there is no such architecture: want a GOARCH such as amd64 or arm64", f.arch)
	}
	if _, err := capability.ParseNames(f.capAdd); err != nil {
		return fmt.Errorf("--cap-add: %w", err)
	}
	if _, err := capability.ParseNames(f.capDrop); err != nil {
		return fmt.Errorf("--cap-drop: %w", err)
	}
	if _, err := profile.ParseKernel(f.kernel); f.kernel != "" && err != nil {
		return fmt.Errorf("--kernel: %w", err)
	}
	return f.probe.validate()
}

// change makes the machine that files are for what the flags say. The flags are
// valid.
func (f *sourceFlags) change(m *profile.Target) {
	if f.arch != "" {
		m.Arch = f.arch
	}
	m.Runtime, m.OCIRuntime = runtimes[f.runtime], ociRuntimes[f.ociRuntime]
	add, _ := capability.ParseNames(f.capAdd)
	drop, _ := capability.ParseNames(f.capDrop)
	m.Capabilities = (capability.SetOf(m.Capabilities)&^drop | add).Names()
	if f.kernel != "" {
		m.Kernel, _ = profile.ParseKernel(f.kernel)
	}
}

// operands are what a command reads, the cluster included only if one of them is
// a container.
type operands struct {
	list     []operand
	flags    *sourceFlags
	stdin    io.Reader
	Resolver Resolver
	Prober   Prober
	Local    Machine
	cluster  string // flags of commands that are printed
}

// An operand is one that needs no cluster, or else a container's. Those that need
// none are files and the like, or here, on this machine.
type operand struct {
	ref       source.Ref
	offline   bool
	here      bool
	local     local.Operand
	container target.Operand
}

// file tells whether an operand is one that flags say more of: a file, or
// Unconfined.
func (o operand) file() bool { return o.offline && !o.here }

// unused returns an error for a flag that says what files are for, if there are
// none.
func (f *sourceFlags) unused(files bool) error {
	for _, name := range []string{"arch", "runtime", "cap-add", "cap-drop", "kernel"} {
		if !files && f.probe.flags.Changed(name) {
			return fmt.Errorf("--%s: that is for files, and no operand is one", name)
		}
	}
	return nil
}

// newOperands understands what operands say, and connects to the cluster if need
// be.
func (c *common) newOperands(flags *sourceFlags, texts ...string) (*operands, error) {
	if err := flags.validate(); err != nil {
		return nil, err
	}
	o := &operands{flags: flags, stdin: c.In, Local: c.local, cluster: clusterFlags(c.config)}
	online, stdin := false, false
	for _, text := range texts {
		var one operand
		var err error
		if one.ref, one.offline, err = source.Parse(text); err != nil {
			return nil, err
		}
		if !one.offline {
			if one.local, one.here, err = local.Parse(text); err != nil {
				return nil, err
			}
			one.offline = one.here
		}
		if !one.offline {
			online = true
			if one.container, err = target.Parse(text); err != nil {
				return nil, err
			}
		}
		if one.ref.Stdin() && stdin {
			return nil, source.ErrStdin
		}
		stdin = stdin || one.ref.Stdin()
		o.list = append(o.list, one)
	}
	var err error
	if err := flags.unused(slices.ContainsFunc(o.list, operand.file)); err != nil {
		return nil, err
	}
	if !online && flags.probe.dry() {
		return nil, errNoPods
	}
	if online {
		o.Resolver, o.Prober, err = c.connect(&flags.probe)
	}
	return o, err
}

// read reads the sources of each operand: files first, then the containers of all
// operands at once, and then what is on this machine.
func (o *operands) read(ctx context.Context) ([][]*source.Source, error) {
	contents := make([]source.Content, len(o.list))
	for i, operand := range o.list {
		if !operand.offline || operand.here {
			continue
		}
		var err error
		if contents[i], err = operand.ref.Open(o.stdin); err != nil {
			return nil, err
		}
	}
	sources, err := o.readCluster(ctx)
	if err != nil {
		return nil, err
	}
	if err := o.readLocal(ctx, sources); err != nil {
		return nil, err
	}
	machine := o.machine(sources, contents)
	for i, content := range contents {
		if content == nil {
			continue
		}
		if sources[i], err = content.On(machine); err != nil {
			return nil, err
		}
	}
	o.date(sources)
	return sources, nil
}

// date gives the sources that do not know their kernel the one that they are for, if
// anything says which: the flag, or else another operand.
func (o *operands) date(sources [][]*source.Source) {
	all := slices.Concat(sources...)
	kernel := o.flags.kernel
	for _, s := range all {
		kernel = cmp.Or(kernel, s.Dump.Source.Kernel)
	}
	for _, s := range all {
		s.Dump.Source.Kernel = cmp.Or(s.Dump.Source.Kernel, kernel)
	}
}

// machine is the one that files are for which do not say: that of another
// operand, or else the default.
func (o *operands) machine(sources [][]*source.Source, contents []source.Content) profile.Target {
	m, found := profile.Target{}, false
	for i := range o.list {
		switch {
		case found:
		case len(sources[i]) > 0:
			m, found = sources[i][0].Machine(), true
		case contents[i] != nil:
			m, found = contents[i].Machine()
		}
	}
	if !found {
		m = source.DefaultMachine()
	}
	o.flags.change(&m)
	return m
}

// newSource makes a source of a target in the report of its node. One whose
// subject was not read is an error.
func newSource(o target.Operand, w wanted, r *report.Report) (*source.Source, error) {
	name := w.container.String()
	if w.container.Name == "" {
		name = o.Text
	}
	t, err := reportOf(r, w, name)
	if err != nil {
		return nil, err
	}
	s := fromReport(o, w, r, t)
	for i := range t.Problems {
		s.Warnings = append(s.Warnings, fmt.Errorf("%s: %w", name, &t.Problems[i]))
	}
	for i := range r.Problems {
		s.Warnings = append(s.Warnings, fmt.Errorf("%s: %w", w.where(), &r.Problems[i]))
	}
	return s, nil
}

// readable tells whether a state's filters are known.
func readable(s *report.State) bool { return s.Mode != wire.ModeFilter || s.Stack != nil }

// warnOf says what an answer about a source's subject leaves out.
func (c *common) warnOf(s *source.Source) {
	if err := otherThreads(s); err != nil {
		c.warn(err)
	}
	for _, err := range s.Warnings {
		c.warn(err)
	}
}

// otherThreads says that the subject of a source does not stand for all of its
// threads; nil if it does.
func otherThreads(s *source.Source) error {
	threads := 0
	for _, state := range s.Dump.States[1:] {
		threads += state.Threads
	}
	if threads == 0 {
		return nil
	}
	return fmt.Errorf("%s: not confined like its main thread: %d of %d threads; dump shows how", s.Name(), threads, s.Dump.Threads)
}

// filtersOf names what the subject of a source is held to, by its filters.
func filtersOf(s *source.Source) string {
	state := s.Dump.States[0]
	return fmt.Sprint(s.Dump.Source.Arch, state.Mode, state.Filters)
}

// policyOf names it by what the filters do; by themselves if that is not decided.
func policyOf(s *source.Source, filters string) string {
	print, err := fingerprintOf(s, 0)
	if err != nil || print == "" {
		return filters
	}
	return fmt.Sprint(s.Dump.Source.Arch, s.Dump.States[0].Mode, print)
}
