package plugin

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestNarrow has every text for people on a terminal of 40 columns: whole, and broken
// only where a line may be.
func TestNarrow(t *testing.T) {
	const width = 40
	for _, args := range []string{
		"dump threads --all-threads", "dump key", "dump read-only -o wide", "dump strict", "dump deploy/web", "dump node/node-b:77",
		"diff key vsock", "diff key read-only -o wide", "diff key arm", "diff key vsock --risky", "diff free free", "diff key vsock --no-headers",
		"explain vsock socket", "explain stack socket family=AF_VSOCK", "explain free read",
		"list key strict threads", "list key threads -o wide", "version",
		"verify ok crun privileged lost edited threads gone", "verify edited -o wide", "verify ok",
	} {
		t.Run(args, func(t *testing.T) {
			texts := make(map[string]string)
			for _, columns := range []string{"40", "400", "1"} {
				t.Setenv("COLUMNS", columns)
				c := pods()
				if strings.HasPrefix(args, "verify") {
					c = verified(t)
				}
				_, texts[columns], _ = plugin(c, strings.Fields(args)...)
			}
			for line := range strings.Lines(texts["40"]) {
				line = strings.TrimRight(line, "\n")
				if utf8.RuneCountInString(line) > width && breakable(line) {
					t.Errorf("%d columns: %q", utf8.RuneCountInString(line), line)
				}
			}
			// Headings are there for each record, and not at all where no row has
			// anything: what is in the rows is the same.
			wide, tight, tightest := wordCount(texts["400"]), wordCount(texts["40"]), wordCount(texts["1"])
			for word, n := range wide {
				if tight[word] < n || tightest[word] < n {
					t.Errorf("%q is there %d times, %d on 40 columns and %d on 1:\n%s", word, n, tight[word], tightest[word], texts["40"])
				}
			}
		})
	}
}

// wordCount counts the words of a text, but for headings, and what is disassembled.
func wordCount(text string) map[string]int {
	count := make(map[string]int)
	for word := range strings.FieldsSeq(text) {
		if strings.ToUpper(word) != word || strings.ContainsAny(word, "0123456789(") {
			count[word]++
		}
	}
	return count
}

// breakable tells whether a line has a place to break it at behind its label and
// indent. Lines of filters are of a kind.
func breakable(line string) bool {
	if strings.HasPrefix(line, "> ") || strings.HasPrefix(line, "   ") && strings.Contains(line, "; ") {
		return false
	}
	_, value, ok := strings.Cut(strings.TrimLeft(line, " "), "   ")
	if !ok {
		value = strings.TrimLeft(line, " ")
	}
	return strings.Contains(strings.TrimSpace(value), " ")
}
