package target

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Operand{
		"web":                         {Name: "web"},
		"web.example":                 {Name: "web.example"},
		"web:nginx":                   {Name: "web", Container: "nginx"},
		"deploy/web":                  {Type: "deploy", Name: "web"},
		"Deployment.apps/web:nginx":   {Type: "Deployment.apps", Name: "web", Container: "nginx"},
		"shop/sts/db":                 {Namespace: "shop", Type: "sts", Name: "db"},
		"shop/statefulset/db:init-db": {Namespace: "shop", Type: "statefulset", Name: "db", Container: "init-db"},
	} {
		want.Text = text
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ":", "web:", ":nginx", "web:a:b", "/web", "deploy/", "deploy//web", "a/b/c/d", "//web",
		"Web", "web ", "web\n", "we\x1b[31mb", "web:Nginx", "web:a.b", "n.s/pod/web", "-web", "../web",
		strings.Repeat("w", 300),
	} {
		o, err := Parse(text)
		if !errors.Is(err, ErrOperand) {
			t.Errorf("Parse(%q) = %+v, %v, want %v", text, o, err, ErrOperand)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"web", "shop/deploy/web:nginx", "a/b/c/d", "\x1b]0;x\a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := Parse(text)
		if err != nil {
			if i := strings.IndexFunc(err.Error(), unicode.IsControl); i >= 0 {
				t.Errorf("the error for %q has control characters: %q", text, err)
			}
			return
		}
		// What was taken apart is all of it.
		again := o.Name
		if o.Type != "" {
			again = o.Type + "/" + again
		}
		if o.Namespace != "" {
			again = o.Namespace + "/" + again
		}
		if o.Container != "" {
			again += ":" + o.Container
		}
		if again != text {
			t.Errorf("Parse(%q) = %+v, which is %q", text, o, again)
		}
	})
}
