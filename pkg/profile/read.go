package profile

import (
	"encoding/json"
	"errors"
	"strconv"
)

// A reading is what a container runtime hands to runc or crun.
type reading struct {
	LinuxSeccomp
	entries    []int // of each of Syscalls, the entry of the profile that it is
	unconfined bool  // no profile at all
}

// entry returns the profile's entry that the i-th of Syscalls is.
func (r *reading) entry(i int) int {
	if r.entries == nil {
		return i
	}
	return r.entries[i]
}

// read does what the container runtime does.
func (p *Profile) read(t Target) (*reading, error) {
	switch {
	case p.root == nil:
		return &reading{unconfined: true}, nil
	case p.base != nil:
		name, _ := p.base.text()
		return nil, p.errorf(p.base, ErrBase, "the profile extends %s, which is not at hand: load what the operator wrote to the node", quote(name))
	case p.format == CustomResource:
		return p.readResource()
	case p.format == OCIConfig || t.Runtime == Containerd:
		r := &reading{}
		return r, p.decode(&r.LinuxSeccomp)
	case t.Runtime == DockerEngine:
		return p.readDocker(t)
	case t.Runtime == CRIO:
		return p.readCommon(t)
	}
	return nil, &Error{Err: because(ErrRefused, "load a profile: unknown runtime %s", t.Runtime)}
}

// decode decodes the profile as the Go programs do that read it.
func (p *Profile) decode(into any) error {
	err := json.Unmarshal(p.text[p.root.start:p.root.end], into)
	if err == nil {
		return nil
	}
	e := &Error{Err: because(ErrRefused, "%s", oneLine(err.Error()))}
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		e.Err = because(ErrRefused, "a %s where %s belongs", mismatch.Value, mismatch.Type)
		e.Path = mismatch.Field
		if p.lines {
			e.Line, e.Column = position(p.text, p.root.start+max(int(mismatch.Offset)-1, 0))
		}
	}
	return e
}

// readResource does what the operator does: it writes the spec to the node, as
// JSON that containerd or CRI-O then reads.
func (p *Profile) readResource() (*reading, error) {
	var spec struct {
		LinuxSeccomp
		Syscalls []struct {
			LinuxSyscall
			ErrnoRet errnoNumber `json:"errnoRet"` // a string in v1beta1
		} `json:"syscalls"`
	}
	if err := p.decode(&spec); err != nil {
		return nil, err
	}
	r := &reading{LinuxSeccomp: spec.LinuxSeccomp}
	for _, s := range spec.Syscalls {
		s.LinuxSyscall.ErrnoRet = s.ErrnoRet.value
		r.Syscalls = append(r.Syscalls, s.LinuxSyscall)
	}
	return r, nil
}

// An errnoNumber is a number, be it quoted or not.
type errnoNumber struct{ value *uint }

func (e *errnoNumber) UnmarshalJSON(text []byte) error {
	var quoted string
	if json.Unmarshal(text, &quoted) != nil {
		return json.Unmarshal(text, &e.value)
	}
	if quoted == "" {
		return nil
	}
	n, err := strconv.ParseUint(quoted, 10, 32)
	v := uint(n)
	e.value = &v
	return err
}
