package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

func TestBadUsage(t *testing.T) {
	for _, args := range []string{
		"", "colect", "collect", "collect --run a", "collect --target containerd://x", "collect --run A --target x",
		"collect --run a --target x y", "collect --run a --target x --timeout 0s", "collect --run a --target x --timeout x",
		"collect --run a --target x --max-threads-per-target 0", "collect --run a --target x --frobnicate",
	} {
		var out bytes.Buffer
		if err := run(strings.Fields(args), &out); err == nil {
			t.Errorf("%q: no error", args)
		}
		if out.Len() > 0 {
			t.Errorf("%q: it wrote %q", args, out.String())
		}
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"version"}, &out); err != nil || out.String() != version+"\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// TestCollect runs a collection of what is not there: problems are data.
func TestCollect(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"collect", "--run", "a", "--target", "containerd://" + strings.Repeat("0", 64)}, &out); err != nil {
		t.Fatal(err)
	}
	var types []string
	r := wire.NewReader(&out, "a")
	for {
		m, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, m.Type())
	}
	if types[0] != "hello" || types[len(types)-1] != "problem" {
		t.Errorf("messages %v", types)
	}
}
