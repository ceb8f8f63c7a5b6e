package record

import (
	"bytes"
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

// Errors of Load, that tell what a kernel lacks.
var (
	// ErrNoBTF is the error on a kernel that does not describe its structures.
	ErrNoBTF = errors.New("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")
	// ErrRefused is the error where the kernel does not let this process load
	// programs.
	ErrRefused = errors.New("the kernel refuses to load BPF programs")
	// ErrUnsupported is the error on a kernel or an architecture on which the
	// program does not run.
	ErrUnsupported = errors.New("not supported")
)

// maxCountMemory bounds what the counts take, in bytes: each has a place on every
// processor. The kernel charges it to the probe.
const maxCountMemory = 24 << 20

// maxUsualMemory does so for the places of usual calls, which are there from the
// beginning, usualSize bytes for each container on each processor.
const (
	maxUsualMemory = 16 << 20
	usualSize      = 8 * usualNumbers
	usualNumbers   = 512 // USUAL of the program
)

// objects are what the program consists of.
type objects struct {
	OnEnter *ebpf.Program `ebpf:"on_enter"`
	OnExit  *ebpf.Program `ebpf:"on_exit"`
	OnFork  *ebpf.Program `ebpf:"on_fork"`
	OnExec  *ebpf.Program `ebpf:"on_exec"`
	OnMkdir *ebpf.Program `ebpf:"on_mkdir"`
	OnTask  *ebpf.Program `ebpf:"on_task"`

	Slots      *ebpf.Map `ebpf:"slots"`
	Containers *ebpf.Map `ebpf:"containers"`
	Newcomers  *ebpf.Map `ebpf:"newcomers"`
	Cgroups    *ebpf.Map `ebpf:"cgroups"`
	Processes  *ebpf.Map `ebpf:"processes"`
	Threads    *ebpf.Map `ebpf:"threads"`
	Recents    *ebpf.Map `ebpf:"recents"`
	Usual      *ebpf.Map `ebpf:"usual"`
	Counts     *ebpf.Map `ebpf:"counts"`
	Values     *ebpf.Map `ebpf:"values"`
	Refused    *ebpf.Map `ebpf:"refused"`

	Recording *ebpf.Variable `ebpf:"recording"`
	Began     *ebpf.Variable `ebpf:"began"`
	Next      *ebpf.Variable `ebpf:"next"`
	LeftOut   *ebpf.Variable `ebpf:"left_out"`
}

func (o *objects) close() {
	for _, c := range []io.Closer{
		o.OnEnter, o.OnExit, o.OnFork, o.OnExec, o.OnMkdir, o.OnTask,
		o.Slots, o.Containers, o.Newcomers, o.Cgroups, o.Processes, o.Threads,
		o.Recents, o.Usual, o.Counts, o.Values, o.Refused,
	} {
		c.Close()
	}
}

// A Process is one of those by which the cgroup of a container is found.
type Process struct {
	PID int
	Up  int // how many cgroups the container's is above its own
}

// Recorder counts the calls of containers. It is not safe for concurrent use.
type Recorder struct {
	layout  layout
	options Options
	objects objects
	links   []io.Closer
	found   int // how many containers were asked for
	began   unix.Timespec
}

// Options are what a recorder is loaded for.
type Options struct {
	// Controllers are those of the hierarchy that containers' cgroups are in, as in
	// /proc/PID/cgroup: "" for that of version 2.
	Controllers string
	// Containers is how many are recorded that are there, and New how many that come
	// meanwhile, at most.
	Containers, New int
}

// Load loads the program. Nothing is recorded before Begin. The caller closes the
// recorder; if it ends without that, the kernel does.
func Load(o Options) (*Recorder, error) {
	if o.Containers+o.New >= maxSlots {
		return nil, fmt.Errorf("record %d containers: more than %d", o.Containers+o.New, maxSlots-1)
	}
	l, ok := layouts[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("record calls on %s: %w", runtime.GOARCH, ErrUnsupported)
	}
	kernel, err := btf.LoadKernelSpec()
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, btf.ErrNotFound), errors.Is(err, btf.ErrNotSupported):
		return nil, fmt.Errorf("load the program: %w", ErrNoBTF)
	case err != nil:
		return nil, fmt.Errorf("load the program: read the kernel's BTF: %w", err)
	}
	spec, err := specification(l, kernel, o)
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	r := &Recorder{layout: l, options: o}
	if err := spec.LoadAndAssign(&r.objects, &ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: kernel}}); err != nil {
		return nil, fmt.Errorf("load the program: %w", refusal(err))
	}
	return r, nil
}

// refusal tells why a kernel did not load a program. The whole of what a verifier
// says is no error message: its last words are.
func refusal(err error) error {
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

// specification is the program as it is to be loaded.
func specification(l layout, kernel *btf.Spec, o Options) (*ebpf.CollectionSpec, error) {
	object := littleEndian
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		object = bigEndian
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, err
	}
	processors, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	counts := spec.Maps["counts"]
	counts.MaxEntries = min(counts.MaxEntries, uint32(maxCountMemory/8/processors))
	// Without a place there, a call is counted among the others. The first is no
	// container's.
	usual := spec.Maps["usual"]
	usual.MaxEntries = uint32(min(1+o.Containers+o.New, max(1, maxUsualMemory/usualSize/processors)))

	numberOffset, err := memberOffset(kernel, "pt_regs", l.number)
	if err != nil {
		return nil, err
	}
	set := map[string]any{
		"number_offset": numberOffset,
		"compat_flag":   l.compatFlag,
		"compat_status": l.compatStatus,
		"has_x32":       boolean(l.abis[x32] != 0),
		"value_offset":  l.values,
		"watched":       watchedNumbers(l),
		"unified":       boolean(o.Controllers == ""),
		"limit":         uint32(1 + o.Containers + o.New),
	}
	if o.Controllers != "" {
		if set["subsys"], err = subsystem(kernel, o.Controllers); err != nil {
			return nil, err
		}
	}
	for name, value := range set {
		if err := spec.Variables[name].Set(value); err != nil {
			return nil, err
		}
	}
	return spec, nil
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

// maxSubsystems is the length of css_set.subsys in the program.
const maxSubsystems = 16

// Add finds the cgroups of containers, each by one of its processes, and returns
// which were found. A container's number is its place in the list.
func (r *Recorder) Add(containers []Process) (found []bool, err error) {
	if len(containers) > r.options.Containers {
		return nil, fmt.Errorf("record %d containers: it was to be %d", len(containers), r.options.Containers)
	}
	type wanted struct{ Slot, Up uint32 }
	for i, p := range containers {
		if err := r.objects.Processes.Put(uint32(p.PID), wanted{uint32(i + 1), uint32(p.Up)}); err != nil {
			return nil, fmt.Errorf("find the cgroup of pid %d: %w", p.PID, err)
		}
	}
	iter, err := link.AttachIter(link.IterOptions{Program: r.objects.OnTask})
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
		var s slot
		if err := r.objects.Slots.Lookup(uint32(i+1), &s); err != nil {
			return nil, fmt.Errorf("find cgroups: %w", err)
		}
		found[i] = s.Found != 0
	}
	r.found = len(containers)
	return found, nil
}

const maxSlots = 1024 // MAX_SLOTS of the program

// slot is the program's struct slot.
type slot struct {
	Unclear, LostCounts, LostValues, LostRefused, Unmarked uint64
	MountNS, Found, Fresh, _                               uint32
}

// newcomer is the program's struct newcomer.
type newcomer struct {
	Created uint64
	Name    [128]byte
}

// Begin has calls counted from now on, of all containers at the same time.
func (r *Recorder) Begin() error {
	// The order does not matter, as none of them does anything yet.
	for _, program := range []*ebpf.Program{r.objects.OnMkdir, r.objects.OnFork, r.objects.OnExec, r.objects.OnExit, r.objects.OnEnter} {
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return fmt.Errorf("attach the program: %w", refusal(err))
		}
		r.links = append(r.links, l)
	}
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &r.began); err != nil {
		return os.NewSyscallError("clock_gettime", err)
	}
	if err := r.objects.Began.Set(uint64(r.began.Nano())); err != nil {
		return fmt.Errorf("begin to record: %w", err)
	}
	if r.options.New > 0 {
		if err := r.objects.Next.Set(uint32(1 + r.found)); err != nil {
			return fmt.Errorf("begin to record: %w", err)
		}
	}
	if err := r.objects.Recording.Set(uint32(1)); err != nil {
		return fmt.Errorf("begin to record: %w", err)
	}
	return nil
}

// End ends what Begin began and returns what was counted.
func (r *Recorder) End() (*Result, error) {
	if err := r.objects.Recording.Set(uint32(0)); err != nil {
		return nil, fmt.Errorf("end recording: %w", err)
	}
	r.detach()
	// The program runs with preemption off: after this it is under way nowhere.
	if err := membarrier(); err != nil {
		return nil, fmt.Errorf("end recording: %w", err)
	}
	return r.Read()
}

func (r *Recorder) detach() {
	for _, l := range r.links {
		l.Close()
	}
	r.links = nil
}

// Close unloads the program.
func (r *Recorder) Close() {
	r.detach()
	r.objects.close()
}

// membarrier waits until every processor has been through code that can be
// preempted (MEMBARRIER_CMD_GLOBAL of membarrier(2)).
func membarrier() error {
	const global = 1
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno != 0 {
		return os.NewSyscallError("membarrier", errno)
	}
	return nil
}
