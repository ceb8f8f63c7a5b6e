package tracing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// What a kernel may lack.
var (
	// ErrNoBTF is the error on a kernel that does not describe its structures.
	ErrNoBTF = errors.New("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")
	// ErrRefused is the error where the kernel does not let this process load
	// programs.
	ErrRefused = errors.New("the kernel refuses to load BPF programs")
	// ErrUnsupported is the error on a kernel or an architecture on which a program
	// does not run.
	ErrUnsupported = errors.New("not supported")
)

// BigEndian tells which of two objects of a program is this machine's.
func BigEndian() bool { return binary.NativeEndian.Uint16([]byte{0, 1}) == 1 }

// Kernel reads how the running kernel describes its structures.
func Kernel() (*btf.Spec, error) {
	kernel, err := btf.LoadKernelSpec()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, btf.ErrNotFound), errors.Is(err, btf.ErrNotSupported):
		return nil, ErrNoBTF
	case err != nil:
		return nil, fmt.Errorf("read the kernel's BTF: %w", err)
	}
	return kernel, nil
}

// Refusal tells why a kernel did not load a program. The whole of what a verifier
// says is no error message: its last words are.
func Refusal(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier) && len(verifier.Log) > 0:
		last := verifier.Log[max(0, len(verifier.Log)-2):]
		return fmt.Errorf("%w: the kernel's verifier: %s", ErrUnsupported, strings.Join(last, "; "))
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: %v", ErrRefused, err)
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: %v", ErrUnsupported, err)
	}
	return err
}

// Fit sets the constants of containers.h in a program, for this machine and for
// containers whose cgroups are in a hierarchy: that of version 2 if controllers is
// "", else that with these, as in /proc/PID/cgroup.
func Fit(spec *ebpf.CollectionSpec, kernel *btf.Spec, controllers string) error {
	l, ok := Layouts[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("look at calls on %s: %w", runtime.GOARCH, ErrUnsupported)
	}
	number, err := memberOffset(kernel, "pt_regs", l.Number)
	if err != nil {
		return err
	}
	if l.FirstArgument != "" {
		first, err := memberOffset(kernel, "pt_regs", l.FirstArgument)
		if err != nil {
			return err
		}
		for i := range l.Arguments {
			l.Arguments[i][0] = uint16(first)
		}
	}
	set := map[string]any{
		"number_offset":   number,
		"pointer_offset":  l.Pointer,
		"argument_offset": l.Arguments,
		"compat_flag":     l.CompatFlag,
		"compat_status":   l.CompatStatus,
		"has_x32":         boolean(l.ABIs[X32] != 0),
		"unified":         boolean(controllers == ""),
	}
	if controllers != "" {
		if set["subsys"], err = subsystem(kernel, controllers); err != nil {
			return err
		}
	}
	return Set(spec, set)
}

// Set sets constants of a program that is to be loaded.
func Set(spec *ebpf.CollectionSpec, values map[string]any) error {
	for name, value := range values {
		v := spec.Variables[name]
		if v == nil {
			return fmt.Errorf("the program has no constant %s", name)
		}
		if err := v.Set(value); err != nil {
			return err
		}
	}
	return nil
}

func boolean(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// memberOffset is where a structure of the kernel has a member, in bytes.
func memberOffset(kernel *btf.Spec, structure, member string) (uint32, error) {
	var s *btf.Struct
	if err := kernel.TypeByName(structure, &s); err != nil {
		return 0, fmt.Errorf("%w: struct %s: %v", ErrUnsupported, structure, err)
	}
	i := slices.IndexFunc(s.Members, func(m btf.Member) bool { return m.Name == member })
	if i < 0 {
		return 0, fmt.Errorf("%w: struct %s has no %s", ErrUnsupported, structure, member)
	}
	return s.Members[i].Offset.Bytes(), nil
}

// maxSubsystems is the length of css_set.subsys in containers.h.
const maxSubsystems = 16

// subsystem is the kernel's number for the first of some controllers that it knows
// by name.
func subsystem(kernel *btf.Spec, controllers string) (uint32, error) {
	var e *btf.Enum
	if err := kernel.TypeByName("cgroup_subsys_id", &e); err != nil {
		return 0, fmt.Errorf("%w: enum cgroup_subsys_id: %v", ErrUnsupported, err)
	}
	for name := range strings.SplitSeq(controllers, ",") {
		for _, v := range e.Values {
			if v.Name == name+"_cgrp_id" && v.Value < maxSubsystems {
				return uint32(v.Value), nil
			}
		}
	}
	return 0, fmt.Errorf("%w: the kernel has no cgroup controller %s", ErrUnsupported, controllers)
}

// MaxContainers is how many a program can look at.
const MaxContainers = 1023 // MAX_SLOTS of containers.h

// A Process is one of those by which the cgroup of a container is found.
type Process struct {
	PID int
	Up  int // how many cgroups the container's is above its own
}

// Objects are those of containers.h that containers are found by.
type Objects struct {
	OnTask    *ebpf.Program `ebpf:"on_task"`
	Cgroups   *ebpf.Map     `ebpf:"cgroups"`
	Processes *ebpf.Map     `ebpf:"processes"`
	Found     *ebpf.Map     `ebpf:"found"`
}

// Close unloads them.
func (o *Objects) Close() {
	o.OnTask.Close()
	o.Cgroups.Close()
	o.Processes.Close()
	o.Found.Close()
}

// Add finds the cgroups of containers, each by one of its processes, and returns
// which were found. A container's number is its place in the list, from 1.
func (o *Objects) Add(containers []Process) (found []bool, err error) {
	if len(containers) > MaxContainers {
		return nil, fmt.Errorf("look at %d containers: more than %d", len(containers), MaxContainers)
	}
	type wanted struct{ Slot, Up uint32 }
	for i, p := range containers {
		if err := o.Processes.Put(uint32(p.PID), wanted{uint32(i + 1), uint32(p.Up)}); err != nil {
			return nil, fmt.Errorf("find the cgroup of pid %d: %w", p.PID, err)
		}
	}
	iter, err := link.AttachIter(link.IterOptions{Program: o.OnTask})
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	defer iter.Close()
	tasks, err := iter.Open()
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	defer tasks.Close()
	if _, err := io.Copy(io.Discard, tasks); err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	found = make([]bool, len(containers))
	for i := range containers {
		var one uint32
		if err := o.Found.Lookup(uint32(i+1), &one); err != nil {
			return nil, fmt.Errorf("find cgroups: %w", err)
		}
		found[i] = one != 0
	}
	return found, nil
}

// Quiesce waits until every processor has been through code that can be preempted
// (MEMBARRIER_CMD_GLOBAL of membarrier(2)): programs run with preemption off, so
// that those which are detached are under way nowhere after this.
func Quiesce() error {
	const global = 1
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno != 0 {
		return os.NewSyscallError("membarrier", errno)
	}
	return nil
}

// Monotonic is the time by CLOCK_MONOTONIC, in nanoseconds, which programs go by.
func Monotonic() (uint64, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return uint64(now.Nano()), nil
}
