package terminal

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"nginx", "nginx"},
		{"", ""},
		{"wörker-3 日本", "wörker-3 日本"},
		{`C:\kube\config`, `C:\kube\config`},
		{"\x1b[31mred", `\x1b[31mred`},
		{"a\nb\tc\rd", `a\nb\tc\rd`},
		{"\x00\x07\x7f", `\x00\a\x7f`},
		{"\u009b2J", `\u009b2J`},                     // CSI in one C1 character
		{"gpj\u202egnp", `gpj\u202egnp`},             // right-to-left override
		{"\u2066\u2069\u200e", `\u2066\u2069\u200e`}, // isolates, a mark
		{"a\u00a0b\u2028c", `a\u00a0b\u2028c`},
		{"\xff\xfe", `\xff\xfe`},
		{"cut\xe6\x97", `cut\xe6\x97`},
		{"\ufffd", "\ufffd"},
	} {
		if got := Escape(test.in); got != test.want {
			t.Errorf("Escape(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestLine(t *testing.T) {
	const in = "create pod:\n  * first\r\n  * second\x1b[2J\n"
	const want = `create pod:; * first; * second\x1b[2J`
	if got := Line(in); got != want {
		t.Errorf("Line(%q) = %q, want %q", in, got, want)
	}
}

func FuzzEscape(f *testing.F) {
	for _, seed := range []string{"nginx", "\x1b]0;title\x07", "\u202e\u2066", "\xff", "\u009b", "日本\xe6", `\x1b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Escape(s)
		if !utf8.ValidString(got) {
			t.Errorf("Escape(%q) = %q is not UTF-8", s, got)
		}
		for _, r := range got {
			if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
				t.Errorf("Escape(%q) = %q lets %U through", s, got, r)
			}
		}
		if again := Escape(got); again != got {
			t.Errorf("Escape(Escape(%q)) = %q, want %q", s, again, got)
		}
	})
}
