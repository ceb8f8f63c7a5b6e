package main

import (
	"encoding/xml"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	spans, width, look, err := split("é \x1b[31mred  and\x1b[0m  <x>\x1b[1mbold", "")
	want := []span{
		{"é ", "", 0}, {"red", looks["31"], 2}, {"  ", looks["31"], 5}, {"and", looks["31"], 7},
		{"  ", "", 10}, {"<x>", "", 12}, {"bold", looks["1"], 15},
	}
	if err != nil || !reflect.DeepEqual(spans, want) || width != 19 || look != looks["1"] {
		t.Errorf("got %+v, %d, %q, %v", spans, width, look, err)
	}
	for _, line := range []string{"\x1b[5mblink", "a\rb", "\x1b]0;title\x07"} {
		if _, _, _, err := split(line, ""); err == nil {
			t.Errorf("%q is drawn", line)
		}
	}
}

// TestDraw reads the picture back: it is XML, with all the text and nothing else.
func TestDraw(t *testing.T) {
	picture, err := draw("$ diff a b\n\x1b[31mlooser\x1b[0m  A & <B>\n", 40)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for d := xml.NewDecoder(strings.NewReader(string(picture))); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(xml.CharData); ok && strings.TrimSpace(string(s)) != "" {
			text = append(text, string(s))
		}
	}
	if want := []string{"$ diff a b", "looser", "A & <B>"}; !reflect.DeepEqual(text, want) {
		t.Errorf("drawn is %q, want %q", text, want)
	}
}
