package denials

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/tracing"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// objects are what the program consists of.
type objects struct {
	tracing.Objects

	OnEnter  *ebpf.Program `ebpf:"on_enter"`
	OnExit   *ebpf.Program `ebpf:"on_exit"`
	OnFork   *ebpf.Program `ebpf:"on_fork"`
	OnExec   *ebpf.Program `ebpf:"on_exec"`
	OnSignal *ebpf.Program `ebpf:"on_signal"`
	OnEnd    *ebpf.Program `ebpf:"on_end"`

	Events  *ebpf.Map `ebpf:"events"`
	Losses  *ebpf.Map `ebpf:"losses"`
	Threads *ebpf.Map `ebpf:"threads"`
	Stacks  *ebpf.Map `ebpf:"stacks"`
	May     *ebpf.Map `ebpf:"may"`
	Watched *ebpf.Map `ebpf:"watched"`
	Rates   *ebpf.Map `ebpf:"rates"`

	Watching *ebpf.Variable `ebpf:"watching"`
	Began    *ebpf.Variable `ebpf:"began"`
}

// watcher is the program, loaded.
type watcher struct {
	layout  tracing.Layout
	objects objects
	reader  *ringbuf.Reader
	links   []io.Closer
	watches map[string]uint32 // where in the map watched, by the watch
}

// load loads the program for containers of a hierarchy (see tracing.Fit).
func load(controllers string) (*watcher, error) {
	kernel, err := tracing.Kernel()
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	object := littleEndian
	if tracing.BigEndian() {
		object = bigEndian
	}
	w := &watcher{layout: tracing.Layouts[runtime.GOARCH], watches: make(map[string]uint32)}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err == nil {
		err = tracing.Fit(spec, kernel, controllers)
	}
	if err == nil {
		err = tracing.Set(spec, map[string]any{
			"limit":          uint32(perSecond),
			"seccomp_number": w.numbers("seccomp"),
			"prctl_number":   w.numbers("prctl"),
		})
	}
	if err != nil {
		return nil, fmt.Errorf("load the program: %w", err)
	}
	if err := spec.LoadAndAssign(&w.objects, &ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: kernel}}); err != nil {
		return nil, fmt.Errorf("load the program: %w", tracing.Refusal(err))
	}
	if w.reader, err = ringbuf.NewReader(w.objects.Events); err != nil {
		w.close()
		return nil, fmt.Errorf("load the program: %w", err)
	}
	return w, nil
}

// numbers are those of a syscall in each ABI; none where there is none.
func (w *watcher) numbers(name string) (list [tracing.ABIs]uint32) {
	for i, abi := range w.layout.ABIs {
		list[i] = other
		if abi == 0 {
			continue
		}
		if nr, ok := abi.Number(name); ok {
			list[i] = nr
		}
	}
	return list
}

// begin has calls looked at from now on, of all containers at the same time, and
// returns when that was by the program's clock.
func (w *watcher) begin() (now uint64, err error) {
	for _, program := range []*ebpf.Program{w.objects.OnEnd, w.objects.OnFork, w.objects.OnExec, w.objects.OnSignal, w.objects.OnExit, w.objects.OnEnter} {
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return 0, fmt.Errorf("attach the program: %w", tracing.Refusal(err))
		}
		w.links = append(w.links, l)
	}
	if now, err = tracing.Monotonic(); err != nil {
		return 0, err
	}
	if err := w.objects.Began.Set(now); err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	if err := w.objects.Watching.Set(uint32(1)); err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	return now, nil
}

// errTold is that of next where interrupt was called, or after end.
var errTold = ringbuf.ErrFlushed

// next returns the next record: an *event or a *chunk; os.ErrDeadlineExceeded if
// there is none until the time given.
func (w *watcher) next(record *ringbuf.Record, until time.Time) (any, error) {
	w.reader.SetDeadline(until)
	if err := w.reader.ReadInto(record); err != nil {
		return nil, err
	}
	return decode(record.RawSample)
}

// interrupt has next return errTold, once it has returned all that there is.
func (w *watcher) interrupt() { w.reader.Flush() }

// end ends what begin began. What was seen until then is still to be had.
func (w *watcher) end() error {
	if err := w.objects.Watching.Set(uint32(0)); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	w.detach()
	return tracing.Quiesce()
}

func (w *watcher) detach() {
	for _, l := range w.links {
		l.Close()
	}
	w.links = nil
}

func (w *watcher) close() {
	w.detach()
	if w.reader != nil {
		w.reader.Close()
	}
	w.objects.Objects.Close()
	for _, c := range []io.Closer{
		w.objects.OnEnter, w.objects.OnExit, w.objects.OnFork, w.objects.OnExec, w.objects.OnSignal, w.objects.OnEnd,
		w.objects.Events, w.objects.Losses, w.objects.Threads, w.objects.Stacks, w.objects.May, w.objects.Watched, w.objects.Rates,
	} {
		c.Close()
	}
}

// What the program's map may says of a stack.
const (
	mayNothing   = 1
	maySomething = 2
	maxWatched   = 256 // WATCHED of the program
)

// consider tells the program what a stack may do beside to refuse and to allow.
// Where there is no room for that, every call under it that the kernel does not
// itself know to be allowed is handed out.
func (w *watcher) consider(number uint32, stack bpf.Stack, abi syscalls.ABI) error {
	what := uint32(mayNothing)
	if watch := watched(stack, w.layout.ABIs, abi.ByteOrder()); watch != nil {
		key := fmt.Sprint(watch.Numbers)
		at, ok := w.watches[key]
		if !ok {
			if len(w.watches) == maxWatched {
				return nil
			}
			at = uint32(len(w.watches))
			if err := w.objects.Watched.Put(at, watch); err != nil {
				return fmt.Errorf("watch for calls: %w", err)
			}
			w.watches[key] = at
		}
		what = maySomething + at
	}
	if err := w.objects.May.Put(number, what); err != nil {
		return fmt.Errorf("watch for calls: %w", err)
	}
	return nil
}

// lost is the program's struct lost.
type lost struct{ Events, Kinds, Stacks uint64 }

// losses returns what was lost of a container.
func (w *watcher) losses(slot int) (l lost, err error) {
	if err := w.objects.Losses.Lookup(uint32(slot), &l); err != nil {
		return l, fmt.Errorf("read what was lost: %w", err)
	}
	return l, nil
}

// held returns how many calls of each kind were only counted since the last that was
// told of.
func (w *watcher) held() (map[kind]uint64, error) {
	all := make(map[kind]uint64)
	var k kind
	var rate struct {
		Began, Held  uint64
		Told, Unused uint32
	}
	it := w.objects.Rates.Iterate()
	for it.Next(&k, &rate) {
		if rate.Held > 0 {
			all[k] = rate.Held
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("read what was only counted: %w", err)
	}
	return all, nil
}

// missed is how often the kernel did not run the program, as it was under way on
// the same processor.
func (w *watcher) missed() (n uint64, err error) {
	for _, p := range []*ebpf.Program{w.objects.OnEnter, w.objects.OnExit, w.objects.OnFork, w.objects.OnExec, w.objects.OnSignal, w.objects.OnEnd} {
		stats, err := p.Stats()
		if err != nil {
			return 0, fmt.Errorf("read what was missed: %w", err)
		}
		n += stats.RecursionMisses
	}
	return n, nil
}

func isDeadline(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
