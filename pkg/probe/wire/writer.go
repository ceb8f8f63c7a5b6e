package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"
)

// Writer writes a stream. It does not buffer: each frame is one Write.
type Writer struct {
	w     io.Writer
	run   string
	seq   int
	total int
	sum   hash.Hash
	err   error // of the underlying writer; final
}

// NewWriter returns a writer of the run's stream. It panics if the name is not
// a ValidRun.
func NewWriter(w io.Writer, run string) *Writer {
	if !ValidRun(run) {
		panic(fmt.Sprintf("wire: %q cannot name a run", run))
	}
	return &Writer{w: w, run: run, sum: sha256.New()}
}

// Write writes one message, as one frame or several. ErrTooLarge means that the
// message, or the stream with it, would break a limit: nothing of it was
// written, and smaller messages may still be.
func (w *Writer) Write(m Message) error {
	if w.err != nil {
		return w.err
	}
	if err := m.check(); err != nil {
		return fmt.Errorf("write %s: %w: %v", m.Type(), ErrInvalid, err)
	}
	body, err := encode(m)
	if err != nil {
		return fmt.Errorf("write %s: %w", m.Type(), err)
	}
	if len(body) > MaxMessage {
		return fmt.Errorf("write %s of %d bytes: %w", m.Type(), len(body), ErrTooLarge)
	}
	lines, size, err := w.frames(m.Type(), body)
	if err != nil {
		return fmt.Errorf("write %s: %w", m.Type(), err)
	}
	room, frames := MaxTotal-endReserve, MaxFrames-1
	if _, ok := m.(*Problem); !ok {
		room -= reserve
		frames -= reserve / 64
	}
	if w.total+size > room || w.seq+len(lines) > frames {
		return fmt.Errorf("write %s: the stream is full: %w", m.Type(), ErrTooLarge)
	}
	for _, line := range lines {
		if err := w.writeLine(line); err != nil {
			return fmt.Errorf("write %s: %w", m.Type(), err)
		}
	}
	return nil
}

// End writes the end frame. The writer cannot be used after it.
func (w *Writer) End() error {
	if w.err != nil {
		return w.err
	}
	body, err := encode(end{Frames: w.seq, SHA256: hex.EncodeToString(w.sum.Sum(nil))})
	if err != nil {
		return err
	}
	line, err := w.frame(frame{Type: endType, Body: body}, 0)
	if err != nil {
		return err
	}
	if err := w.writeLine(line); err != nil {
		return fmt.Errorf("write end: %w", err)
	}
	w.err = errors.New("write after the end frame")
	return nil
}

// frames cuts a body into the lines that carry it and returns their total length.
func (w *Writer) frames(typ string, body []byte) (lines [][]byte, size int, err error) {
	line, err := w.frame(frame{Type: typ, Body: body}, 0)
	if err != nil {
		return nil, 0, err
	}
	if len(line) <= MaxLine {
		return [][]byte{line}, len(line), nil
	}
	// What the frame around a piece takes; sequence numbers have at most 5 digits.
	const around = len(`{"v":1,"run":"","seq":12345,"type":"","piece":"","more":true}`) + 1
	room := MaxLine - around - len(w.run) - len(typ)
	for len(body) > 0 {
		n := quotedPrefix(body, room)
		piece := string(body[:n])
		body = body[n:]
		line, err := w.frame(frame{Type: typ, Piece: &piece, More: len(body) > 0}, len(lines))
		if err != nil {
			return nil, 0, err
		}
		lines = append(lines, line)
		size += len(line)
	}
	return lines, size, nil
}

// quotedPrefix returns the length of the longest prefix of text, ending between
// characters, that takes at most room bytes inside a JSON string. Text is JSON
// itself: of what a JSON string escapes it can hold quotes, backslashes and the
// two line separators that encoding/json escapes for JavaScript's sake.
func quotedPrefix(text []byte, room int) int {
	n := 0
	for n < len(text) {
		r, size := utf8.DecodeRune(text[n:])
		cost := size
		switch r {
		case '"', '\\':
			cost = 2
		case '\u2028', '\u2029':
			cost = 6
		}
		if room -= cost; room < 0 {
			break
		}
		n += size
	}
	return n
}

// frame encodes the frame that comes after ahead others, with its newline.
func (w *Writer) frame(f frame, ahead int) ([]byte, error) {
	f.Version, f.Run, f.Seq = Version, w.run, w.seq+ahead
	line, err := encode(f)
	return append(line, '\n'), err
}

// writeLine writes one frame and counts it.
func (w *Writer) writeLine(line []byte) error {
	if _, err := w.w.Write(line); err != nil {
		w.err = err
		return err
	}
	w.sum.Write(line)
	w.seq++
	w.total += len(line)
	return nil
}

// encode returns v as JSON on one line, without its newline and without the
// escapes that are for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
