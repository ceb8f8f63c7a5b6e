package plugin

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

func TestSelectionGolden(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
	}{
		{"dump stack --syscall socket,read --abi amd64", 0},
		{"dump read-only --risky --abi amd64", 0},
		{"dump stack --reduce", 0},
		{"diff key key-kill --reduce", 0},
		{"diff key read-only --reduce --syscall clone --syscall add_key", 1},
		{"diff free stack --syscall bpf", 1},
		{"diff free stack --risky", 1},
		{"diff free stack --view kernel -o yaml", 1},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Setenv("COLUMNS", "")
			code, stdout, stderr := plugin(pods(), strings.Fields(test.args)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, stderr)
			}
			name := strings.NewReplacer(" ", "_", "--", "", ",", "-").Replace(test.args) + ".txt"
			golden(t, name, fmt.Sprintf("$ kubectl seccomp %s\n%s%s", test.args, stdout, prefix("stderr: ", stderr)))
		})
	}
}

// TestKernelView has a filter that denies socket(AF_VSOCK) with zeros above the
// int only: of what the kernel sees nothing is denied.
func TestKernelView(t *testing.T) {
	for args, want := range map[string]int{
		"diff free wide":                1,
		"diff free wide --view=written": 1,
		"diff free wide --view=kernel":  0,
		"diff vsock wide":               1,
		"diff vsock wide --view=kernel": 1,
	} {
		code, stdout, stderr := plugin(podsAndWide(), strings.Fields(args)...)
		if code != want || stderr != "" {
			t.Errorf("%s: exit code %d, want %d\n%s%s", args, code, want, stdout, stderr)
		}
	}
	// Each side's own call shows what it does.
	_, stdout, _ := plugin(podsAndWide(), "diff", "vsock", "wide", "--view=kernel", "-o", "json")
	var d v1alpha1.Diff
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || len(d.Differences) != 1 {
		t.Fatalf("%v: %s", err, stdout)
	}
	w := d.Differences[0].Witness
	for _, side := range []struct {
		filter bpf.Filter
		args   []string
		want   bpf.Return
	}{{vsock, w.Args, bpf.Errno.With(97)}, {wide, w.ArgsB, bpf.Allow.With(0)}} {
		call := bpf.Data{NR: 41, Arch: syscalls.AMD64.AuditArch()}
		if _, err := fmt.Sscanf(side.args[0], "0x%x", &call.Args[0]); err != nil {
			t.Fatal(err)
		}
		if got := (bpf.Stack{side.filter}).Run(&call, binary.LittleEndian).Ret; got != side.want || uint32(call.Args[0]) != 40 {
			t.Errorf("with %v: %v, want %v", side.args, got, side.want)
		}
	}
}

// TestSelectionHides counts what is left out: with what is shown it is all.
func TestSelectionHides(t *testing.T) {
	diff := func(args ...string) (d v1alpha1.Diff) {
		_, stdout, _ := plugin(pods(), append([]string{"diff", "key", "read-only", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	whole := diff()
	if whole.Selection != nil {
		t.Errorf("nothing was selected: %+v", whole.Selection)
	}
	for _, args := range [][]string{{"--abi=x32"}, {"--syscall=clone"}, {"--risky"}, {"--reduce"}, {"--abi=amd64,386", "--risky"}} {
		d := diff(args...)
		if d.Selection == nil || d.Selection.Hidden == 0 || len(d.Differences)+d.Selection.Hidden != len(whole.Differences) || d.Relation != whole.Relation {
			t.Errorf("%v: %d differences and %+v, of %d; %s, want %s", args, len(d.Differences), d.Selection, len(whole.Differences), d.Relation, whole.Relation)
		}
	}
}

// TestAll has --all list what -o wide does.
func TestAll(t *testing.T) {
	_, all, _ := plugin(pods(), "dump", "key", "--all")
	_, wide, _ := plugin(pods(), "dump", "key", "-o", "wide")
	if all != wide || !strings.Contains(all, "epoll_wait") {
		t.Errorf("--all: %s\n-o wide: %s", all, wide)
	}
}

func TestSelectionErrors(t *testing.T) {
	for args, want := range map[string]string{
		"dump key --abi pdp11":         `error: --abi: `,
		"dump key --syscall sokcet":    `error: --syscall "sokcet": there is none of that name`,
		"diff key key --view sideways": `error: --view "sideways": want written or kernel`,
		"diff key key --syscall=read,": `error: --syscall "": there is none`,
		"diff key key --reduce=maybe":  `invalid argument "maybe"`,
	} {
		code, stdout, stderr := plugin(pods(), strings.Fields(args)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q and %q, want %q", args, code, stdout, stderr, want)
		}
	}
}
