package probe

import (
	"time"
)

// Request is what to collect.
type Request struct {
	Version    string   // of the program that collects, for Hello
	Targets    []string // container IDs as a pod's status has them: containerd://…
	AllThreads bool     // stop every thread that has filters

	MaxThreads int // that are looked at per target; 0: DefaultMaxThreads
}

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
