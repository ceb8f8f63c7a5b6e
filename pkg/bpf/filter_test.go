package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"empty", nil, ErrEmpty},
		{"half an instruction", make([]byte, 12), ErrLength},
		{"longest", make([]byte, 8*MaxInstructions), nil},
		{"too long", make([]byte, 8*(MaxInstructions+1)), ErrTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Decode(tt.raw, binary.LittleEndian)
			if !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
			if err == nil && len(f) != len(tt.raw)/8 {
				t.Errorf("got %d instructions of %d bytes", len(f), len(tt.raw))
			}
		})
	}
}

func TestDecodeByteOrder(t *testing.T) {
	want := Filter{jump(JeqK, 0xc000003e, 2, 1)}
	for _, tt := range []struct {
		order binary.ByteOrder
		raw   []byte
	}{
		{binary.LittleEndian, []byte{0x15, 0x00, 0x02, 0x01, 0x3e, 0x00, 0x00, 0xc0}},
		{binary.BigEndian, []byte{0x00, 0x15, 0x02, 0x01, 0xc0, 0x00, 0x00, 0x3e}},
	} {
		got, err := Decode(tt.raw, tt.order)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: decoded %v, %v, want %v", tt.order, got, err, want)
		}
		if raw := want.Encode(tt.order); !bytes.Equal(raw, tt.raw) {
			t.Errorf("%v: encoded % x, want % x", tt.order, raw, tt.raw)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x06, 0, 0, 0, 0, 0, 0xff, 0x7f}, true)
	f.Add([]byte{0, 0x06, 0, 0, 0x7f, 0xff, 0, 0}, false)
	f.Add(make([]byte, 15), true)
	f.Fuzz(func(t *testing.T, raw []byte, little bool) {
		order := binary.ByteOrder(binary.BigEndian)
		if little {
			order = binary.LittleEndian
		}
		prog, err := Decode(raw, order)
		if err != nil {
			if len(raw) > 0 && len(raw)%8 == 0 && len(raw) <= 8*MaxInstructions {
				t.Errorf("refused %d bytes: %v", len(raw), err)
			}
			return
		}
		if again := prog.Encode(order); !bytes.Equal(again, raw) {
			t.Errorf("% x came back as % x", raw, again)
		}
	})
}
