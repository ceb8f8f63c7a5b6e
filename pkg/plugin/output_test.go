package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/kubectl/pkg/cmd/get"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

// TestFormats has each command in the formats that all have.
func TestFormats(t *testing.T) {
	for name, args := range map[string]string{
		"dump_names":          "dump deploy/web -o name",
		"dump_process_name":   "dump node/node-b:77 -o name",
		"dump_columns":        "dump deploy/web -o custom-columns=POD:.source.pod,FILTERS:.states[0].filterCount,MODE:.states[0].mode",
		"dump_columns_one":    "dump key -o custom-columns=POD:.source.pod",
		"dump_no_headers":     "dump threads --all-threads --no-headers",
		"diff_names":          "diff key key-kill -o name",
		"diff_wide":           "diff key vsock -o wide",
		"diff_no_headers":     "diff key vsock --no-headers",
		"diff_wide_numbers":   "diff key read-only -o wide",
		"diff_columns":        "diff key vsock -o custom-columns=IS:.relation,SYSCALLS:.differences[*].syscall,NONE:.nosuch",
		"explain_name":        "explain key add_key -o name",
		"explain_columns":     "explain key add_key -o custom-columns=DOES:.verdict.action.action,WITH:.verdict.action.errno --no-headers",
		"verify_names":        "verify ok crun privileged lost -o name",
		"verify_no_headers":   "verify ok crun privileged lost --no-headers",
		"verify_columns":      "verify ok crun privileged lost -o custom-columns=CONTAINER:.source.operand,HOLDS:.holds,WHY:.arrows[*].reasons[*].code",
		"list_names":          "list ok crun threads -o name",
		"list_wide_no_header": "list ok crun threads -o wide --no-headers",
		"list_columns":        "list ok crun threads -o custom-columns=OPERAND:.operand,MODE:.mode,ALLOWED:.allowed",
		"version_name":        "version -o name",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("COLUMNS", "")
			c := pods()
			if strings.HasPrefix(args, "verify") || strings.HasPrefix(args, "list") {
				c = verified(t)
			}
			code, stdout, stderr := plugin(c, strings.Fields(args)...)
			golden(t, "format_"+name+".txt", fmt.Sprintf("$ kubectl seccomp %s\n%s%sexit code %d\n", args, stdout, prefix("stderr: ", stderr), code))
		})
	}
}

// TestNames gives what -o name prints to the plugin again.
func TestNames(t *testing.T) {
	for _, args := range []string{"dump deploy/web", "verify key stack", "list key stack", "explain key read"} {
		_, stdout, stderr := plugin(pods(), append(strings.Fields(args), "-o", "name")...)
		for name := range strings.Lines(stdout) {
			o, err := target.Parse(strings.TrimSpace(name))
			if err != nil || o.Namespace != "default" || o.Type != "pod" || o.Container != "main" {
				t.Errorf("%s: %q: %+v, %v", args, name, o, err)
			}
		}
		if stdout == "" {
			t.Errorf("%s: no names: %s", args, stderr)
		}
	}
	_, stdout, _ := plugin(pods(), "diff", "key", "read-only", "-o", "name")
	syscalls, numbers := 0, 0
	for name := range strings.Lines(stdout) {
		if strings.HasPrefix(name, "0x") {
			numbers++
		} else {
			syscalls++
		}
		if strings.Contains(name, "..") {
			continue
		}
		if code, _, stderr := plugin(pods(), "explain", "key", strings.TrimSpace(name)); code != 0 {
			t.Errorf("explain key %s: %s", name, stderr)
		}
	}
	if syscalls != 472 || numbers == 0 { // as many as the verdict says
		t.Errorf("%d syscalls and %d numbers", syscalls, numbers)
	}
}

// TestHostileNames has no name end a line of a list, or reach a terminal as it is.
func TestHostileNames(t *testing.T) {
	list := &v1alpha1.DumpList{Items: make([]v1alpha1.Dump, 2)}
	list.Items[0].Source.Operand = "./a\n\x1b[2J\u202e\tb"
	list.Items[1].Source.Operand = "./c"
	columns, err := printer.ParseColumns("A:.source.operand,B:.kind")
	if err != nil {
		t.Fatal(err)
	}
	for want, p := range map[string]printers.ResourcePrinter{
		`./a\n\x1b[2J\u202e\tb` + "\n./c\n":                                               printer.Names{},
		`./a\n\x1b[2J\u202e\tb` + "   <none>\n./c" + strings.Repeat(" ", 21) + "<none>\n": columns.WithoutHeaders(),
	} {
		if got := printed(t, p, list); got != want {
			t.Errorf("%T: %q, want %q", p, got, want)
		}
	}
	checks := &v1alpha1.Diagnosis{Checks: []v1alpha1.Check{{Name: "a", Status: "ok"}, {Name: "b", Status: "failed"}}}
	byCheck, err := printer.ParseColumns("A:.name,B:.status")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := printed(t, byCheck, checks), "A     B\na     ok\nb     failed\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestCustomColumns holds our columns against those that kubectl get prints of the
// same objects.
func TestCustomColumns(t *testing.T) {
	file := t.TempDir() + "/columns"
	if err := os.WriteFile(file, []byte("POD\tPID  DENIES\n.source.pod {.source.pid} {.states[*].syscalls[0].groups[?(@.action.action==\"ERRNO\")].syscalls[*]}\nmore\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{
		"custom-columns=POD:.source.pod,PID:source.pid,ID:{.source.containerID},SUBJECT:{states[0].subject}",
		"custom-columns=A:.states[0].capabilities.effective,B:.states[0].syscalls[*].abi",
		"custom-columns=A:.no.such,B:.filters[0].program,C:.states[0]",
		"custom-columns-file=" + file,
	} {
		for _, pod := range []string{"deploy/web", "key", "stack"} {
			flags := get.NewCustomColumnsPrintFlags()
			theirs, err := flags.ToPrinter(format)
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := plugin(pods(), "dump", pod, "-o", "json")
			var want bytes.Buffer
			if err := theirs.PrintObj(object(t, text), &want); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := plugin(pods(), "dump", pod, "-o", format)
			if code != 0 || stdout != want.String() {
				t.Errorf("dump %s -o %s: %d, %s\n%s\nwant\n%s", pod, format, code, stderr, stdout, &want)
			}
			_, rest, _ := strings.Cut(want.String(), "\n")
			_, stdout, _ = plugin(pods(), "dump", pod, "-o", format, "--no-headers")
			if strings.Join(strings.Fields(stdout), " ") != strings.Join(strings.Fields(rest), " ") {
				t.Errorf("dump %s -o %s --no-headers: \n%s\nwant\n%s", pod, format, stdout, rest)
			}
		}
	}
}

// object is what kubectl would have of an answer in JSON.
func object(t *testing.T, text string) *unstructured.UnstructuredList {
	t.Helper()
	var o unstructured.Unstructured
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	if o.IsList() {
		list, err := o.ToList()
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	return &unstructured.UnstructuredList{Items: []unstructured.Unstructured{o}}
}
