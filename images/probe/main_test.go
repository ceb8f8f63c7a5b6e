package main

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

func TestBadUsage(t *testing.T) {
	for _, args := range []string{
		"", "colect", "collect", "collect --run a", "collect --target containerd://x", "collect --run A --target x",
		"collect --run a --target x y", "collect --run a --target x --timeout 0s", "collect --run a --target x --timeout x",
		"collect --run a --target x --max-threads-per-target 0", "collect --run a --target x --frobnicate",
		"collect --run a --target x --record -1s", "collect --run a --target x --record x", "collect --run a --all --record 1s",
		"collect --run a --target x --denials -1s", "collect --run a --all --denials 1s", "collect --run a --target x --denials 1s --record 1s",
		"collect --run a --target x --localhost x", "collect --run a --target x --localhost =p", "collect --run a --target x --localhost x=",
		"collect --run a --target x --localhost y=p", "collect --run a --all --localhost y=p", "collect --run a --target x --localhost x=p --localhost x=q",
		"reference", "reference x", "reference -1", "reference 00", "reference 65536", "reference 0 1", "reference 0 --for 0s", "reference 0 --for x",
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

// TestReference waits, until it is told to end or its time is over.
func TestReference(t *testing.T) {
	var out bytes.Buffer
	if err := run(strings.Fields("reference 0 --for 1ms"), &out); err != nil || out.Len() > 0 {
		t.Errorf("its time is over: %q, %v", out.String(), err)
	}
	// From here on the signal is no longer what ends this process.
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	defer signal.Stop(told)
	ended := make(chan error)
	go func() { ended <- run(strings.Fields("reference 3 --for 1m"), &out) }()
	for {
		// There is no event for its having come to wait.
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-told
		select {
		case err := <-ended:
			if err != nil || out.Len() > 0 {
				t.Errorf("told to end: %q, %v", out.String(), err)
			}
			return
		default:
		}
	}
}
