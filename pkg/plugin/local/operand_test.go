package local

import (
	"errors"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Operand{
		"pid:1":              {PID: 1},
		"pid:4194304":        {PID: 4194304},
		"docker:web":         {Docker: "web"},
		"docker:Web_1.a-b":   {Docker: "Web_1.a-b"},
		"docker:4bf5122f344": {Docker: "4bf5122f344"},
	} {
		want.Text = text
		if got, ok, err := Parse(text); got != want || !ok || err != nil {
			t.Errorf("Parse(%q) = %+v, %v, %v", text, got, ok, err)
		}
	}
	for _, text := range []string{"pid", "docker", "web:pid", "pod/pid:1", "pod/docker:web", "PID:1", "./docker:web", "", "containerd:web"} {
		if got, ok, err := Parse(text); ok || err != nil {
			t.Errorf("Parse(%q) = %+v, %v, %v: want none of this machine", text, got, ok, err)
		}
	}
	for _, text := range []string{
		"pid:", "pid:0", "pid:-1", "pid:+1", "pid:01", "pid: 1", "pid:1 ", "pid:0x1", "pid:99999999999999999999", "pid:self",
		"docker:", "docker:/web", "docker:../../info", "docker:web/json?a", "docker:-web", "docker:web web", "docker:w\x1b[2J", "docker:" + strings.Repeat("a", 256),
	} {
		got, ok, err := Parse(text)
		if !ok || !errors.Is(err, ErrOperand) || got != (Operand{}) {
			t.Errorf("Parse(%q) = %+v, %v, %v: want an error", text, got, ok, err)
			continue
		}
		if strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 600 {
			t.Errorf("Parse(%q): %q is not one line", text, err)
		}
	}
}
