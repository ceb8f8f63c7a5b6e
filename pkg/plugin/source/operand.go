package source

import (
	"errors"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// ErrStdin is a command line that has stdin read twice.
var ErrStdin = errors.New("standard input is named twice, and can be read only once")

// A Ref is an operand that needs no cluster:
//
//	./FILE, ../FILE, /FILE   what is in a file, by its content
//	-                        the same, of standard input
//	profile:FILE             a seccomp profile
//	bpf:FILE[,FILE…]         the filters of a stack, the oldest first
//	Unconfined               no filter
//
// A FILE behind a colon may be "-".
type Ref struct {
	Text  string // as typed
	kind  kind
	files []string
}

type kind uint8

const (
	byContent kind = iota
	asProfile
	asFilters
	asNone
)

// Parse reads an operand. ok is false if it is none of those that need no
// cluster.
func Parse(text string) (r Ref, ok bool, err error) {
	r = Ref{Text: text}
	scheme, rest, named := strings.Cut(text, ":")
	switch {
	case text == "Unconfined":
		r.kind = asNone
		return r, true, nil
	case text == "-", strings.HasPrefix(text, "./"), strings.HasPrefix(text, "../"), strings.HasPrefix(text, "/"):
		r.kind, r.files = byContent, []string{text}
	case named && scheme == "profile":
		r.kind, r.files = asProfile, []string{rest}
	case named && scheme == "bpf":
		r.kind, r.files = asFilters, strings.Split(rest, ",")
	default:
		return Ref{}, false, nil
	}
	stdin := 0
	for _, file := range r.files {
		switch file {
		case "":
			return Ref{}, true, failure.New(nil, "operand "+failure.Quote(text), "a file's name is missing",
				"want profile:FILE, or bpf:FILE[,FILE…] with the oldest filter first")
		case "-":
			stdin++
		}
	}
	if stdin > 1 {
		return Ref{}, true, failure.New(ErrStdin, "operand "+failure.Quote(text), ErrStdin.Error(), "")
	}
	return r, true, nil
}

// Stdin tells whether the operand has standard input read.
func (r Ref) Stdin() bool {
	for _, file := range r.files {
		if file == "-" {
			return true
		}
	}
	return false
}
