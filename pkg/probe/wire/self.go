package wire

import "errors"

// Self is what the probe finds of itself, and of what the node's kernel lets it do.
// It is sent at most once.
type Self struct {
	Mode      Mode `json:"mode"`      // the probe's own
	Effective Caps `json:"effective"` // its capabilities
	// Label is what a security module calls it (/proc/PID/attr/current): an AppArmor
	// profile and its mode, or an SELinux context; "" without one.
	Label string `json:"label,omitempty"`
	// LabelError is why that could not be read; "" if it could.
	LabelError string `json:"labelError,omitempty"`
	// HostPID tells that who started the probe's container is in its PID namespace,
	// which is the node's then.
	HostPID bool `json:"hostPid,omitempty"`
	// HostUsers tells that it is in a user namespace with all users of the machine,
	// as the first one is.
	HostUsers bool `json:"hostUsers,omitempty"`
	// PtraceScope is Yama's kernel.yama.ptrace_scope; absent without Yama.
	PtraceScope *int `json:"ptraceScope,omitempty"`
	// Cgroup is the version of the cgroup hierarchy by which containers are known: 1 or
	// 2; 0 if that cannot be told.
	Cgroup int `json:"cgroup,omitempty"`
	// X32 tells that the kernel executes calls of the x32 ABI.
	X32 bool `json:"x32,omitempty"`
	// BTF tells that the kernel describes its types (/sys/kernel/btf/vmlinux).
	BTF bool `json:"btf,omitempty"`

	// Unread is why the probe could not read back a filter that it had just had
	// installed; nil if it could.
	Unread *Problem `json:"unread,omitempty"`
	// StoppedNS is how long the thread with that filter was held, in nanoseconds.
	StoppedNS int64 `json:"stoppedNs,omitempty"`
}

func (*Self) Type() string { return "self" }

func (s *Self) check() error {
	switch {
	case s.Cgroup < 0 || s.Cgroup > 2:
		return errors.New("no such version of cgroups")
	case s.StoppedNS < 0:
		return errors.New("held for less than no time")
	case s.Unread != nil:
		return s.Unread.check()
	}
	return nil
}
