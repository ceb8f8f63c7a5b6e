package profile

import (
	"encoding/json"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// LinuxSeccomp is linux.seccomp of the OCI runtime specification
// (config-linux.md): a profile as runc and crun get it.
type LinuxSeccomp struct {
	DefaultAction    string         `json:"defaultAction"`
	DefaultErrnoRet  *uint          `json:"defaultErrnoRet,omitempty"`
	Architectures    []string       `json:"architectures,omitempty"`
	Flags            []string       `json:"flags,omitempty"`
	ListenerPath     string         `json:"listenerPath,omitempty"`
	ListenerMetadata string         `json:"listenerMetadata,omitempty"`
	Syscalls         []LinuxSyscall `json:"syscalls,omitempty"`
}

// LinuxSyscall is one entry of it: what is done with calls of these names whose
// arguments match.
type LinuxSyscall struct {
	Names    []string          `json:"names"`
	Action   string            `json:"action"`
	ErrnoRet *uint             `json:"errnoRet,omitempty"`
	Args     []LinuxSeccompArg `json:"args,omitempty"`
}

// LinuxSeccompArg is a comparison of an argument. For SCMP_CMP_MASKED_EQ, Value
// is the mask and ValueTwo what the masked argument is compared with.
type LinuxSeccompArg struct {
	Index    uint   `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo,omitempty"`
	Op       string `json:"op"`
}

// JSON returns the profile as a file.
func (s *LinuxSeccomp) JSON() []byte {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return append(text, '\n')
}

// actions are those of the specification. KILL is the older name of KILL_THREAD.
var actions = map[string]bpf.Action{
	"SCMP_ACT_KILL":         bpf.KillThread,
	"SCMP_ACT_KILL_THREAD":  bpf.KillThread,
	"SCMP_ACT_KILL_PROCESS": bpf.KillProcess,
	"SCMP_ACT_TRAP":         bpf.Trap,
	"SCMP_ACT_ERRNO":        bpf.Errno,
	"SCMP_ACT_TRACE":        bpf.Trace,
	"SCMP_ACT_ALLOW":        bpf.Allow,
	"SCMP_ACT_LOG":          bpf.Log,
	"SCMP_ACT_NOTIFY":       bpf.UserNotif,
}

func knownAction(s string) bool {
	_, ok := actions[s]
	return ok
}

// flags are those of seccomp(2) that runc and crun take.
var flags = []string{
	"SECCOMP_FILTER_FLAG_LOG",
	"SECCOMP_FILTER_FLAG_SPEC_ALLOW",
	"SECCOMP_FILTER_FLAG_TSYNC",
	"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
}

// An Operator compares an argument with a constant, both unsigned.
type Operator uint8

const (
	NotEqual Operator = iota + 1
	Less
	LessOrEqual
	Equal
	GreaterOrEqual
	Greater
	MaskedEqual // argument & Mask == Value
)

// String returns it in Go's notation.
func (o Operator) String() string {
	return [...]string{"?", "!=", "<", "<=", "==", ">=", ">", "&"}[min(o, MaskedEqual)]
}

// A Condition is a comparison of an argument.
type Condition struct {
	Arg   int // 0 to 5
	Op    Operator
	Mask  uint64 // of MaskedEqual
	Value uint64 // what the argument, or its masked bits, are compared with
}

// A Rule is what a filter does with one number of one ABI.
type Rule struct {
	ABI        syscalls.ABI
	NR         uint32      // as seccomp_data.nr has it
	Name       string      // as the profile has it; not NR's name where NR is a multiplexer
	Conditions []Condition // by argument; all must hold
	Return     bpf.Return
	Entry      int // index of the profile's entry that it comes from
}

// prefix tells whether a's conditions are the first of b's.
func prefix(a, b []Condition) bool {
	return len(a) <= len(b) && slices.Equal(a, b[:len(a)])
}
