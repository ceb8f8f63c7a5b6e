// Package terminal knows what may be written to a terminal and how: escaping
// of text from strangers, colour, width.
package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Escape returns s with every rune that is not printable written as a Go
// escape: control characters (ESC, CR and LF among them), bidirectional
// overrides and other format characters, spaces other than U+0020, and bytes
// that are not UTF-8. The result is safe to print on one line of a terminal.
// A backslash stays as it is, so Escape(Escape(s)) == Escape(s).
//
// Everything that a node, a container or an API server had a say in goes
// through here: names of threads (prctl(PR_SET_NAME) takes any bytes), paths,
// messages of errors.
func Escape(s string) string {
	if isPrintable(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}

func isPrintable(s string) bool {
	for _, r := range s {
		// RuneError is printable when it is in the text itself, and
		// cannot be told from a byte that is not UTF-8 here.
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}

// Line returns the text of an error as one line, escaped.
func Line(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return Escape(strings.Join(lines, "; "))
}
