package denials

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/tracing"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// lookInterval is between two looks at whether containers still run.
const lookInterval = time.Second

const needs = "to see refused calls needs Linux 5.15 or later, with BTF, on amd64 or arm64"

// Run looks for refused calls for as long as is asked for, or until the context ends
// or all of the containers have ended, and writes each to the sink: Began first,
// Denials as they happen, and at the end Denied for each container. What cannot be
// had is a Problem there; the error is the sink's.
func Run(ctx context.Context, req Request, sink *Known) error {
	targets, controllers, err := tracing.Find(ctx, op, req.Targets, sink)
	if err != nil || len(targets) == 0 {
		return err
	}
	w, err := load(controllers)
	if err != nil {
		return sink.Write(tracing.Problem(op, needs, err))
	}
	defer w.close()
	r := &run{watcher: w, sink: sink, targets: targets, stacks: make(map[uint32]*told), ids: make(map[int]*told), parts: make(map[uint32]*assembly),
		counts: make(map[kind]int), held: make(map[kind]uint64), unclear: make(map[int]uint64), alike: make(map[kind]verdict)}
	r.order = w.layout.ABIs[tracing.Native]
	if err := r.do(ctx, req.Duration); err != nil {
		var problem *wire.Problem
		if errors.As(err, &problem) {
			return sink.Write(problem)
		}
		return err
	}
	return nil
}

// told is a stack of filters, and its ID in the stream.
type told struct {
	*copied
	id int
}

// run is one Run.
type run struct {
	*watcher
	sink    *Known
	targets []tracing.Target // by their number, less 1
	found   []bool
	order   syscalls.ABI // the machine's own, whose byte order filters have

	began time.Time
	clock uint64 // the same by the program's clock

	parts   map[uint32]*assembly // of stacks that are not complete yet, by number
	stacks  map[uint32]*told     // by number; nil for one that is not to be had
	ids     map[int]*told        // the same, by ID
	written int                  // stacks that were new to the stream
	length  int                  // of those, in instructions
	kept    int                  // of those that are not in the stream, in instructions

	seq     int
	counts  map[kind]int     // told of
	held    map[kind]uint64  // only counted
	unclear map[int]uint64   // by container
	alike   map[kind]verdict // what those are taken for that the program only counts
}

// failed is the error of what is not the sink's.
func failed(err error) error { return tracing.Problem(op, needs, err) }

func (r *run) do(ctx context.Context, duration time.Duration) error {
	var processes []tracing.Process
	for _, t := range r.targets {
		processes = append(processes, t.Process)
	}
	var err error
	if r.found, err = r.objects.Add(processes); err != nil {
		return failed(err)
	}
	for i, t := range r.targets {
		if r.found[i] && !t.Ended() {
			continue
		}
		if err := r.sink.Write(&wire.Problem{Target: t.Ref, PID: t.Init.PID, Code: wire.CodeExited, Op: op,
			Detail: "the container's init ended before this began"}); err != nil {
			return err
		}
	}
	if r.clock, err = r.begin(); err != nil {
		return failed(err)
	}
	r.began = time.Now()
	if err := r.sink.Write(&wire.Began{BeganNS: r.began.UnixNano()}); err != nil {
		return err
	}
	if err := r.follow(ctx, duration); err != nil {
		return err
	}
	if err := r.end(); err != nil {
		return failed(err)
	}
	ended := time.Now()
	r.interrupt()
	var record ringbuf.Record
	for {
		m, err := r.next(&record, time.Time{})
		if errors.Is(err, errTold) {
			break
		}
		if err != nil {
			return failed(err)
		}
		if err := r.take(m); err != nil {
			return err
		}
	}
	return r.conclude(ended)
}

// follow tells of calls until the time is up, or the context ends, or nothing is
// left that could make any.
func (r *run) follow(ctx context.Context, duration time.Duration) error {
	defer context.AfterFunc(ctx, r.interrupt)()
	end := time.Now().Add(duration)
	look := time.Now().Add(lookInterval)
	running := slices.Clone(r.targets)
	var record ringbuf.Record
	for ctx.Err() == nil {
		until := look
		if end.Before(look) {
			until = end
		}
		m, err := r.next(&record, until)
		switch {
		case err == nil:
			if err := r.take(m); err != nil {
				return err
			}
		case errors.Is(err, errTold):
			return nil
		case !isDeadline(err):
			return failed(err)
		}
		now := time.Now()
		if !now.Before(end) {
			return nil
		}
		if now.Before(look) {
			continue
		}
		look = now.Add(lookInterval)
		var ended []tracing.Target
		running = slices.DeleteFunc(running, func(t tracing.Target) bool {
			gone := t.Ended()
			if gone {
				ended = append(ended, t)
			}
			return gone
		})
		for _, t := range ended {
			if err := r.sink.Write(&wire.Problem{Target: t.Ref, PID: t.Init.PID, Code: wire.CodeExited, Op: op,
				Detail: "the container ended meanwhile", Remedy: "what it was refused until then is told; one that came in its place was not looked at"}); err != nil {
				return err
			}
		}
		if len(running) == 0 {
			return nil
		}
	}
	return nil
}

// take takes a record of the program.
func (r *run) take(m any) error {
	switch m := m.(type) {
	case *chunk:
		return r.part(m)
	case *event:
		return r.event(m)
	}
	return nil
}

// part adds a part of a stack. One that does not become a stack is none.
func (r *run) part(c *chunk) error {
	a := r.parts[c.Stack]
	if a == nil {
		if _, known := r.stacks[c.Stack]; known || len(r.stacks) >= maxNumbers {
			return nil
		}
		a = new(assembly)
		if len(r.parts) >= maxParts {
			// The program has given up those from long ago.
			delete(r.parts, slices.Min(slices.Collect(maps.Keys(r.parts))))
		}
		r.stacks[c.Stack], r.parts[c.Stack] = nil, a
	}
	complete, err := a.add(c)
	if err == nil && !complete {
		return nil
	}
	delete(r.parts, c.Stack)
	if err != nil {
		return nil
	}
	s, err := a.stack(r.order.ByteOrder())
	if err != nil {
		return nil
	}
	id, err := r.tell(s)
	if err != nil {
		return err
	}
	same := r.ids[id]
	switch {
	case same != nil:
		// A process in many installs the same filters again and again.
	case id == wire.NoStack && r.kept >= maxInstructions:
		return nil
	default:
		same = &told{s, id}
		if id != wire.NoStack {
			r.ids[id] = same
		} else {
			r.kept += s.length()
		}
	}
	s, r.stacks[c.Stack] = same.copied, same
	if err := r.consider(c.Stack, s.filters, r.order); err != nil {
		return failed(err)
	}
	return nil
}

// tell returns the ID of a stack in the stream; NoStack if there is no room for it.
func (r *run) tell(s *copied) (int, error) {
	before := len(r.sink.stacks)
	if r.written >= maxStacks || r.length >= maxInstructions {
		return r.sink.known(s.raw, s.log), nil
	}
	id, err := r.sink.stack(s.raw, s.log)
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		return wire.NoStack, nil
	case err != nil:
		return wire.NoStack, err
	}
	if len(r.sink.stacks) > before {
		r.written++
		r.length += s.length()
	}
	return id, nil
}

// event tells of a call, if it is one to be told of.
func (r *run) event(e *event) error {
	if e.Slot == 0 || int(e.Slot) > len(r.targets) || int(e.ABI) >= tracing.ABIs || r.layout.ABIs[e.ABI] == 0 {
		return nil // the program's, and so a bug: no data of a container comes here
	}
	slot, abi := int(e.Slot), r.layout.ABIs[e.ABI]
	data := bpf.Data{NR: e.NR, Arch: abi.AuditArch(), IP: e.Pointer, Args: e.Arguments}
	if abi.Bits() == 32 && e.ABI != abiX32 {
		data.IP = uint64(uint32(data.IP))
		for i := range data.Args {
			data.Args[i] = uint64(uint32(data.Args[i]))
		}
	}
	var filters bpf.Stack
	id := wire.NoStack
	if s := r.stacks[e.Stack]; s != nil && (e.Depth == 0 || int(e.Depth) == len(s.filters)) {
		filters, id = s.filters, s.id
	}
	k := e.kind()
	v, alike := judge(e, &data, filters, r.order.ByteOrder())
	if e.Flags&flagFirst == 0 { // those are never only counted
		if known, ok := r.alike[k]; ok && known != alike {
			alike = unclear
		}
		r.alike[k] = alike
	}
	held := e.Held
	switch {
	case held > 0 && alike == unclear:
		r.unclear[slot] += held
		held = 0
	case alike == nothing:
		held = 0
	}
	switch v {
	case nothing:
		return nil
	case unclear:
		r.unclear[slot]++
		return nil
	}
	if r.counts[k] >= perKind || r.seq >= maxTold {
		r.held[k] += 1 + held
		return nil
	}
	m := &wire.Denial{
		Target: r.targets[slot-1].Ref, Seq: r.seq + 1, TimeNS: r.began.UnixNano() + int64(e.Time-r.clock),
		PID: int(e.PID), TID: int(e.TID), NSPID: int(e.InnerPID), NSTID: int(e.InnerTID), Process: comm(e.Leader), Comm: comm(e.Comm),
		ABI: abi.String(), NR: e.NR, Args: data.Args, IP: data.IP, How: how(e.How, e.Flags), Stack: id, Held: held, Runtime: e.Flags&flagRuntime != 0,
	}
	if e.How == returned {
		m.Return = e.Return
	}
	err := r.sink.Write(m)
	if errors.Is(err, wire.ErrTooLarge) {
		r.held[k] += 1 + held
		return nil
	}
	if err == nil {
		r.seq++
		r.counts[k]++
	}
	return err
}

func how(how, flags uint8) wire.How {
	switch {
	case how == ended:
		return wire.HowEnded
	case how == began:
		return wire.HowBegan
	case flags&flagSignal != 0:
		return wire.HowSignal
	}
	return wire.HowReturned
}

// conclude writes what is to be said at the end.
func (r *run) conclude(ended time.Time) error {
	held, err := r.watcher.held()
	if err != nil {
		return failed(err)
	}
	for k, n := range held {
		alike, ok := r.alike[k]
		if !ok && k.How == began {
			alike = unclear
		}
		switch alike {
		case unclear:
			r.unclear[int(k.Slot)] += n
			delete(held, k)
		case nothing:
			delete(held, k)
		}
	}
	for k, n := range r.held {
		held[k] += n
	}
	missed, err := r.missed()
	if err != nil {
		return failed(err)
	}
	kinds := slices.SortedFunc(maps.Keys(held), func(a, b kind) int {
		return cmp.Or(cmp.Compare(a.ABI, b.ABI), cmp.Compare(a.NR, b.NR), cmp.Compare(a.How, b.How), cmp.Compare(a.Result, b.Result))
	})
	for i, t := range r.targets {
		if !r.found[i] {
			continue
		}
		slot := i + 1
		l, err := r.losses(slot)
		if err != nil {
			return failed(err)
		}
		m := &wire.Denied{Target: t.Ref, BeganNS: r.began.UnixNano(), EndedNS: ended.UnixNano(),
			Unclear: r.unclear[slot], LostCalls: l.Events + l.Kinds, LostStacks: l.Stacks, LostRuns: missed}
		for _, k := range kinds {
			if int(k.Slot) != slot || int(k.ABI) >= tracing.ABIs || r.layout.ABIs[k.ABI] == 0 {
				continue
			}
			if len(m.Held) == wire.MaxHeld {
				m.LostCalls += held[k]
				continue
			}
			h := wire.Held{ABI: r.layout.ABIs[k.ABI].String(), NR: k.NR, How: how(k.How, 0), Count: held[k]}
			if k.Result == resultSignal {
				h.How = wire.HowSignal
			} else if k.How == returned {
				h.Result = k.Result
			}
			if k.ABI == abiX32 && k.NR != other {
				h.NR |= x32Bit
			}
			m.Held = append(m.Held, h)
		}
		err = r.sink.Write(m)
		if errors.Is(err, wire.ErrTooLarge) {
			err = r.sink.Write(&wire.Problem{Target: t.Ref, Code: wire.CodeOutputFull, Op: op,
				Detail: "the output is as long as a log can safely be", Remedy: "look at fewer containers at once"})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
