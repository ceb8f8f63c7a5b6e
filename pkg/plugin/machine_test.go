package plugin

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// dockerProfile allows add_key with a capability, bpf without another, and keyctl from
// a kernel on, as Docker reads it.
const dockerProfile = `{
  "defaultAction": "SCMP_ACT_ERRNO",
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
  "syscalls": [
    {"names": ["add_key"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN"]}},
    {"names": ["keyctl"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.13"}}
  ]
}
`

// TestMachineFlags has a profile loaded with capabilities and on kernels that flags
// say, alone and beside a pod, which has the default ones and Linux 6.12.
func TestMachineFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("p.json", []byte(dockerProfile), 0o644); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string][]string{
		"":                                    {"keyctl"},
		"--cap-add=SYS_ADMIN":                 {"add_key", "keyctl"},
		"--cap-add=CAP_NET_RAW,cap_sys_admin": {"add_key", "keyctl"},
		"--cap-add=ALL":                       {"add_key", "keyctl"},
		"--cap-drop=CHOWN":                    {"bpf", "keyctl"},
		"--cap-drop=ALL --cap-add=SYS_ADMIN":  {"add_key", "bpf", "keyctl"},
		"--cap-drop=ALL --cap-add=CHOWN":      {"keyctl"},
		"--kernel=6.12.9-generic":             nil,
		"--kernel=6.13":                       {"keyctl"},
		"--kernel=6.2 --cap-drop=all":         {"bpf"},
	} {
		allowed := func(command ...string) (list []string) {
			code, stdout, stderr := plugin(pods(), slices.Concat(command, strings.Fields(args), []string{"--runtime=docker", "-o=json"})...)
			if code > 1 {
				t.Fatalf("%v %s: %s", command, args, stderr)
			}
			var d v1alpha1.Dump
			var diff v1alpha1.Diff
			if err := json.Unmarshal([]byte(stdout), &d); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(stdout), &diff); err != nil {
				t.Fatal(err)
			}
			for _, d := range diff.Differences {
				if d.ABI == "amd64" && d.Syscall != "" {
					list = append(list, d.Syscall)
				}
			}
			for _, s := range d.States {
				for _, summary := range s.Syscalls {
					for _, g := range summary.Groups {
						if summary.ABI == "amd64" && g.Action.Action == "ALLOW" {
							list = append(list, g.Syscalls...)
						}
					}
				}
			}
			slices.Sort(list)
			return list
		}
		if got := allowed("dump", "./p.json", "--arch=amd64"); !slices.Equal(got, want) {
			t.Errorf("%s: %q allowed, want %q", args, got, want)
		}
		beside := want
		if !strings.Contains(args, "--kernel") { // the pod's is older than 6.13
			beside = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "keyctl" })
		}
		// What is executed without any filter but the profile's.
		var got []string
		denied := allowed("diff", "free", "./p.json", "--syscall=add_key,bpf,keyctl")
		for _, name := range []string{"add_key", "bpf", "keyctl"} {
			if !slices.Contains(denied, name) {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, beside) {
			t.Errorf("%s beside a pod: %q allowed, want %q", args, got, beside)
		}
	}
}

// TestFindingsOnKernel has what stands out be about the kernel, where that is known.
func TestFindingsOnKernel(t *testing.T) {
	files(t)
	if err := os.WriteFile("d.json", []byte(dockerProfile), 0o644); err != nil {
		t.Fatal(err)
	}
	finding := func(args ...string) string {
		code, stdout, stderr := plugin(pods(), append(args, "-o=json")...)
		if code != 0 {
			t.Fatalf("%v: %s", args, stderr)
		}
		var d v1alpha1.Dump
		if err := json.Unmarshal([]byte(stdout), &d); err != nil {
			t.Fatal(err)
		}
		for _, f := range d.States[0].Findings {
			if f.Check == "exempt" && f.Syscall == "uretprobe" {
				return f.Detail
			}
		}
		return ""
	}
	_, saved, _ := plugin(pods(), "dump", "read-only", "-o", "json")
	if err := os.WriteFile("saved.json", []byte(saved), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"dump", "./d.json", "--arch=amd64", "--runtime=docker"}, "Linux from 6.14 on does not ask them"},
		{[]string{"dump", "./d.json", "--arch=amd64", "--runtime=docker", "--kernel=6.18"}, "this kernel, Linux 6.18, does not ask them"},
		{[]string{"dump", "read-only"}, "this kernel, Linux 6.12, may have"},
		{[]string{"dump", "read-only"}, "this kernel, Linux 6.12, may have"}, // a container has its own
		{[]string{"dump", "./saved.json", "--kernel=6.18"}, "this kernel, Linux 6.12, may have"},
	} {
		if got := finding(c.args...); !strings.Contains(got, c.want) {
			t.Errorf("%v: %q, want %q", c.args, got, c.want)
		}
	}
}

// TestExplainFindings has a call explained that the kernel executes although it is
// denied, and one that has another door.
func TestExplainFindings(t *testing.T) {
	files(t)
	if err := os.WriteFile("d.json", []byte(dockerProfile), 0o644); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"./d.json uprobe --arch=amd64 --runtime=docker --kernel=6.18": "exempt: denied by filters, but this kernel, Linux 6.18, does not ask them",
		"./d.json uprobe --arch=amd64 --runtime=docker --kernel=6.17": "",
		"vsock socket --abi=amd64":                                    "multiplexer: restricted, but every such call by socketcall of ABI 386 is executed",
		"vsock socket --abi=x32":                                      "",
		"vsock 5000":                                                  "",
	} {
		code, stdout, stderr := plugin(pods(), slices.Concat([]string{"explain"}, strings.Fields(args), []string{"-o=json"})...)
		var e v1alpha1.Explanation
		if err := json.Unmarshal([]byte(stdout), &e); code != 0 || err != nil {
			t.Fatalf("%s: %v, %s", args, err, stderr)
		}
		var got []string
		for _, f := range e.Findings {
			got = append(got, f.Check+": "+f.Detail)
		}
		if want == "" && len(got) > 0 || want != "" && !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}

func TestMachineFlagErrors(t *testing.T) {
	files(t)
	for args, want := range map[string]string{
		"dump ./p.json --cap-add=SYS_ADMN": `error: --cap-add: capability "SYS_ADMN": there is none of that name: want one such as SYS_ADMIN, or ALL`,
		"dump ./p.json --cap-drop=":        "", // none
		"dump ./p.json --cap-drop=CAP_":    `error: --cap-drop: capability "CAP_": there is none`,
		"dump ./p.json --kernel=six":       `error: --kernel: kernel release "six": want two numbers as in 6.12`,
		"dump ./p.json --kernel=6":         `error: --kernel: kernel release "6": want two numbers as in 6.12`,
	} {
		code, stdout, stderr := offline("", append(strings.Fields(args), "--arch=amd64")...)
		if want == "" {
			if code != 0 {
				t.Errorf("%s: exit code %d, %q", args, code, stderr)
			}
			continue
		}
		if code != 2 || stdout != "" || !strings.HasPrefix(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q and %q, want %q", args, code, stdout, stderr, want)
		}
	}
}
