package record

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
)

// Keys of the program's maps.
type (
	callKey struct {
		Slot, Class uint16
		NR          uint32
	}
	valueKey struct {
		Call       callKey
		Value, Arg uint32
	}
	refusalKey struct {
		Call   callKey
		Return int64
	}
)

// Read returns what has been counted so far. While calls are recorded, what is
// counted meanwhile is in it or not.
func (r *Recorder) Read() (*Result, error) {
	missed, err := r.missed()
	if err != nil {
		return nil, err
	}
	result := new(Result)
	if result.New, err = r.newcomers(); err != nil {
		return nil, err
	}
	if err := r.objects.LeftOut.Get(&result.LeftOut); err != nil {
		return nil, fmt.Errorf("read how many containers were left out: %w", err)
	}
	list := make([]Counts, r.found+len(result.New))
	for i := range list {
		var s slot
		if err := r.objects.Slots.Lookup(uint32(i+1), &s); err != nil {
			return nil, fmt.Errorf("read what was not counted: %w", err)
		}
		list[i].Lost = Lost{
			Calls: s.LostCounts, Values: s.LostValues, Refusals: s.LostRefused,
			Origins: s.Unmarked, Runs: missed,
		}
		list[i].Unclear = s.Unclear
	}
	of := func(k callKey) (*Counts, Call) {
		if k.Slot == 0 || int(k.Slot) > len(list) || class(k.Class)&^byRuntime >= abiClasses {
			return new(Counts), Call{} // the program's, and so a bug: no data of a container comes here
		}
		c := Call{Runtime: class(k.Class)&byRuntime != 0}
		c.ABI, c.NR = r.layout.call(class(k.Class), k.NR)
		return &list[k.Slot-1], c
	}

	if err := r.usual(list); err != nil {
		return nil, err
	}
	var call callKey
	var each []uint64
	for it := r.objects.Counts.Iterate(); ; {
		if !it.Next(&call, &each) {
			if err := it.Err(); err != nil {
				return nil, fmt.Errorf("read the counts: %w", err)
			}
			break
		}
		var n uint64
		for _, m := range each {
			n += m
		}
		to, c := of(call)
		to.Calls = append(to.Calls, Counted{c, n})
	}
	var n uint64
	var value valueKey
	if err := iterate(r.objects.Values, &value, &n, func() {
		to, c := of(value.Call)
		to.Values = append(to.Values, Value{c, int(value.Arg), value.Value, n})
	}); err != nil {
		return nil, fmt.Errorf("read the values: %w", err)
	}
	var refused refusalKey
	if err := iterate(r.objects.Refused, &refused, &n, func() {
		to, c := of(refused.Call)
		to.Refused = append(to.Refused, Refusal{c, refused.Return, n})
	}); err != nil {
		return nil, fmt.Errorf("read the refused calls: %w", err)
	}
	for i := range list {
		list[i].sort()
		if i >= r.found {
			result.New[i-r.found].Counts = list[i]
		}
	}
	result.Counts = list[:r.found]
	return result, nil
}

// newcomers returns the containers that came, by their numbers, without counts.
func (r *Recorder) newcomers() (list []Newcomer, err error) {
	var next uint32
	if err := r.objects.Next.Get(&next); err != nil {
		return nil, fmt.Errorf("read how many containers came: %w", err)
	}
	for i := uint32(1 + r.found); i < next; i++ {
		var n newcomer
		if err := r.objects.Newcomers.Lookup(i, &n); err != nil {
			return nil, fmt.Errorf("read which containers came: %w", err)
		}
		name, _, _ := bytes.Cut(n.Name[:], []byte{0})
		list = append(list, Newcomer{Cgroup: string(name), After: time.Duration(int64(n.Created) - r.began.Nano())})
	}
	return list, nil
}

// usual adds the calls that have a place of their own.
func (r *Recorder) usual(list []Counts) error {
	var each []usual
	for i := range list {
		if uint32(i+1) >= r.objects.Usual.MaxEntries() {
			return nil
		}
		if err := r.objects.Usual.Lookup(uint32(i+1), &each); err != nil {
			return fmt.Errorf("read the counts: %w", err)
		}
		for nr := range uint32(usualNumbers) {
			var n uint64
			for _, processor := range each {
				n += processor.Count[nr]
			}
			if n > 0 {
				abi, nr := r.layout.call(native, nr)
				list[i].Calls = append(list[i].Calls, Counted{Call{ABI: abi, NR: nr}, n})
			}
		}
	}
	return nil
}

// usual is the program's struct usual.
type usual struct{ Count [usualNumbers]uint64 }

// iterate calls visit after each element of a map has been read into key and n.
func iterate(m *ebpf.Map, key, n any, visit func()) error {
	it := m.Iterate()
	for it.Next(key, n) {
		visit()
	}
	return it.Err()
}

// missed is how often the kernel did not run the program, as it was under way on
// the same processor.
func (r *Recorder) missed() (n uint64, err error) {
	for _, p := range []*ebpf.Program{r.objects.OnEnter, r.objects.OnExit, r.objects.OnFork, r.objects.OnExec, r.objects.OnMkdir} {
		stats, err := p.Stats()
		if err != nil {
			return 0, fmt.Errorf("read what was missed: %w", err)
		}
		n += stats.RecursionMisses
	}
	return n, nil
}
