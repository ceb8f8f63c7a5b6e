package policy

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestWriteDOT follows the drawn edges for a call and must come to what the
// filters do.
func TestWriteDOT(t *testing.T) {
	filter := bpf.Filter{
		{Op: bpf.LdAbsW, K: 0},
		{Op: bpf.JeqK, K: 41, Jf: 3},
		{Op: bpf.LdAbsW, K: 16},
		{Op: bpf.JeqK, K: 40, Jf: 1},
		{Op: bpf.RetK, K: uint32(bpf.Errno.With(1))},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
	}
	p, err := Of(bpf.Stack{filter}, syscalls.AMD64.ByteOrder())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.WriteDOT(&out, syscalls.AMD64); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	edges := map[string][2]string{} // for 0, for 1
	root := ""
	node := regexp.MustCompile(`^\t(n\d+) \[.*label="([^"]*)"\];$`)
	edge := regexp.MustCompile(`^\t(n\d+) -> (n\d+)( \[style=dashed\])?;$`)
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if m := node.FindStringSubmatch(line); m != nil {
			labels[m[1]] = m[2]
			if root == "" {
				root = m[1]
			}
		} else if m := edge.FindStringSubmatch(line); m != nil {
			e := edges[m[1]]
			if m[3] != "" {
				e[0] = m[2]
			} else {
				e[1] = m[2]
			}
			edges[m[1]] = e
		} else if line != "digraph policy {" && line != "}" {
			t.Errorf("line %q", line)
		}
	}
	if len(labels) != p.Size() {
		t.Errorf("%d nodes drawn, of %d", len(labels), p.Size())
	}
	for _, call := range []bpf.Data{{NR: 41}, {NR: 40}, {NR: 41, Args: [6]uint64{40}}, {NR: 41, Args: [6]uint64{1<<32 | 40}}, {NR: 41, Args: [6]uint64{41}}} {
		at := root
		for edges[at] != ([2]string{}) {
			var word string
			var bit int
			if n := strings.LastIndex(labels[at], " bit "); n >= 0 {
				word = labels[at][:n]
				fmt.Sscanf(labels[at][n:], " bit %d", &bit)
			}
			v := map[string]uint32{"nr": call.NR, "args[0] low": uint32(call.Args[0])}[word]
			at = edges[at][v>>bit&1]
		}
		if want := p.Outcome(&call).Format(syscalls.AMD64); labels[at] != want {
			t.Errorf("%+v leads to %q, want %q", call, labels[at], want)
		}
	}
}
