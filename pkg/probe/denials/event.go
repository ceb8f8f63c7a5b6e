package denials

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
)

// Records of the program's ring buffer, which are its structs.
const (
	typeEvent = 1
	typeChunk = 2
)

// How a call is known.
const (
	returned = 1
	ended    = 2
	began    = 3
)

// Flags of an event.
const (
	flagFirst   = 1 // the call may have begun before the program did
	flagSignal  = 2
	flagRuntime = 4 // a runtime made it that was bringing a process into the container
)

// other stands for every number that no syscall has, and numbers is how many are
// told apart.
const (
	other   = 1<<32 - 1
	numbers = 1024
)

// event is a call.
type event struct {
	Type, Slot                   uint32
	Time                         uint64
	Arguments                    [6]uint64
	Pointer                      uint64
	Return                       int64
	Held                         uint64
	PID, TID, InnerPID, InnerTID uint32
	NR, Stack, Depth             uint32
	How, Flags, ABI, _           uint8
	Comm, Leader                 [16]byte
}

const chunkLength = 256 // instructions

// chunk is a part of a filter. The newest filter of a stack comes first.
type chunk struct {
	Type, Stack    uint32
	Offset, Length uint16
	Log, Last      uint8
	_              uint16
	Code           [chunkLength * bpf.InstructionSize]byte
}

var errRecord = errors.New("not a record of the program")

// decode reads one record: an *event or a *chunk.
func decode(raw []byte) (any, error) {
	if len(raw) < 4 {
		return nil, fmt.Errorf("%w: %d bytes", errRecord, len(raw))
	}
	switch typ := binary.NativeEndian.Uint32(raw); {
	case typ == typeEvent && len(raw) >= binary.Size(event{}):
		e := new(event)
		if _, err := binary.Decode(raw, binary.NativeEndian, e); err != nil {
			return nil, fmt.Errorf("%w: %v", errRecord, err)
		}
		if e.How < returned || e.How > began {
			return nil, fmt.Errorf("%w: a call that is known how: %d", errRecord, e.How)
		}
		return e, nil
	case typ == typeChunk && len(raw) >= binary.Size(chunk{}):
		c := new(chunk)
		if _, err := binary.Decode(raw, binary.NativeEndian, c); err != nil {
			return nil, fmt.Errorf("%w: %v", errRecord, err)
		}
		return c, nil
	default:
		return nil, fmt.Errorf("%w: type %d of %d bytes", errRecord, typ, len(raw))
	}
}

// comm is a name as the kernel keeps it: up to a zero.
func comm(raw [16]byte) string {
	name, _, _ := bytes.Cut(raw[:], []byte{0})
	return string(name)
}

// kind is what the program counts calls by.
type kind struct {
	Slot     uint16
	ABI, How uint8
	NR       uint32
	Result   int32
}

// Results of a kind that are neither 0 nor an errno.
const (
	resultOther  = 1
	resultSignal = 2
)

// kind returns the kind of a call.
func (e *event) kind() kind {
	k := kind{Slot: uint16(e.Slot), ABI: e.ABI, How: e.How, NR: e.NR}
	if k.ABI == abiX32 {
		k.NR &^= x32Bit
	}
	if k.NR >= numbers {
		k.NR = other
	}
	switch {
	case e.Flags&flagSignal != 0:
		k.Result = resultSignal
	case e.Return > 0 || e.Return < -bpf.MaxErrno:
		k.Result = resultOther
	default:
		k.Result = int32(e.Return)
	}
	return k
}
