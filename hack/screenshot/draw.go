package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A character cell, in pixels, and the space around them all.
const (
	cellWidth  = 8.4
	cellHeight = 19
	fontSize   = 14
	margin     = 16
)

// looks are the attributes of text by the parameters of the SGR control sequence
// (ECMA-48, 8.3.117); those that the plugin uses.
var looks = map[string]string{
	"0":  "",
	"1":  ` font-weight="bold" fill="#ffffff"`,
	"31": ` fill="#ff7b72"`,
	"32": ` fill="#7ee787"`,
	"33": ` fill="#e3b341"`,
}

// span is text of one look within a line.
type span struct {
	text, look string
	column     int
}

// draw makes a picture of a terminal with text in it. Lines are as wide as they are,
// but at least columns.
func draw(text string, columns int) ([]byte, error) {
	var lines [][]span
	look := ""
	for line := range strings.Lines(text) {
		spans, width, after, err := split(strings.TrimRight(line, "\n"), look)
		if err != nil {
			return nil, err
		}
		lines, look, columns = append(lines, spans), after, max(columns, width)
	}

	var out bytes.Buffer
	width, height := float64(columns)*cellWidth+2*margin, len(lines)*cellHeight+2*margin
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d">`+"\n", width, height, width, height)
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>`+"\n")
	fmt.Fprintf(&out, `<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="%d" fill="#c9d1d9" xml:space="preserve">`+"\n", fontSize)
	for row, spans := range lines {
		for _, s := range spans {
			if strings.TrimSpace(s.text) == "" {
				continue
			}
			// With textLength, columns stand below each other in any font.
			fmt.Fprintf(&out, `<text x="%.1f" y="%d" textLength="%.1f"%s>`, margin+float64(s.column)*cellWidth,
				margin+(row+1)*cellHeight-5, float64(utf8.RuneCountInString(s.text))*cellWidth, s.look)
			if err := xml.EscapeText(&out, []byte(s.text)); err != nil {
				return nil, err
			}
			out.WriteString("</text>\n")
		}
	}
	out.WriteString("</g>\n</svg>\n")
	return out.Bytes(), nil
}

// split returns the spans of a line, its width, and the look at its end. Runs of
// spaces separate spans, so that what is drawn as one is text without them.
func split(line, look string) (spans []span, width int, after string, err error) {
	for line != "" {
		if parameters, rest, ok := strings.Cut(strings.TrimPrefix(line, "\x1b["), "m"); ok && strings.HasPrefix(line, "\x1b[") {
			if look, ok = looks[parameters]; !ok {
				return nil, 0, "", fmt.Errorf("unknown look %q: add it to looks", parameters)
			}
			line = rest
			continue
		}
		text := line
		if i := strings.Index(line, "\x1b["); i >= 0 {
			text = line[:i]
		}
		if i := strings.Index(text, "  "); i > 0 {
			text = text[:i]
		} else if i == 0 {
			text = text[:len(text)-len(strings.TrimLeft(text, " "))]
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
			return nil, 0, "", fmt.Errorf("control character in %q", text)
		}
		spans = append(spans, span{text, look, width})
		width += utf8.RuneCountInString(text)
		line = line[len(text):]
	}
	return spans, width, look, nil
}
