// Package v1alpha1 holds the kinds that the commands print with -o json and
// -o yaml, of API version seccomp.kubectl.dev/v1alpha1. They are never stored
// in a cluster.
//
// Names that a node or a container chose (of threads, images) have unprintable
// characters escaped in Go's notation, so that they are safe in any output.
// Actions are the kernel's, without SECCOMP_RET_; numbers of calls, arguments
// and sets are hexadecimal strings, since they may need 64 bits.
//
//go:generate go run ../../../hack/gen-schema -types . -out ../../../docs/schema
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API version of the kinds.
var GroupVersion = schema.GroupVersion{Group: "seccomp.kubectl.dev", Version: "v1alpha1"}

// TypeMeta returns the type of a kind.
func TypeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: GroupVersion.String(), Kind: kind}
}

// Dump is what confines the threads of one container, as the kernel holds it.
// It holds the filters themselves, so that everything else about them can be
// worked out again from it.
type Dump struct {
	metav1.TypeMeta `json:",inline"`

	Source    Source `json:"source"`
	Processes int    `json:"processes"`
	Threads   int    `json:"threads"`
	// Compat is how many of Processes run in an ABI of fewer bits than the
	// kernel's own.
	Compat int `json:"compat,omitempty"`
	// States are the distinct confinements among the threads; the first is that
	// of the subject, the main thread of the container's init process.
	States []State `json:"states"`
	// Filters are the distinct programs that the states refer to.
	Filters []Filter `json:"filters,omitempty"`
	// Problems are what could not be read, and why.
	Problems []Problem `json:"problems,omitempty"`
	// Selection tells that the states' Syscalls are not of all calls, or not as the
	// filters are written.
	Selection *Selection `json:"selection,omitempty"`
	Risks     []Risk     `json:"risks,omitempty"`
	// Dependent are calls for which a profile leaves to its compiler what is done.
	Dependent []Dependent `json:"dependent,omitempty"`
}

// Dependent is a call whose rules in a profile compete with each other.
type Dependent struct {
	ABI     string `json:"abi"`
	Syscall string `json:"syscall"`
	Reason  string `json:"reason"`
}

// DumpList is a list of dumps: of the pods of a workload.
type DumpList struct {
	metav1.TypeMeta `json:",inline"`

	Items []Dump `json:"items"`
}

// Source is where filters come from: a container and its node, or a file. Of a
// file that is not a saved dump only the first three, Arch and ABIs are known, and
// the Kernel that it is for if anything says which.
type Source struct {
	Operand string `json:"operand"` // as it was asked for
	// Format is what a file was taken for; absent: it is no file.
	Format string `json:"format,omitempty"`
	// Reader is as which runtime's a profile was interpreted.
	Reader      string   `json:"reader,omitempty"`
	Namespace   string   `json:"namespace,omitempty"`
	Pod         string   `json:"pod,omitempty"`
	PodUID      string   `json:"podUID,omitempty"`
	Workload    string   `json:"workload,omitempty"` // what made the pod, if anything did: deployment/web, job/build
	Container   string   `json:"container,omitempty"`
	ContainerID string   `json:"containerID,omitempty"`
	Image       string   `json:"image,omitempty"`
	Node        string   `json:"node,omitempty"`
	Kernel      string   `json:"kernel,omitempty"` // release, as uname -r has it
	Arch        string   `json:"arch"`             // the machine's GOARCH, and so the byte order of the filters
	ABIs        []string `json:"abis"`             // syscall numberings that the machine's kernel may accept, native first
	PID         int      `json:"pid,omitempty"`    // of the container's init process, in the node's PID namespace
	Comm        string   `json:"comm,omitempty"`   // name of the process, if it is not of a pod's container
}

// Name is how a source is called: the container, or else, as of the containers of
// several pods, the operand.
func (s Source) Name() string {
	if s.Container == "" || s.Pod == "" {
		return s.Operand
	}
	return s.Namespace + "/pod/" + s.Pod + ":" + s.Container
}

// Confinement is what the kernel holds of a thread.
type Confinement struct {
	Mode       string `json:"mode"` // disabled, strict or filter
	NoNewPrivs bool   `json:"noNewPrivs"`
	// Capabilities are absent if there is no process: of a file.
	Capabilities Capabilities `json:"capabilities,omitzero"`
	FilterCount  int          `json:"filterCount"` // as /proc/PID/status has it
	// Filters refer to Filter.SHA256, oldest first. Absent if FilterCount is not
	// 0: they were not read.
	Filters      []string `json:"filters,omitempty"`
	Instructions int      `json:"instructions"` // of all of Filters
}

// State is a confinement and the threads that have it.
type State struct {
	Confinement `json:",inline"`

	Subject   bool     `json:"subject,omitempty"`
	Processes int      `json:"processes"`
	Threads   int      `json:"threads"`
	Presumed  int      `json:"presumed,omitempty"` // threads taken for equal without having been stopped
	Sample    []Thread `json:"sample,omitempty"`   // some of the threads
	// Fingerprint names the policy that the filters are together, whichever way they
	// are written: states with the same one do the same with every call. Absent where
	// the filters were not read, or are not decided.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Syscalls is what the filters do: for every ABI of the source, for others
	// that they speak of, and for any other. Absent in mode strict, and where the
	// filters were not read.
	Syscalls []Summary `json:"syscalls,omitempty"`
	// Truncated tells that Syscalls is not complete: the filters tell more calls
	// apart than can be listed.
	Truncated bool `json:"truncated,omitempty"`
	// Findings are what a reader may not expect of the filters.
	Findings []Finding `json:"findings,omitempty"`
}

// Finding is a fact about filters, not necessarily a fault.
type Finding struct {
	Check   string `json:"check"` // stable, for scripts
	ABI     string `json:"abi,omitempty"`
	Syscall string `json:"syscall,omitempty"`
	Detail  string `json:"detail"`
}

// Capabilities are the five sets of a thread, names without CAP_.
type Capabilities struct {
	Inheritable []string `json:"inheritable"`
	Permitted   []string `json:"permitted"`
	Effective   []string `json:"effective"`
	Bounding    []string `json:"bounding"`
	Ambient     []string `json:"ambient"`
}

// Thread is one thread, numbered as the node sees it.
type Thread struct {
	PID   int    `json:"pid"`
	TID   int    `json:"tid"`
	NSPID int    `json:"nspid"` // TID in the container's own PID namespace
	Comm  string `json:"comm"`
	Read  bool   `json:"read"` // stopped and read, not presumed
	// StoppedNanoseconds is how long the thread was stopped for reading.
	StoppedNanoseconds int64 `json:"stoppedNanoseconds,omitempty"`
}

// Summary is what a stack of filters does with every call of one ABI.
type Summary struct {
	// ABI is a syscall numbering, or OtherABI.
	ABI string `json:"abi"`
	// Archs are the AUDIT_ARCH_* values, if ABI is OtherABI.
	Archs []Numbers `json:"archs,omitempty"`
	// Groups are those without a condition first, the one with the most syscalls
	// before the others. Any call is in exactly one, unless the State is Truncated.
	Groups []Group `json:"groups"`
}

// OtherABI stands for the architectures that filters do not tell apart, and that
// the node's kernel does not run.
const OtherABI = "other"

// Group is calls that get one action.
type Group struct {
	Action   Action   `json:"action"`
	Syscalls []string `json:"syscalls,omitempty"`
	// Numbers are those that no known syscall has.
	Numbers []Numbers `json:"numbers,omitempty"`
	// Condition is what must hold of the arguments; absent: nothing.
	Condition string `json:"condition,omitempty"`
	// Outline shows a Condition that is too long to be put in words.
	Outline []string `json:"outline,omitempty"`
}

// Action is what is done with a call.
type Action struct {
	// Action is the kernel's name (ALLOW, ERRNO, …) or ActionUndecided.
	Action string `json:"action"`
	Data   uint16 `json:"data,omitempty"`  // of ERRNO, TRAP and TRACE
	Errno  string `json:"errno,omitempty"` // the name of Data
}

// ActionUndecided is in place of an action where a filter computes more than the
// analysis has room for.
const ActionUndecided = "UNDECIDED"

// HasData reports whether an action comes with data that the caller or its
// tracer can see.
func (a Action) HasData() bool {
	return a.Action == "ERRNO" || a.Action == "TRAP" || a.Action == "TRACE"
}

// Filter is one program.
type Filter struct {
	SHA256       string `json:"sha256"` // of Program
	Instructions int    `json:"instructions"`
	Program      []byte `json:"program"` // struct sock_filter[] in the node's byte order
}

// Problem is something about the target that could not be done.
type Problem struct {
	Code    string `json:"code"` // stable, for scripts
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
	PID     int    `json:"pid,omitempty"`
	TID     int    `json:"tid,omitempty"`
}

// Diff is how the policy of one source stands to that of another.
type Diff struct {
	metav1.TypeMeta `json:",inline"`

	Relation    Relation     `json:"relation"` // B seen from A
	A           Side         `json:"a"`
	B           Side         `json:"b"`
	Differences []Difference `json:"differences"`
	// ByName is there if A and B are of different architectures: calls are compared
	// by name.
	ByName *ByName `json:"byName,omitempty"`
	// Selection tells that Differences are not all, or not as the filters are
	// written.
	Selection *Selection `json:"selection,omitempty"`
	Risks     []Risk     `json:"risks,omitempty"`
	// Truncated tells that there are more differences, too many to list. The
	// relation takes them into account.
	Truncated bool `json:"truncated,omitempty"`
}

// Side is one of the two that are compared: the subject of a source.
type Side struct {
	Source      `json:",inline"`
	Confinement `json:",inline"`
}

// Relation is how a policy B stands to a policy A, by access: a call is denied
// (KILL_PROCESS, KILL_THREAD, TRAP, ERRNO), mediated (TRACE, USER_NOTIF), or
// executed (LOG, ALLOW).
type Relation string

// The relations.
const (
	Identical    Relation = "Identical"    // every call gets the same action
	Tighter      Relation = "Tighter"      // B gives no call more access, and some less
	Looser       Relation = "Looser"       // B gives no call less access, and some more
	Incomparable Relation = "Incomparable" // some less, some more
	SameAccess   Relation = "SameAccess"   // only the manner of denial, mediation or logging differs
	Undecided    Relation = "Undecided"    // one of the above, but what is known does not tell which
)

// Difference is a set of calls for which A and B act differently, or might. No
// call is in two of them.
type Difference struct {
	ABI   string    `json:"abi"`             // as in Summary
	ABIB  string    `json:"abiB,omitempty"`  // that of B, if it is another one
	Archs []Numbers `json:"archs,omitempty"` // as in Summary
	// Syscall is the name, or else Numbers are those without one.
	Syscall   string   `json:"syscall,omitempty"`
	Numbers   *Numbers `json:"numbers,omitempty"`
	Condition string   `json:"condition,omitempty"` // as in Group
	Outline   []string `json:"outline,omitempty"`   // as in Group
	// ConditionABI is the ABI whose arguments the Condition is on, if that is not
	// ABI: ABIB, where A's has no such values.
	ConditionABI string    `json:"conditionABI,omitempty"`
	A            Action    `json:"a"`
	B            Action    `json:"b"`
	Direction    Direction `json:"direction"` // B seen from A
	Witness      *Witness  `json:"witness,omitempty"`
}

// Numbers is a range of syscall numbers, both ends included.
type Numbers struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

// Direction is how a difference changes access.
type Direction string

// The directions.
const (
	DirectionTighter   Direction = "tighter"
	DirectionLooser    Direction = "looser"
	DirectionChanged   Direction = "changed"   // same access, other action or data
	DirectionUndecided Direction = "undecided" // A or B is ActionUndecided
)

// Witness is a call that shows a difference: struct seccomp_data. The filters of
// both sides were run with it, and did what A and B say.
type Witness struct {
	// Call is for people: "socket(AF_VSOCK, 0, 0)".
	Call string   `json:"call"`
	Arch string   `json:"arch"`
	NR   string   `json:"nr"`
	IP   string   `json:"ip,omitempty"`
	Args []string `json:"args"`
	// ArgsB are those that B was run with, if they differ: in what the kernel
	// ignores, or by their order under another ABI.
	ArgsB []string `json:"argsB,omitempty"`
	// ArchB and NRB are those of the call of that name under B's ABI.
	ArchB string `json:"archB,omitempty"`
	NRB   string `json:"nrB,omitempty"`
}

// Version is what a build of the plugin is made of.
type Version struct {
	metav1.TypeMeta `json:",inline"`

	Version    string `json:"version"`
	ProbeImage string `json:"probeImage"` // default of --image
	// Schema is the API version of what is printed as JSON or YAML.
	Schema string `json:"schema"`
	// ProbeProtocol is the version of the probe's output that is understood. A
	// probe of another is refused.
	ProbeProtocol int `json:"probeProtocol"`
	// SyscallTables is the Linux release that the names of syscalls come from.
	SyscallTables string `json:"syscallTables"`
	GoVersion     string `json:"goVersion"`
	Platform      string `json:"platform"` // GOOS/GOARCH of the plugin
}
