package probe

import (
	"time"
)

// Request is what to collect.
type Request struct {
	Version string // of the program that collects, for Hello

	// Targets are containers, by their ID as a pod's status has it
	// (containerd://4bf5122f…); single processes of the node (pid://4711); and
	// the reference containers of the probe's own pod (reference://0).
	Targets []string
	// All adds every container and every process outside of one that has a thread
	// with a seccomp mode: container://ID, pid://PID. What is a target already,
	// and this process, are left out.
	All bool

	AllThreads bool // stop every thread that has filters
	Config     bool // read the OCI configuration of containers, and what kubelet does by default
	// Localhost are the profiles that targets declare (localhostProfile of a
	// pod's seccompProfile: a path below kubelet's folder for them), to be read.
	Localhost map[string]string

	// Self has it told what the collector finds of itself, and whether it can read
	// back a filter that it has installed.
	Self bool

	MaxThreads int // that are looked at per target; 0: DefaultMaxThreads
}

// fingerprintTime is how long it may take until no other fingerprint is begun.
// That of a container's default filter takes 10 ms.
const fingerprintTime = 400 * time.Millisecond

// maxFound is how many targets Request.All adds.
const maxFound = 4096

// Limits of what is done for one target.
const (
	DefaultMaxThreads = 4096
	// maxStacks is how many distinct stacks are read. Few containers have more
	// than three.
	maxStacks = 64
	// maxInstructions is how long the programs of one target may be, all
	// together, before no other stack is read: two of the longest stacks there
	// can be. They are kept, so it bounds memory as well.
	maxInstructions = 1 << 16
	// maxFailures is how many threads may fail to stop in time.
	maxFailures = 4
	// maxAttempts is how often a process is looked at anew that changed while it
	// was looked at: by execve, or by installing filters. It takes a millisecond.
	maxAttempts = 10
	// maxProblems is how many problems of one kind are told each by itself.
	maxProblems = 8
	// stopTimeout is how long a thread may take to stop. It takes 50 µs.
	stopTimeout = 500 * time.Millisecond
	// maxCandidates is how many of a process' threads are compared to find the
	// one to stop, and maxTries how many are tried.
	maxCandidates = 64
	maxTries      = 3
)
