package shell

import (
	"os/exec"
	"testing"
)

// TestQuote has a shell read the words.
func TestQuote(t *testing.T) {
	for _, word := range []string{"", "a", "/home/jane/my config", "it's", "$HOME", "`id`", `a"b\c`, "a;b|c&d", "*", "~", "#x", "a\nb", "é", "user@prod:6443/x=1,2"} {
		out, err := exec.Command("sh", "-c", "printf %s "+Quote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q is %q to a shell (%v)", word, out, err)
		}
	}
	if got := Quote("prod-eu_1.example:6443"); got != "prod-eu_1.example:6443" {
		t.Errorf("a plain word became %q", got)
	}
}
