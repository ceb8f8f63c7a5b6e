package wire

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
)

// Message is one of *Hello, *Target, *Filter, *Stack, *State, *Verdict,
// *Fingerprint, *Node, *Self, *Config, *File, *Began, *Recorded, *Denial, *Denied and
// *Problem.
type Message interface {
	// Type is the message's name in a frame.
	Type() string
	// check reports what cannot be in a message that a probe wrote.
	check() error
}

// newMessage returns an empty message of a type, nil if there is none.
func newMessage(typ string) Message {
	switch typ {
	case "hello":
		return new(Hello)
	case "target":
		return new(Target)
	case "filter":
		return new(Filter)
	case "stack":
		return new(Stack)
	case "state":
		return new(State)
	case "verdict":
		return new(Verdict)
	case "fingerprint":
		return new(Fingerprint)
	case "node":
		return new(Node)
	case "self":
		return new(Self)
	case "config":
		return new(Config)
	case "file":
		return new(File)
	case "began":
		return new(Began)
	case "recorded":
		return new(Recorded)
	case "denial":
		return new(Denial)
	case "denied":
		return new(Denied)
	case "problem":
		return new(Problem)
	}
	return nil
}

// Hello is the first message: who speaks, and from what machine.
type Hello struct {
	Version string   `json:"version"` // of the probe
	Kernel  string   `json:"kernel"`  // uname -r
	Machine string   `json:"machine"` // uname -m
	Arch    string   `json:"arch"`    // GOARCH of the probe: the byte order of Filters
	ABIs    []string `json:"abis"`    // every ABI the machine's kernels accept, native first
}

// Target is a container, or a process, that was found on the node.
type Target struct {
	// ID is as asked for: containerd://ID or another runtime's name for a
	// container, pid://PID for a process, reference://N for a reference container
	// of the probe's pod. What was found by itself is container://ID, since
	// nothing tells the runtime, or pid://PID.
	ID        string `json:"id"`
	PID       int    `json:"pid"` // of its init, or of the process, in the node's PID namespace
	Processes int    `json:"processes"`
	Threads   int    `json:"threads"`
	// StartedNS is when the process PID was created, in nanoseconds since the
	// epoch, as exact as clock ticks are (10 ms); 0 if it cannot be told.
	StartedNS int64 `json:"startedNs,omitempty"`
	// Compat is how many of Processes run in an ABI of fewer bits than the
	// kernel's own: 386 on amd64, arm on arm64.
	Compat int `json:"compat,omitempty"`
	// Container is the ID (64 hexadecimal digits) of the container that a
	// process which was asked for, or found, by itself is in; "" if none.
	Container string `json:"container,omitempty"`
	Comm      string `json:"comm,omitempty"` // of the main thread of PID
}

// Node is what is set on the node for all containers. It is sent at most once.
type Node struct {
	// SeccompDefault is kubelet's: whether containers that declare no profile
	// get RuntimeDefault. Absent if no kubelet, or not its configuration, was
	// found: then Detail says why.
	SeccompDefault *bool  `json:"seccompDefault,omitempty"`
	KubeletRoot    string `json:"kubeletRoot,omitempty"` // kubelet's --root-dir
	Detail         string `json:"detail,omitempty"`
}

// Config is the part that is about seccomp of the OCI runtime configuration
// (config.json) with which a target was started. Nothing else of it is sent:
// it holds the container's environment.
type Config struct {
	Target     string `json:"target"`               // Target.ID
	Path       string `json:"path"`                 // of config.json, as the process that it was found by sees it
	ModifiedNS int64  `json:"modifiedNs,omitempty"` // of that file, in nanoseconds since the epoch
	// Runtime is the path or name of the OCI runtime's program ("/usr/bin/crun");
	// "" if it could not be told.
	Runtime         string   `json:"runtime,omitempty"`
	Bounding        []string `json:"bounding,omitempty"` // process.capabilities.bounding
	NoNewPrivileges bool     `json:"noNewPrivileges,omitempty"`
	// Gzip is linux.seccomp, compressed; absent if there is none.
	Gzip []byte `json:"gzip,omitempty"`
}

// File is a Localhost profile as it lies on the node.
type File struct {
	Target     string `json:"target"` // that declares it: Target.ID
	Path       string `json:"path"`   // on the node
	ModifiedNS int64  `json:"modifiedNs"`
	Gzip       []byte `json:"gzip"` // its content, compressed
}

// MaxFile is the length in bytes of the longest Config or File that is sent,
// uncompressed.
const MaxFile = 1 << 20

// Compress returns text for Config.Gzip and File.Gzip.
func Compress(text []byte) []byte {
	var z bytes.Buffer
	w := compressors.Get().(*gzip.Writer)
	defer compressors.Put(w)
	// Writes to a bytes.Buffer do not fail.
	w.Reset(&z)
	w.Write(text)
	w.Close()
	return z.Bytes()
}

// compressors are used again: each has more than a megabyte of tables, and a
// process can have thousands of filters.
var compressors = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestCompression) // the level is a valid one
	return w
}}

// Expand undoes Compress. What is longer than MaxFile is an error.
func Expand(z []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(z))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > MaxFile {
		return nil, fmt.Errorf("more than %d bytes: %w", MaxFile, ErrTooLarge)
	}
	return text, nil
}

// Filter is one program. Each distinct one is sent once per stream.
type Filter struct {
	ID           int    `json:"id"`           // counts from 0 in a stream
	SHA256       string `json:"sha256"`       // of the raw bytes, in hexadecimal
	Instructions int    `json:"instructions"` // 1 to 4096
	Gzip         []byte `json:"gzip"`         // the raw bytes, compressed: struct sock_filter[] in the node's byte order
}

// NewFilter returns the message for a program's raw bytes.
func NewFilter(id int, raw []byte) *Filter {
	sum := sha256.Sum256(raw)
	return &Filter{ID: id, SHA256: hex.EncodeToString(sum[:]), Instructions: len(raw) / instructionSize, Gzip: Compress(raw)}
}

// Sizes of struct sock_filter and of the longest program, BPF_MAXINSNS
// (include/uapi/linux/bpf_common.h).
const (
	instructionSize = 8
	maxInstructions = 4096
)

// Raw returns the program's bytes. A Filter that came from a Reader has them
// verified: it cannot fail there.
func (f *Filter) Raw() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(f.Gzip))
	if err != nil {
		return nil, fmt.Errorf("filter %d: %w", f.ID, err)
	}
	// One byte more than there may be: what is longer is seen, not unpacked.
	raw, err := io.ReadAll(io.LimitReader(z, int64(f.Instructions)*instructionSize+1))
	if err != nil {
		return nil, fmt.Errorf("filter %d: %w", f.ID, err)
	}
	if len(raw) != f.Instructions*instructionSize {
		return nil, fmt.Errorf("filter %d: its bytes are not %d instructions", f.ID, f.Instructions)
	}
	if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("filter %d: its bytes do not hash to %q", f.ID, f.SHA256)
	}
	return raw, nil
}

// Stack is a list of filters that threads hold. Each distinct one is sent once
// per stream.
type Stack struct {
	ID      int   `json:"id"`            // counts from 0 in a stream
	Filters []int `json:"filters"`       // IDs, oldest first
	Log     []Log `json:"log,omitempty"` // one per filter; absent where the kernel (before 4.16) does not tell
}

// Log is whether a filter was installed with SECCOMP_FILTER_FLAG_LOG.
type Log bool

// Mode is a thread's seccomp mode, with the kernel's numbers
// (include/uapi/linux/seccomp.h).
type Mode uint8

const (
	ModeDisabled Mode = 0
	ModeStrict   Mode = 1
	ModeFilter   Mode = 2
)

var modes = []string{"disabled", "strict", "filter"}

func (m Mode) String() string {
	if int(m) < len(modes) {
		return modes[m]
	}
	return "mode " + strconv.Itoa(int(m))
}

func (m Mode) MarshalText() ([]byte, error) {
	if int(m) >= len(modes) {
		return nil, fmt.Errorf("seccomp mode %d has no name", m)
	}
	return []byte(modes[m]), nil
}

func (m *Mode) UnmarshalText(text []byte) error {
	for i, name := range modes {
		if name == string(text) {
			*m = Mode(i)
			return nil
		}
	}
	return fmt.Errorf("unknown seccomp mode %q", text)
}

// Caps is a set of capabilities, bit n for capability n
// (include/uapi/linux/capability.h). Its text form is that of
// /proc/PID/status: 16 hexadecimal digits.
type Caps uint64

func (c Caps) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(c)), nil }

func (c *Caps) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil || len(text) != 16 {
		return fmt.Errorf("capability set %q is not 16 hexadecimal digits", text)
	}
	*c = Caps(n)
	return nil
}

// Capabilities are the five sets of a thread (capabilities(7)).
type Capabilities struct {
	Inheritable Caps `json:"inheritable"`
	Permitted   Caps `json:"permitted"`
	Effective   Caps `json:"effective"`
	Bounding    Caps `json:"bounding"`
	Ambient     Caps `json:"ambient"`
}

// ThreadRef names a thread.
type ThreadRef struct {
	PID   int    `json:"pid"`   // thread group, in the node's PID namespace
	TID   int    `json:"tid"`   // in the node's PID namespace
	NSPID int    `json:"nspid"` // TID as seen in the container's own PID namespace
	Comm  string `json:"comm"`
	// StoppedNS is how long the thread was held: from the request to stop until
	// it was let go, in nanoseconds; 0 if it was not stopped.
	StoppedNS int64 `json:"stoppedNs,omitempty"`
}

// State is one distinct confinement among a target's threads.
type State struct {
	Target       string       `json:"target"`               // Target.ID
	Subject      bool         `json:"subject,omitempty"`    // the init's main thread is one of these
	Mode         Mode         `json:"mode"`                 //
	FilterCount  int          `json:"filterCount"`          // as the kernel reports it; of the stack where it does not (before 5.9)
	Stack        int          `json:"stack"`                // Stack.ID; NoStack: no filters, or not read (then a Problem says why)
	NoNewPrivs   bool         `json:"noNewPrivs,omitempty"` //
	Capabilities Capabilities `json:"capabilities"`         //
	Processes    int          `json:"processes"`            // that have such threads
	Threads      int          `json:"threads"`              //
	Presumed     int          `json:"presumed,omitempty"`   // of Threads: taken as equal to one that was read, not read themselves
	Read         []ThreadRef  `json:"read,omitempty"`       // those that were stopped and read, at most MaxSample
	Sample       []ThreadRef  `json:"sample,omitempty"`     // the first of the others, at most MaxSample
}

// NoStack is State.Stack of threads without one.
const NoStack = -1

// MaxSample is the most threads that a State names in one list.
const MaxSample = 32

// Verdict is what a stack does with every syscall number of one ABI, as
// evaluated on the node. A node that ran out of time or room sends fewer
// verdicts and a Problem.
type Verdict struct {
	Stack  int           `json:"stack"` // Stack.ID
	Survey survey.Survey `json:"survey"`
}

// Fingerprint is the hash of a stack's policy (policy.Fingerprint), as worked out
// on the node: the same for two stacks exactly if they do the same with every
// call. A stack that is too large for the node to work it out has none.
type Fingerprint struct {
	Stack       int    `json:"stack"`       // Stack.ID
	Fingerprint string `json:"fingerprint"` // "s:" and 64 hexadecimal digits, or "i:"
}

// Problem is something that could not be done. Its target, process and thread
// are given as far as it concerns one.
type Problem struct {
	Target string `json:"target,omitempty"`
	PID    int    `json:"pid,omitempty"`
	TID    int    `json:"tid,omitempty"`
	Comm   string `json:"comm,omitempty"`
	Code   string `json:"code"`             // one of the Code constants
	Op     string `json:"op,omitempty"`     // what was attempted: "ptrace seize"
	Errno  string `json:"errno,omitempty"`  // what the system said: "EPERM"
	Detail string `json:"detail,omitempty"` // "already traced by pid 99 (gdb)"
	Remedy string `json:"remedy,omitempty"` // what the user can do
	More   int    `json:"more,omitempty"`   // how many others of this code and target are not listed
}

// Problem codes. They are stable: scripts may depend on them.
const (
	CodeNotFound        = "not-found"         // no process of the target is on the node
	CodeExited          = "exited"            // the thread or process ended while it was looked at
	CodeChanged         = "changed"           // the thread's filters or process changed while it was looked at
	CodeZombie          = "zombie"            // the thread is dead and not yet reaped
	CodeAlreadyTraced   = "already-traced"    // another tracer holds the thread
	CodeKernelThread    = "kernel-thread"     // cannot be traced
	CodeDoesNotStop     = "does-not-stop"     // the thread did not stop in time
	CodeUninterrupted   = "uninterruptible"   // the same, and it is in an uninterruptible wait (D)
	CodeFrozen          = "frozen"            // the same, and its cgroup is frozen
	CodePermission      = "permission"        // the kernel refuses the probe
	CodeProbeConfined   = "probe-confined"    // the probe itself runs under seccomp
	CodeUnsupported     = "unsupported"       // the kernel lacks what is needed
	CodeInvalidTarget   = "invalid-target"    // the target's ID is not one
	CodeUnreadable      = "unreadable"        // something of /proc could not be read
	CodeRestartDenied   = "restart-denied"    // the thread was read, and its own filters may have failed the call that the stop interrupted
	CodeTooManyThreads  = "too-many-threads"  // the limit per target was reached
	CodeTooManyTargets  = "too-many-targets"  // there are more containers and processes than are looked at
	CodeTooManyFilters  = "too-many-filters"  // the thread has so many that to copy them would hold it for too long
	CodeTooManyStops    = "too-many-stops"    // the limit of failed stops per target was reached
	CodeTooManyStacks   = "too-many-stacks"   // the limit of distinct stacks per target was reached
	CodeTooManyProblems = "too-many-problems" // the limit of problems per target was reached; said by who reads the stream
	CodeInterrupted     = "interrupted"       // the probe was told to end
	CodeTimeout         = "timeout"           // the time for the whole run was up
	CodeOutputFull      = "output-full"       // the stream's limit was reached
	CodeNoConfig        = "no-config"         // the OCI runtime configuration was not found, or is not one
	CodeNoFile          = "no-file"           // the Localhost profile cannot be read
	CodeNoReference     = "no-reference"      // the pod has no such reference container, or it does not run
	CodeSandbox         = "sandbox"           // the container runs in a sandbox with a kernel of its own (gVisor, Kata)
	CodeInternal        = "internal"          // a bug
)

const (
	// maxCode is the length of the longest code that there may be.
	maxCode = 32
	// maxMore is far more than a node's threads (PID_MAX_LIMIT, 1 << 22) can
	// give rise to.
	maxMore = 1 << 30
)

// Error is the problem on one line: what was attempted on what, what the system
// said, what to do.
func (p *Problem) Error() string {
	var b bytes.Buffer
	b.WriteString(p.Op)
	if p.Op == "" {
		b.WriteString(p.Code)
	}
	switch {
	case p.TID != 0:
		fmt.Fprintf(&b, " thread %d", p.TID)
	case p.PID != 0:
		fmt.Fprintf(&b, " pid %d", p.PID)
	}
	if p.Comm != "" {
		fmt.Fprintf(&b, " (%s)", p.Comm)
	}
	if p.Target != "" {
		fmt.Fprintf(&b, " of %s", p.Target)
	}
	for _, s := range []string{p.Errno, p.Detail, p.Remedy} {
		if s != "" {
			b.WriteString(": ")
			b.WriteString(s)
		}
	}
	if p.More > 0 {
		fmt.Fprintf(&b, " … and %d more", p.More)
	}
	return b.String()
}

func (*Hello) Type() string       { return "hello" }
func (*Target) Type() string      { return "target" }
func (*Filter) Type() string      { return "filter" }
func (*Stack) Type() string       { return "stack" }
func (*State) Type() string       { return "state" }
func (*Verdict) Type() string     { return "verdict" }
func (*Problem) Type() string     { return "problem" }
func (*Node) Type() string        { return "node" }
func (*Config) Type() string      { return "config" }
func (*File) Type() string        { return "file" }
func (*Fingerprint) Type() string { return "fingerprint" }

func (h *Hello) check() error {
	if h.Arch == "" || len(h.ABIs) == 0 {
		return errors.New("no architecture")
	}
	return nil
}

func (t *Target) check() error {
	if t.ID == "" || t.PID <= 0 || t.Processes < 1 || t.Threads < t.Processes {
		return errors.New("no such target can be")
	}
	if t.Compat < 0 || t.Compat > t.Processes || t.StartedNS < 0 {
		return errors.New("impossible counts")
	}
	if raw, err := hex.DecodeString(t.Container); err != nil || t.Container != "" && len(raw) != sha256.Size {
		return fmt.Errorf("container %q", clip(t.Container))
	}
	return nil
}

func (f *Filter) check() error {
	if f.Instructions < 1 || f.Instructions > maxInstructions {
		return fmt.Errorf("filter of %d instructions", f.Instructions)
	}
	_, err := f.Raw()
	return err
}

func (s *Stack) check() error {
	if len(s.Filters) == 0 {
		return errors.New("stack without filters")
	}
	if s.Log != nil && len(s.Log) != len(s.Filters) {
		return fmt.Errorf("stack of %d filters with %d log flags", len(s.Filters), len(s.Log))
	}
	return nil
}

func (s *State) check() error {
	switch {
	case s.FilterCount < 0 || s.Processes < 1 || s.Threads < s.Processes || s.Presumed < 0 || s.Presumed > s.Threads:
		return errors.New("impossible counts")
	case len(s.Read) > MaxSample || len(s.Sample) > MaxSample:
		return fmt.Errorf("more than %d threads listed", MaxSample)
	case s.Stack != NoStack && s.Mode != ModeFilter:
		return fmt.Errorf("filters in mode %v", s.Mode)
	}
	return nil
}

func (v *Verdict) check() error { return v.Survey.Check() }

func (f *Fingerprint) check() error {
	form, sum, _ := strings.Cut(f.Fingerprint, ":")
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || form != "s" && form != "i" {
		return fmt.Errorf("fingerprint %q", clip(f.Fingerprint))
	}
	return nil
}

func (*Node) check() error { return nil }

func (c *Config) check() error {
	if c.Path == "" {
		return errors.New("configuration without a path")
	}
	if c.Gzip == nil {
		return nil
	}
	_, err := Expand(c.Gzip)
	return err
}

func (f *File) check() error {
	if f.Path == "" {
		return errors.New("file without a path")
	}
	_, err := Expand(f.Gzip)
	return err
}

func (p *Problem) check() error {
	// It is printed as it is, and compared by scripts.
	if p.Code == "" || len(p.Code) > maxCode || strings.Trim(p.Code, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return errors.New("problem without a code that could be one")
	}
	if p.More < 0 || p.More > maxMore {
		return fmt.Errorf("%d more problems", p.More)
	}
	return nil
}
