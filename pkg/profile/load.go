package profile

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Loaded is what a profile comes to.
type Loaded struct {
	// Unconfined tells that there is no filter: the runtime takes the profile for
	// none. All but Warnings is empty then.
	Unconfined bool

	// Filter does what the filter in the kernel does, apart from Dependent. Its
	// first Stub instructions are runc's ENOSYS stub.
	Filter bpf.Filter
	Stub   int
	// Flags are those of seccomp(2).
	Flags []string

	// ABIs that the filter has rules for, the machine's own first. Calls of
	// others kill the thread.
	ABIs    []syscalls.ABI
	Default bpf.Return // for calls that no rule is about
	// Rules are those that have an effect, by ABI and number. Among those of one
	// number the first that holds counts.
	Rules []Rule

	Dependent []Dependent
	Warnings  []Warning
}

// Stack returns the filters, none or one.
func (l *Loaded) Stack() bpf.Stack {
	if l.Unconfined {
		return nil
	}
	return bpf.Stack{l.Filter}
}

// Load interprets the profile as a target does. The error is an *[Error], except
// for a Target that is incomplete.
func (p *Profile) Load(t Target) (*Loaded, error) {
	if len(syscalls.OfMachine(t.Arch)) == 0 {
		return nil, fmt.Errorf("load a seccomp profile: no architecture is called %q: want a GOARCH such as amd64", t.Arch)
	}
	read, err := p.read(t)
	if err != nil {
		return nil, err
	}
	r := &resolver{Profile: p, reading: read, target: t, loaded: &Loaded{}, warned: map[Warning]bool{}}
	if p.root != nil {
		r.lintKeys()
	}
	// runc takes a profile without anything in it for none; so does Docker, and
	// then there is nothing that crun could object to.
	if read.unconfined || t.OCIRuntime != Crun && read.DefaultAction == "" && len(read.Syscalls) == 0 {
		r.loaded.Unconfined = true
		return r.loaded, nil
	}
	if err := r.resolve(); err != nil {
		return nil, err
	}
	r.lint()
	return r.loaded, r.compile()
}
