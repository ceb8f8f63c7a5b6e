package profile

import (
	"errors"
	"fmt"
	"strings"
)

// Reasons that [Error] wraps.
var (
	// ErrNotProfile is for data that is something else, or nothing.
	ErrNotProfile = errors.New("not a seccomp profile")
	// ErrTooLarge is for data longer than MaxSize.
	ErrTooLarge = errors.New("too large")
	// ErrBase is for a SeccompProfile that extends another one, which is not at
	// hand.
	ErrBase = errors.New("needs its base profile")
	// ErrRefused is for a profile that the runtime takes and then fails on: the
	// container does not start.
	ErrRefused = errors.New("the container would not start")
)

// An Error is what is wrong with a profile, and where.
type Error struct {
	Line, Column int    // counted from 1, in bytes; 0 if not known, as for YAML
	Path         string // "syscalls[3].args[0].op"; empty for the whole
	Err          error
}

func (e *Error) Error() string { return locate(e.Line, e.Column, e.Path) + e.Err.Error() }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// locate writes the part of a message that says where.
func locate(line, column int, path string) string {
	var b strings.Builder
	b.WriteString("seccomp profile: ")
	if line > 0 {
		fmt.Fprintf(&b, "line %d column %d: ", line, column)
	}
	if path != "" {
		b.WriteString(path + ": ")
	}
	return b.String()
}

// reason is a sentinel with the particulars in front of it.
type reason struct {
	text string
	is   error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.is }

func because(is error, format string, args ...any) error {
	return &reason{fmt.Sprintf(format, args...), is}
}
