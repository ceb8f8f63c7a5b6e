package terminal

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/printers"
)

// defaultWidth is the width of text that is written to something other than
// a terminal: a file, a pipe, a CI log.
const defaultWidth = 100

// Width returns how many columns text written to w should fill: those of the
// terminal w is, else $COLUMNS, else 100.
func Width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	if width, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && width > 0 {
		return width
	}
	return defaultWidth
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Color says when to colour: "auto", "always" or "never". It is a flag value.
type Color string

// Set implements pflag.Value.
func (c *Color) Set(s string) error {
	switch s {
	case "auto", "always", "never":
		*c = Color(s)
		return nil
	}
	return fmt.Errorf("want auto, always or never")
}

func (c *Color) String() string { return string(*c) }

// Type implements pflag.Value.
func (c *Color) Type() string { return "when" }

// On reports whether text written to w is to be coloured. "auto" is a terminal
// that is not dumb, and NO_COLOR not set (https://no-color.org).
func (c Color) On(w io.Writer) bool {
	switch c {
	case "always":
		return true
	case "never":
		return false
	}
	return IsTerminal(w) && printers.AllowsColorOutput(w)
}

// A Style is a look of text: the parameters of the SGR control sequence
// (ECMA-48, 8.3.117).
type Style string

// The styles in use.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Paint returns s in a style.
func (style Style) Paint(s string) string {
	if style == Plain {
		return s
	}
	return "\x1b[" + string(style) + "m" + s + "\x1b[0m"
}
