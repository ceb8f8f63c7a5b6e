// Package wire is the language the probe speaks on its standard output and the
// plugin reads from a pod's log.
//
// # Frames
//
// The output is lines of JSON, each of at most MaxLine bytes with its newline,
// because container runtimes cut longer ones. A line is a frame:
//
//	{"v":1,"run":"d41d8c","seq":0,"type":"hello","body":{…}}
//
// A message whose body does not fit travels as several frames in a row, each
// with a part of the body's JSON text, all but the last marked:
//
//	{"v":1,"run":"d41d8c","seq":7,"type":"filter","piece":"{\"id\":0,…","more":true}
//	{"v":1,"run":"d41d8c","seq":8,"type":"filter","piece":"…\"}"}
//
// The last frame says how many came before it and what they hash to, newlines
// included:
//
//	{"v":1,"run":"d41d8c","seq":9,"type":"end","body":{"frames":9,"sha256":"9f86…"}}
//
// What follows it is no part of the stream. So a log that was cut, rotated,
// interleaved or mixed with that of another run is an error at the reader and
// never a partial answer.
//
// # Messages
//
// A stream is one Hello, then for each distinct program one Filter, for each
// distinct list of them one Stack, and for each target its States; then, if that
// is asked for, the Config and File of each target, one Node and one Self. Verdicts
// and Fingerprints, of each stack, come last. Where calls are recorded, Began
// follows when that begins, some Recorded that are checkpoints, and, once it has ended,
// Recorded for each target. Where
// refused calls are looked for, it is Began, a Denial for each, behind the Filters and
// the Stack that it is about if they are new, and at the end Denied for each target.
// Problems say what could not be done, at any place. What a message refers to has
// come before it.
//
// # Trust
//
// The reader's side treats the node as hostile: lines, messages, their number
// and the whole are bounded, unknown fields and types are errors, and what is
// inside is checked before it is handed out. Text (comm, details) may still
// hold anything that UTF-8 can: whoever prints it escapes it.
package wire

import (
	"encoding/json"
	"errors"
)

// Version is the version of the format. A reader understands exactly its own:
// the plugin starts the probe of its own release.
const Version = 1

// Limits of a stream. The writer keeps them, the reader insists on them.
const (
	// MaxLine is the length of a line in bytes, its newline included. It keeps
	// a line whole in conmon (8 KiB) and containerd (16 KiB) logs.
	MaxLine = 8<<10 - 1
	// MaxMessage is the length in bytes of a message's body as JSON text. The
	// largest real one, a 4096 instruction filter that gzip cannot shrink,
	// takes 44 KiB.
	MaxMessage = 256 << 10
	// MaxTotal is the length of the whole stream in bytes. kubelet rotates logs
	// at 10 MiB by default, and a plain log request reads the newest file only.
	MaxTotal = 6 << 20
	// MaxFrames is the number of frames.
	MaxFrames = 1 << 16
	// MaxRun is the length of a run's name.
	MaxRun = 64
)

// reserve is what the writer keeps free of MaxTotal for problems, so that a full
// stream can still say that it is full, and endReserve for the end frame.
const (
	reserve    = 64 << 10
	endReserve = 1 << 10
)

var (
	ErrMalformed   = errors.New("not a probe frame")
	ErrVersion     = errors.New("another version of the wire format")
	ErrRun         = errors.New("frame of another run")
	ErrSequence    = errors.New("frames are missing or out of order")
	ErrUnknownType = errors.New("unknown message type")
	ErrInvalid     = errors.New("invalid message")
	ErrTooLarge    = errors.New("too large")
	ErrChecksum    = errors.New("checksum does not match")
	ErrNoEnd       = errors.New("the output ends before its end frame")
)

// frame is one line.
type frame struct {
	Version int             `json:"v"`
	Run     string          `json:"run"`
	Seq     int             `json:"seq"`
	Type    string          `json:"type"`
	Body    json.RawMessage `json:"body,omitempty"`
	Piece   *string         `json:"piece,omitempty"`
	More    bool            `json:"more,omitempty"`
}

// end is the body of the last frame.
type end struct {
	Frames int    `json:"frames"`
	SHA256 string `json:"sha256"`
}

const endType = "end"

// ValidRun reports whether a name can be a run's: 1 to MaxRun lower case
// letters, digits and dashes.
func ValidRun(run string) bool {
	if len(run) == 0 || len(run) > MaxRun {
		return false
	}
	for _, c := range []byte(run) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
