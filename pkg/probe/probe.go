// Package probe finds out, on a node, under which seccomp filters the threads of
// containers run, and tells it in the messages of package wire.
//
// # Which threads are stopped
//
// What /proc says of a thread's confinement is read without stopping it: the
// mode, the number of filters, no_new_privs, capabilities. Only to copy the
// filters must a thread be stopped, so that is done to as few as will do:
//
//   - none without filters;
//   - of the threads of one process that have the same number of filters and the
//     same no_new_privs, one. The others are presumed to have the same filters,
//     and how many that are is reported.
//
// The one is that which will notice the least (see [proc.Wait]), the main thread
// where others are no better. A thread inherits its filters from the one that
// made it and can only add to them, for itself or with
// SECCOMP_FILTER_FLAG_TSYNC for all. So threads with equal numbers differ only
// if two of them parted and then each installed its own, equally many. Programs
// do that rarely, and no runtime does it to a container; Request.AllThreads stops
// every thread and presumes nothing. Where the kernel does not tell the number
// (before 5.9), every thread is stopped in any case.
//
// Processes are read each by itself, whatever others have.
//
// # Bounds
//
// A container can have many processes and threads, each with filters of its own,
// that come and go and do not stop. Request bounds what is read of one, and the
// init processes of all targets are read before anything else of any, so that
// one container cannot keep the answer about another from being given. What was
// left out is a problem of the target's.
package probe

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/ptrace"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/survey"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
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

// Sink takes messages: a *wire.Writer.
type Sink interface {
	Write(wire.Message) error
}

// Collect collects from this machine's /proc and writes all there is to say to
// the sink. What cannot be had is a Problem there; the error is the sink's.
//
// When the context ends, so does Collect, with a Problem for what is missing
// then. Nothing is stopped any more when it returns.
func Collect(ctx context.Context, req Request, sink Sink) error {
	if req.MaxThreads <= 0 {
		req.MaxThreads = DefaultMaxThreads
	}
	c := &collector{req: req, fs: proc.Host, sink: sink, filters: make(map[[sha256.Size]byte]int), stacks: make(map[stackKey]int)}
	if err := c.hello(); err != nil {
		return err
	}
	if err := c.prepare(); err != nil {
		return err
	}
	if c.tracer != nil {
		defer c.tracer.Close()
	}
	targets, err := c.find(ctx)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if err := t.read(ctx, t.processes[:1]); err != nil {
			return err
		}
	}
	for _, t := range targets {
		if err := t.read(ctx, t.processes[1:]); err != nil {
			return err
		}
		if err := t.report(); err != nil {
			return err
		}
	}
	return c.verdicts(ctx)
}

// collector is one run.
type collector struct {
	req    Request
	fs     proc.FS
	sink   Sink
	tracer *ptrace.Tracer // nil if filters cannot be read

	filters  map[[sha256.Size]byte]int // IDs of those written, by hash
	programs []bpf.Filter              // by ID
	length   int                       // of all programs, in instructions
	stacks   map[stackKey]int          // IDs of those written
	stackOf  []bpf.Stack               // by ID
}

func (c *collector) hello() error {
	h := &wire.Hello{Version: c.req.Version, Arch: runtime.GOARCH}
	h.Kernel, h.Machine = uname()
	for _, abi := range syscalls.OfMachine(runtime.GOARCH) {
		h.ABIs = append(h.ABIs, abi.String())
	}
	return c.sink.Write(h)
}

// prepare makes a tracer if the kernel will let it do its work.
func (c *collector) prepare() error {
	if p := selfCheck(c.fs); p != nil {
		return c.sink.Write(p)
	}
	tracer, err := ptrace.New(c.fs, stopTimeout)
	if err != nil {
		return c.sink.Write(&wire.Problem{Code: wire.CodeUnsupported, Op: "start a tracer", Detail: err.Error()})
	}
	c.tracer = tracer
	return nil
}

// Capabilities by number (include/uapi/linux/capability.h).
const (
	capSysPtrace = 19
	capSysAdmin  = 21
)

// selfCheck tells what keeps this process from reading filters, nil if nothing
// that shows does.
func selfCheck(fs proc.FS) *wire.Problem {
	const op = "check the probe's own confinement"
	self, err := fs.Self()
	switch {
	case err != nil:
		return &wire.Problem{Code: wire.CodeUnreadable, Op: op, Detail: err.Error()}
	case self.Seccomp != 0:
		// seccomp_get_filter (kernel/seccomp.c) refuses whoever has a mode.
		return &wire.Problem{Code: wire.CodeProbeConfined, Op: op, Detail: "it runs under seccomp itself, so the kernel will not let it read filters",
			Remedy: "let the probe pod run with seccompProfile Unconfined; some CRI-O versions need privileged, too"}
	}
	var missing []string
	if self.Effective>>capSysPtrace&1 == 0 {
		missing = append(missing, "CAP_SYS_PTRACE")
	}
	if self.Effective>>capSysAdmin&1 == 0 {
		missing = append(missing, "CAP_SYS_ADMIN")
	}
	if missing != nil {
		return &wire.Problem{Code: wire.CodePermission, Op: op, Detail: "it lacks " + strings.Join(missing, " and "),
			Remedy: "run the probe as root, privileged or with these capabilities"}
	}
	return nil
}

// find looks up the processes of all targets. A target without any is a Problem.
func (c *collector) find(ctx context.Context) ([]*target, error) {
	var ids []proc.ContainerID
	refs := make(map[proc.ContainerID]string)
	for _, ref := range c.req.Targets {
		id, err := proc.ParseContainerID(ref)
		if err != nil {
			if err := c.sink.Write(&wire.Problem{Target: ref, Code: wire.CodeInvalidTarget, Op: "find the container", Detail: err.Error()}); err != nil {
				return nil, err
			}
			continue
		}
		if _, twice := refs[id]; !twice {
			ids, refs[id] = append(ids, id), ref
		}
	}
	found, err := c.fs.Containers(ctx, ids)
	if err != nil {
		return nil, c.sink.Write(unfinished(ctx, &wire.Problem{Code: wire.CodeUnreadable, Op: "find the containers", Detail: err.Error()}))
	}
	var targets []*target
	for _, id := range ids {
		processes := found[id]
		if len(processes) == 0 {
			p := &wire.Problem{Target: refs[id], Code: wire.CodeNotFound, Op: "find the container",
				Detail: "no process on this node is in a cgroup of it", Remedy: "see whether it still runs, and whether the probe sees the node's processes (hostPID)"}
			if err := c.sink.Write(p); err != nil {
				return nil, err
			}
			continue
		}
		targets = append(targets, newTarget(c, refs[id], processes))
	}
	return targets, nil
}

// unfinished turns a problem into what ended the context, if that did end.
func unfinished(ctx context.Context, p *wire.Problem) *wire.Problem {
	switch ctx.Err() {
	case nil:
	case context.DeadlineExceeded:
		p.Code, p.Detail, p.Remedy = wire.CodeTimeout, "the time for the whole run was up", "give it more, or fewer containers at once"
	default:
		p.Code, p.Detail, p.Remedy = wire.CodeInterrupted, "the probe was told to end", ""
	}
	return p
}

// intern returns the ID of a stack, which it writes if it is new.
func (c *collector) intern(r *ptrace.Reading) (int, error) {
	key := keyOf(r)
	if id, ok := c.stacks[key]; ok {
		return id, nil
	}
	stack := &wire.Stack{ID: len(c.stackOf)}
	programs := make(bpf.Stack, len(r.Filters))
	for i, raw := range r.Filters {
		id, err := c.internFilter(raw)
		if err != nil {
			return wire.NoStack, err
		}
		stack.Filters = append(stack.Filters, id)
		programs[i] = c.programs[id]
	}
	for _, log := range r.Log {
		stack.Log = append(stack.Log, wire.Log(log))
	}
	if err := c.sink.Write(stack); err != nil {
		return wire.NoStack, err
	}
	c.stacks[key] = stack.ID
	c.stackOf = append(c.stackOf, programs)
	return stack.ID, nil
}

// stackKey is the same for equal readings only.
type stackKey [sha256.Size]byte

func keyOf(r *ptrace.Reading) (key stackKey) {
	h := sha256.New()
	for i, raw := range r.Filters {
		fmt.Fprintf(h, "%d %t ", len(raw), r.Log != nil && r.Log[i])
		h.Write(raw)
	}
	h.Sum(key[:0])
	return key
}

// internFilter returns the ID of a program, which it writes if it is new.
func (c *collector) internFilter(raw []byte) (int, error) {
	sum := sha256.Sum256(raw)
	if id, ok := c.filters[sum]; ok {
		return id, nil
	}
	program, err := bpf.Decode(raw, native().ByteOrder())
	if err != nil {
		return 0, err
	}
	id := len(c.programs)
	if err := c.sink.Write(wire.NewFilter(id, raw)); err != nil {
		return 0, err
	}
	c.filters[sum] = id
	c.programs = append(c.programs, program)
	c.length += len(program)
	return id, nil
}

// verdicts evaluates every stack for every ABI of the machine.
func (c *collector) verdicts(ctx context.Context) error {
	for id, stack := range c.stackOf {
		for _, abi := range syscalls.OfMachine(runtime.GOARCH) {
			p := &wire.Problem{Op: fmt.Sprintf("evaluate stack %d and those after it", id)}
			if ctx.Err() != nil {
				return c.sink.Write(unfinished(ctx, p))
			}
			err := c.sink.Write(&wire.Verdict{Stack: id, Survey: survey.Of(stack, abi)})
			if errors.Is(err, wire.ErrTooLarge) {
				p.Code, p.Detail = wire.CodeOutputFull, "the output is as long as a log can safely be"
				return c.sink.Write(p)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// target is one container of a run.
type target struct {
	*collector
	ref       string
	processes []proc.Process // the init first, then by age

	threads  int                    // looked at
	failures int                    // threads that did not stop in time
	full     map[string]bool        // limits that were reached, by code: told once
	problems map[string]int         // how many there were, by code
	stacksOf map[int]bool           // that its threads have
	length   int                    // of the programs that were first met in it, in instructions
	states   []*wire.State          // in the order in which they were found: the subject's first
	byKey    map[stateKey]*stateful // the same

	aliveProcesses, aliveThreads int
}

type stateKey struct {
	confinement proc.Confinement
	stack       int
}

type stateful struct {
	*wire.State
	lastPID int // that was counted
}

func newTarget(c *collector, ref string, processes []proc.Process) *target {
	init := processes[proc.Init(processes)]
	slices.SortFunc(processes, func(a, b proc.Process) int {
		switch {
		case a.PID == init.PID:
			return -1
		case b.PID == init.PID:
			return 1
		case a.Start != b.Start:
			if a.Start < b.Start {
				return -1
			}
			return 1
		}
		return a.PID - b.PID
	})
	return &target{
		collector: c, ref: ref, processes: processes,
		full: make(map[string]bool), problems: make(map[string]int),
		byKey: make(map[stateKey]*stateful), stacksOf: make(map[int]bool),
	}
}

// read looks at processes of the target. Its error is the sink's.
func (t *target) read(ctx context.Context, processes []proc.Process) error {
	for _, p := range processes {
		if ctx.Err() != nil {
			return t.limit(unfinished(ctx, &wire.Problem{Op: "read the threads"}))
		}
		if t.threads >= t.req.MaxThreads {
			return t.limit(&wire.Problem{Code: wire.CodeTooManyThreads, Op: "read the threads",
				Detail: fmt.Sprintf("only the first %d were looked at", t.threads), Remedy: "raise --max-threads-per-target"})
		}
		if err := t.readProcess(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// readProcess looks at a process, anew where it changes meanwhile.
func (t *target) readProcess(ctx context.Context, p proc.Process) error {
	for attempt := 1; ; attempt++ {
		threads, more, err := t.fs.Threads(p, t.req.MaxThreads-t.threads)
		if errors.Is(err, proc.ErrGone) {
			if p == t.processes[0] {
				return t.problem(&wire.Problem{PID: p.PID, Code: wire.CodeExited, Op: "read the threads", Detail: "the container's init ended meanwhile"})
			}
			return nil
		}
		if err != nil {
			return t.problem(&wire.Problem{PID: p.PID, Code: wire.CodeUnreadable, Op: "read the threads", Detail: err.Error()})
		}
		readings, problems, again := t.readThreads(ctx, threads)
		if again && attempt < maxAttempts && ctx.Err() == nil {
			continue
		}
		for _, p := range problems {
			if err := t.problem(p); err != nil {
				return err
			}
		}
		t.threads += len(threads)
		if err := t.count(threads, readings); err != nil {
			return err
		}
		if more {
			t.threads = t.req.MaxThreads
			return t.limit(&wire.Problem{PID: p.PID, Code: wire.CodeTooManyThreads, Op: "read the threads",
				Detail: fmt.Sprintf("only the first %d of the container were looked at", t.req.MaxThreads), Remedy: "raise --max-threads-per-target"})
		}
		return nil
	}
}

// group is what threads of one process must have in common to be presumed to
// have the same filters.
type group struct {
	filters    int
	noNewPrivs bool
	tid        int // where nothing is to be presumed
}

// reading is what came of a thread.
type reading struct {
	*ptrace.Reading
	presumed bool // it is that of another thread of the group
}

// readThreads reads the filters of a process' threads. What has come of them is
// by TID. again is true if something could not be read because the process
// changed.
func (t *target) readThreads(ctx context.Context, threads []proc.Thread) (readings map[int]reading, problems []*wire.Problem, again bool) {
	readings = make(map[int]reading)
	if t.tracer == nil {
		return readings, nil, false
	}
	groups := make(map[group][]proc.Thread)
	var order []group
	for _, thread := range threads {
		if thread.Seccomp != int(wire.ModeFilter) || thread.Dead() {
			continue
		}
		g := group{filters: thread.Filters, noNewPrivs: thread.NoNewPrivs}
		if t.req.AllThreads || g.filters == proc.Unknown {
			g.tid = thread.TID
		}
		if groups[g] == nil {
			order = append(order, g)
		}
		groups[g] = append(groups[g], thread)
	}
	for _, g := range order {
		thread, r, failed := t.readOneOf(ctx, t.byPreference(groups[g]))
		if r == nil {
			problems = append(problems, failed...)
			again = again || slices.ContainsFunc(failed, transient)
			continue
		}
		problems = append(problems, failed...)
		for _, member := range groups[g] {
			readings[member.TID] = reading{r, member.TID != thread.TID}
		}
	}
	return readings, problems, again
}

// readOneOf reads one of some threads, the first that can be. If none can it
// returns why not; otherwise the problems are of the reading.
func (t *target) readOneOf(ctx context.Context, threads []proc.Thread) (proc.Thread, *ptrace.Reading, []*wire.Problem) {
	var problems []*wire.Problem
	for _, thread := range threads[:min(len(threads), maxTries)] {
		p := &wire.Problem{PID: thread.PID, TID: thread.TID, Comm: thread.Comm, Op: "read the filters of"}
		switch {
		case ctx.Err() != nil:
			return thread, nil, append(problems, unfinished(ctx, p))
		case t.failures >= maxFailures:
			p.Code, p.Detail = wire.CodeTooManyStops, fmt.Sprintf("%d threads of the container did not stop, so no more are tried", t.failures)
			return thread, nil, append(problems, p)
		}
		wait := t.fs.Wait(thread)
		r, err := t.tracer.Read(ctx, thread)
		if err == nil {
			if wait == proc.RestartedByNumber && deniesRestart(r) {
				p.Code, p.Detail = wire.CodeRestartDenied, "its filters do not let restart_syscall through, with which the kernel continues what it waited in when it was stopped"
				p.Remedy = "allow restart_syscall: any signal that stops the process has the same effect"
				return thread, r, []*wire.Problem{p}
			}
			return thread, r, nil
		}
		if !errors.As(err, &p) {
			p.Code, p.Detail = wire.CodeInternal, err.Error()
			p = unfinished(ctx, p)
		}
		switch p.Code {
		case wire.CodeDoesNotStop, wire.CodeUninterrupted, wire.CodeFrozen:
			t.failures++
		}
		problems = append(problems, p)
	}
	return proc.Thread{}, nil, problems
}

// deniesRestart tells whether filters keep restart_syscall(2) from being executed.
func deniesRestart(r *ptrace.Reading) bool {
	abi := native()
	nr, ok := abi.Number("restart_syscall")
	if !ok {
		return false
	}
	var stack bpf.Stack
	for _, raw := range r.Filters {
		f, err := bpf.Decode(raw, abi.ByteOrder())
		if err != nil {
			return false
		}
		stack = append(stack, f)
	}
	action := stack.Run(&bpf.Data{NR: nr, Arch: abi.AuditArch()}, abi.ByteOrder()).Ret.Action()
	return action != bpf.Allow && action != bpf.Log
}

// native returns the ABI that the machine's programs are for.
func native() syscalls.ABI { return syscalls.OfMachine(runtime.GOARCH)[0] }

// transient tells problems that come of a process that changes.
func transient(p *wire.Problem) bool {
	return p.Code == wire.CodeExited || p.Code == wire.CodeZombie || p.Code == wire.CodeChanged
}

// byPreference returns threads with those first that notice the least of being
// stopped. The main thread is the first of what it gets.
func (t *target) byPreference(threads []proc.Thread) []proc.Thread {
	if len(threads) == 1 {
		return threads
	}
	threads = slices.Clone(threads[:min(len(threads), maxCandidates)])
	type grade struct {
		traced bool
		wait   proc.Wait
	}
	grades := make(map[int]grade, len(threads))
	for _, thread := range threads {
		grades[thread.TID] = grade{thread.Tracer != 0, t.fs.Wait(thread)}
	}
	slices.SortStableFunc(threads, func(a, b proc.Thread) int {
		x, y := grades[a.TID], grades[b.TID]
		if x.traced != y.traced {
			if y.traced {
				return -1
			}
			return 1
		}
		return int(x.wait) - int(y.wait)
	})
	return threads
}

// count adds a process' threads to the target's states.
func (t *target) count(threads []proc.Thread, readings map[int]reading) error {
	counted := false
	stacks := make(map[*ptrace.Reading]int)
	for _, thread := range threads {
		if thread.Dead() {
			continue
		}
		if !counted {
			counted = true
			t.aliveProcesses++
		}
		t.aliveThreads++
		r, ok := readings[thread.TID]
		if !ok {
			t.add(thread, wire.NoStack, r)
			continue
		}
		stack, ok := stacks[r.Reading]
		if !ok {
			var err error
			if stack, err = t.stack(r.Reading); err != nil {
				return err
			}
			stacks[r.Reading] = stack
		}
		t.add(thread, stack, r)
	}
	return nil
}

// stack returns the ID of a stack that was read, NoStack if a limit does not let
// it be written.
func (t *target) stack(r *ptrace.Reading) (int, error) {
	if _, known := t.stacks[keyOf(r)]; !known && (len(t.stacksOf) >= maxStacks || t.length >= maxInstructions) {
		return wire.NoStack, t.limit(&wire.Problem{Code: wire.CodeTooManyStacks, Op: "write the filters",
			Detail: fmt.Sprintf("there are others than the first %d different stacks of filters, of %d instructions", len(t.stacksOf), t.length)})
	}
	before := t.collector.length
	id, err := t.intern(r)
	t.length += t.collector.length - before
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return wire.NoStack, t.limit(&wire.Problem{Code: wire.CodeOutputFull, Op: "write the filters", Detail: "the output is as long as a log can safely be"})
	case err != nil:
		return wire.NoStack, err
	}
	t.stacksOf[id] = true
	return id, nil
}

// add adds one thread to the target's states.
func (t *target) add(thread proc.Thread, stack int, r reading) {
	key := stateKey{thread.Confinement, stack}
	s := t.byKey[key]
	if s == nil {
		s = &stateful{State: &wire.State{
			Target: t.ref, Mode: wire.Mode(thread.Seccomp), FilterCount: max(thread.Filters, 0), Stack: stack, NoNewPrivs: thread.NoNewPrivs,
			Capabilities: wire.Capabilities{
				Inheritable: wire.Caps(thread.Inheritable), Permitted: wire.Caps(thread.Permitted), Effective: wire.Caps(thread.Effective),
				Bounding: wire.Caps(thread.Bounding), Ambient: wire.Caps(thread.Ambient),
			},
		}}
		if stack != wire.NoStack {
			s.FilterCount = len(t.stackOf[stack])
		}
		t.byKey[key] = s
		t.states = append(t.states, s.State)
	}
	s.Threads++
	if s.lastPID != thread.PID {
		s.lastPID = thread.PID
		s.Processes++
	}
	if thread.TID == t.processes[0].PID {
		s.Subject = true
	}
	ref := wire.ThreadRef{PID: thread.PID, TID: thread.TID, NSPID: thread.NSPID, Comm: thread.Comm}
	list := &s.Sample
	switch {
	case stack != wire.NoStack && r.presumed:
		s.Presumed++
	case stack != wire.NoStack:
		ref.StoppedNS = r.Stopped.Nanoseconds()
		list = &s.Read
	}
	if len(*list) < wire.MaxSample {
		*list = append(*list, ref)
	}
}

// report writes the target and its states.
func (t *target) report() error {
	if t.aliveProcesses == 0 {
		if len(t.problems) > 0 {
			return t.rest()
		}
		return t.problem(&wire.Problem{Code: wire.CodeExited, Op: "read the threads", Detail: "the container ended meanwhile"})
	}
	messages := []wire.Message{&wire.Target{ID: t.ref, PID: t.processes[0].PID, Processes: t.aliveProcesses, Threads: t.aliveThreads}}
	for _, s := range t.states {
		messages = append(messages, s)
	}
	for _, m := range messages {
		err := t.sink.Write(m)
		if errors.Is(err, wire.ErrTooLarge) {
			err = t.limit(&wire.Problem{Code: wire.CodeOutputFull, Op: "write the states", Detail: "the output is as long as a log can safely be"})
			if err == nil {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return t.rest()
}

// problem writes a problem of the target's; of many of one kind, the first few.
func (t *target) problem(p *wire.Problem) error {
	p.Target = t.ref
	if t.problems[p.Code]++; t.problems[p.Code] > maxProblems {
		return nil
	}
	return t.sink.Write(p)
}

// rest says how many problems were not written.
func (t *target) rest() error {
	for code, n := range t.problems {
		if n > maxProblems {
			if err := t.sink.Write(&wire.Problem{Target: t.ref, Code: code, More: n - maxProblems}); err != nil {
				return err
			}
		}
	}
	return nil
}

// limit writes the problem of a limit that was reached, once for each.
func (t *target) limit(p *wire.Problem) error {
	if t.full[p.Code] {
		return nil
	}
	t.full[p.Code] = true
	return t.problem(p)
}
