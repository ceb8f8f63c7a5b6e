package wire

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
)

// Reader reads a stream and checks it: see the package's section on trust.
type Reader struct {
	r     *bufio.Reader
	run   string
	seq   int // of the next frame
	total int
	sum   hash.Hash

	hello    bool
	filters  int              // how many have come: the next one's ID
	stacks   []int            // how many filters each has
	verdicts map[verdict]bool // which have come
	prints   map[int]bool     // stacks whose fingerprint has come
	targets  map[string]bool
	configs  map[string]bool // targets whose configuration has come
	files    map[string]bool // targets whose file has come
	recorded map[string]bool // targets whose calls have come, all of them
	began    bool
	denials  int             // how many have come
	denied   map[string]bool // targets of which all have
	node     bool
	self     bool

	err error // final: every later Next returns it
}

type verdict struct {
	stack int
	abi   string
}

// NewReader returns a reader of the run's stream.
func NewReader(r io.Reader, run string) *Reader {
	return &Reader{
		r:   bufio.NewReaderSize(r, MaxLine),
		run: run, sum: sha256.New(),
		verdicts: make(map[verdict]bool),
		prints:   make(map[int]bool),
		targets:  make(map[string]bool),
		configs:  make(map[string]bool),
		files:    make(map[string]bool),
		recorded: make(map[string]bool),
		denied:   make(map[string]bool),
	}
}

// Next returns the next message. io.EOF means that the stream is complete: its
// end frame has come and holds. Next does not wait for what may follow that
// frame, which a log that is followed would keep it waiting for, and does not
// look at it: the stream is the same without.
//
// An error of the underlying reader is returned wrapped, every other one wraps
// one of the package's; both say at which frame. Any of them is final: what
// messages have come before are not to be used then.
func (r *Reader) Next() (Message, error) {
	if r.err != nil {
		return nil, r.err
	}
	seq := r.seq
	m, err := r.next()
	switch {
	case err == io.EOF:
		r.err = io.EOF
	case err != nil:
		r.err = fmt.Errorf("probe output, frame %d: %w", seq, err)
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

func (r *Reader) next() (Message, error) {
	f, err := r.frame()
	if err != nil {
		return nil, err
	}
	if f.Type == endType {
		return nil, r.end(f)
	}
	m := newMessage(f.Type)
	if m == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknownType, clip(f.Type))
	}
	body := []byte(f.Body)
	if f.Piece != nil {
		if body, err = r.join(f); err != nil {
			return nil, err
		}
	}
	if err := unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrInvalid, f.Type, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrInvalid, f.Type, err)
	}
	if err := r.refer(m); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrInvalid, f.Type, err)
	}
	return m, nil
}

// join reads the frames that hold the rest of the message that f begins.
func (r *Reader) join(f frame) ([]byte, error) {
	body := []byte(*f.Piece)
	for f.More {
		next, err := r.frame()
		if err != nil {
			return nil, err
		}
		if next.Type != f.Type || next.Piece == nil {
			return nil, fmt.Errorf("%w: %s begins inside %s", ErrSequence, clip(next.Type), f.Type)
		}
		if body = append(body, *next.Piece...); len(body) > MaxMessage {
			return nil, fmt.Errorf("%s of more than %d bytes: %w", f.Type, MaxMessage, ErrTooLarge)
		}
		f = next
	}
	return body, nil
}

// frame reads one line and checks all of it but the message inside.
func (r *Reader) frame() (frame, error) {
	line, err := r.line()
	if err != nil {
		return frame{}, err
	}
	var f frame
	if err := unmarshal(line, &f); err != nil {
		// It may be the runtime's or the kernel's word on why there is no
		// frame: show it.
		return frame{}, fmt.Errorf("%w: %v: %q", ErrMalformed, err, clip(string(line)))
	}
	switch {
	case f.Version != Version:
		return frame{}, fmt.Errorf("%w: %d, this is %d", ErrVersion, f.Version, Version)
	case f.Run != r.run:
		return frame{}, fmt.Errorf("%w: %q, this is %q", ErrRun, clip(f.Run), r.run)
	case f.Seq != r.seq:
		return frame{}, fmt.Errorf("%w: found frame %d", ErrSequence, f.Seq)
	case (f.Body == nil) == (f.Piece == nil), f.More && f.Piece == nil:
		return frame{}, fmt.Errorf("%w: neither a body nor a piece of one", ErrMalformed)
	}
	if f.Type != endType {
		r.sum.Write(line)
		r.sum.Write([]byte{'\n'})
	}
	r.seq++
	return f, nil
}

// line reads one line and returns it without its newline. It is valid until the
// next call.
func (r *Reader) line() ([]byte, error) {
	if r.seq >= MaxFrames {
		return nil, fmt.Errorf("more than %d frames: %w", MaxFrames, ErrTooLarge)
	}
	line, err := r.r.ReadSlice('\n')
	r.total += len(line)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("line of more than %d bytes: %w", MaxLine, ErrTooLarge)
	case errors.Is(err, io.EOF):
		if len(line) > 0 {
			return nil, fmt.Errorf("%w: it is cut after %q", ErrNoEnd, clip(string(line)))
		}
		return nil, ErrNoEnd
	case err != nil:
		return nil, err
	case r.total > MaxTotal:
		return nil, fmt.Errorf("more than %d bytes: %w", MaxTotal, ErrTooLarge)
	}
	return line[:len(line)-1], nil
}

// end checks the end frame and returns io.EOF if it holds.
func (r *Reader) end(f frame) error {
	var e end
	if f.Body == nil {
		return fmt.Errorf("%w: end in pieces", ErrMalformed)
	}
	if err := unmarshal(f.Body, &e); err != nil {
		return fmt.Errorf("%w: end: %v", ErrInvalid, err)
	}
	switch {
	case e.Frames != f.Seq:
		return fmt.Errorf("%w: end counts %d", ErrSequence, e.Frames)
	case e.SHA256 != hex.EncodeToString(r.sum.Sum(nil)):
		return ErrChecksum
	case !r.hello:
		return fmt.Errorf("%w: end without hello", ErrInvalid)
	}
	return io.EOF
}

// refer checks a message against those before it: Hello comes first and once,
// IDs count from 0, and what is referred to has come.
func (r *Reader) refer(m Message) error {
	if _, ok := m.(*Hello); ok == r.hello {
		return errors.New("hello comes first, and once")
	}
	switch m := m.(type) {
	case *Hello:
		r.hello = true
	case *Target:
		if r.targets[m.ID] {
			return errors.New("seen before")
		}
		r.targets[m.ID] = true
	case *Filter:
		if m.ID != r.filters {
			return fmt.Errorf("ID %d where %d is next", m.ID, r.filters)
		}
		r.filters++
	case *Stack:
		if m.ID != len(r.stacks) {
			return fmt.Errorf("ID %d where %d is next", m.ID, len(r.stacks))
		}
		if i := slices.IndexFunc(m.Filters, func(id int) bool { return id < 0 || id >= r.filters }); i >= 0 {
			return fmt.Errorf("filter %d has not come", m.Filters[i])
		}
		r.stacks = append(r.stacks, len(m.Filters))
	case *State:
		if !r.targets[m.Target] {
			return fmt.Errorf("target %q has not come", clip(m.Target))
		}
		if m.Stack != NoStack {
			if m.Stack < 0 || m.Stack >= len(r.stacks) {
				return fmt.Errorf("stack %d has not come", m.Stack)
			}
			if n := r.stacks[m.Stack]; n != m.FilterCount {
				return fmt.Errorf("%d filters, and stack %d has %d", m.FilterCount, m.Stack, n)
			}
		}
	case *Verdict:
		if m.Stack < 0 || m.Stack >= len(r.stacks) {
			return fmt.Errorf("stack %d has not come", m.Stack)
		}
		v := verdict{m.Stack, m.Survey.ABI.String()}
		if r.verdicts[v] {
			return fmt.Errorf("stack %d has its verdict for %s", v.stack, v.abi)
		}
		r.verdicts[v] = true
	case *Fingerprint:
		if m.Stack < 0 || m.Stack >= len(r.stacks) {
			return fmt.Errorf("stack %d has not come", m.Stack)
		}
		if r.prints[m.Stack] {
			return fmt.Errorf("stack %d has its fingerprint", m.Stack)
		}
		r.prints[m.Stack] = true
	case *Node:
		if r.node {
			return errors.New("seen before")
		}
		r.node = true
	case *Self:
		if r.self {
			return errors.New("seen before")
		}
		r.self = true
	case *Config:
		if !r.targets[m.Target] || r.configs[m.Target] {
			return fmt.Errorf("target %q has not come, or has its configuration", clip(m.Target))
		}
		r.configs[m.Target] = true
	case *File:
		if !r.targets[m.Target] || r.files[m.Target] {
			return fmt.Errorf("target %q has not come, or has its file", clip(m.Target))
		}
		r.files[m.Target] = true
	case *Began:
		if r.began {
			return errors.New("seen before")
		}
		r.began = true
	case *Recorded:
		if !r.began || r.recorded[m.Target] {
			return fmt.Errorf("no recording has begun, or target %q has its own", clip(m.Target))
		}
		r.recorded[m.Target] = !m.Checkpoint
	case *Denial:
		if r.denials++; !r.began || r.denied[m.Target] || m.Seq != r.denials {
			return fmt.Errorf("denial %d of target %q, where %d is next", m.Seq, clip(m.Target), r.denials)
		}
		if m.Stack < NoStack || m.Stack >= len(r.stacks) {
			return fmt.Errorf("stack %d has not come", m.Stack)
		}
	case *Denied:
		if !r.began || r.denied[m.Target] {
			return fmt.Errorf("nothing has begun, or target %q has its own", clip(m.Target))
		}
		r.denied[m.Target] = true
	}
	return nil
}

// unmarshal decodes exactly one JSON value without unknown fields.
func unmarshal(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

// clip bounds what an error quotes of the stream.
func clip(s string) string {
	const most = 160
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
