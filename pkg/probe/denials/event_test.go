package denials

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/tracing"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// FuzzDecode reads any bytes as a record. What is taken for one is a record: it
// encodes to the bytes that it was read from.
func FuzzDecode(f *testing.F) {
	for _, v := range []any{&event{Type: typeEvent, How: returned, Comm: [16]byte{'a'}}, &chunk{Type: typeChunk, Length: 3, Last: 1}} {
		var b bytes.Buffer
		if err := binary.Write(&b, binary.NativeEndian, v); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := decode(raw)
		if err != nil {
			if !errors.Is(err, errRecord) {
				t.Errorf("%v", err)
			}
			return
		}
		var b bytes.Buffer
		if err := binary.Write(&b, binary.NativeEndian, v); err != nil {
			t.Fatal(err)
		}
		if e, ok := v.(*event); ok {
			raw, b = blank(raw), *bytes.NewBuffer(blank(b.Bytes()))
			comm(e.Comm)
			e.kind()
		} else {
			raw, b = blankChunk(raw), *bytes.NewBuffer(blankChunk(b.Bytes()))
		}
		if !bytes.HasPrefix(raw, b.Bytes()) {
			t.Errorf("%x is read as %+v", raw, v)
		}
	})
}

// blank returns an event's bytes without what is unused, and blankChunk a chunk's.
func blank(raw []byte) []byte {
	raw = slices.Clone(raw)
	raw[binary.Size(event{})-33] = 0
	return raw
}

func blankChunk(raw []byte) []byte {
	raw = slices.Clone(raw)
	raw[14], raw[15] = 0, 0
	return raw
}

// FuzzAssembly puts parts of any order, lengths and flags together. What is made of
// them is a stack of the lengths that they said, or nothing.
func FuzzAssembly(f *testing.F) {
	f.Add([]byte{0, 2, 1})
	f.Add([]byte{0, 2, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		var a assembly
		want := 0
		for len(script) >= 3 {
			c := &chunk{Offset: uint16(script[0]) * 64, Length: uint16(script[1]) * 16, Last: script[2] & 1}
			script = script[3:]
			for i := range chunkLength {
				binary.NativeEndian.PutUint16(c.Code[i*8:], uint16(bpf.RetK))
			}
			if c.Offset == 0 {
				want += int(c.Length)
			}
			complete, err := a.add(c)
			if err != nil {
				return
			}
			if !complete {
				continue
			}
			s, err := a.stack(binary.NativeEndian)
			if err != nil {
				return
			}
			got := 0
			for _, f := range s.filters {
				got += len(f)
			}
			if got != want || want > maxLength {
				t.Errorf("%d instructions of %d", got, want)
			}
			return
		}
	})
}

// TestAssembly puts a stack of two filters together, one of them in parts.
func TestAssembly(t *testing.T) {
	long := make(bpf.Filter, 600)
	for i := range long {
		long[i] = bpf.Instruction{Op: bpf.RetK, K: uint32(i)}
	}
	short := bpf.Filter{{Op: bpf.RetK, K: uint32(bpf.Allow)}}
	order := binary.NativeEndian
	part := func(f bpf.Filter, offset int, last bool) *chunk {
		c := &chunk{Offset: uint16(offset), Length: uint16(len(f))}
		copy(c.Code[:], f.Encode(order)[offset*bpf.InstructionSize:])
		if last {
			c.Last = 1
		}
		return c
	}
	parts := []*chunk{part(short, 0, false), part(long, 0, false), part(long, 256, false), part(long, 512, true)}
	var a assembly
	for i, c := range parts {
		complete, err := a.add(c)
		if err != nil || complete != (i == len(parts)-1) {
			t.Fatalf("part %d: %v, %v", i, complete, err)
		}
	}
	s, err := a.stack(order)
	if err != nil || len(s.filters) != 2 || !slices.Equal(s.filters[0], long) || !slices.Equal(s.filters[1], short) {
		t.Errorf("%v, %v, want the long one, which is the older, and the short one", s, err)
	}
	// One part is missing.
	a = assembly{}
	for _, c := range []*chunk{parts[1], parts[3]} {
		_, err = a.add(c)
	}
	if !errors.Is(err, errChunk) {
		t.Errorf("without a part: %v, want %v", err, errChunk)
	}
}

// TestWatched looks for the calls that a stack may log: by running it with every
// value of the argument that it looks at.
func TestWatched(t *testing.T) {
	abis := [tracing.ABIs]syscalls.ABI{syscalls.AMD64, syscalls.I386, syscalls.X32}
	order := syscalls.AMD64.ByteOrder()
	filter := bpf.Filter{
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: 41, Jf: 3},
		{Op: bpf.LdAbsW, K: 16},
		{Op: bpf.JeqK, K: 17, Jf: 1},
		{Op: bpf.RetK, K: uint32(bpf.Log)},
		{Op: bpf.RetK, K: uint32(bpf.Allow)},
	}
	if err := filter.Check(); err != nil {
		t.Fatal(err)
	}
	w := watched(bpf.Stack{filter}, abis, order)
	if w == nil {
		t.Fatal("nothing is watched")
	}
	for i, abi := range abis {
		for nr := range uint32(numbers) {
			call := bpf.Data{NR: nr, Arch: abi.AuditArch()}
			if i == tracing.X32 {
				call.NR |= x32Bit
			}
			logs := false
			for arg := range uint64(32) {
				call.Args[0] = arg
				logs = logs || mediates(bpf.Stack{filter}.Run(&call, order).Ret.Action())
			}
			if got := w.Numbers[i][nr/64]>>(nr%64)&1 == 1; got != logs {
				t.Errorf("%v %d is watched: %v, want %v", abi, nr, got, logs)
			}
		}
	}
	filter[4].K = uint32(bpf.Errno.With(1))
	if w := watched(bpf.Stack{filter}, abis, order); w != nil {
		t.Errorf("what only refuses and allows is watched: %v", w)
	}
}
