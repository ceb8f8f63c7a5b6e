package plugin

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// saveRecordings writes files with recordings into a folder: a run of a container, two
// of a replica of it, both of these as YAML, and what is none.
func saveRecordings(t *testing.T) (folder string) {
	t.Helper()
	dir := t.TempDir()
	save := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, one, _ := plugin(recorded(), "record", "all", "-o", "json")
	save("one.json", one)
	id := one[strings.Index(one, `"id": "`)+7:][:32]
	edit := strings.NewReplacer(id, strings.Repeat("2", 32), `"pod": "all"`, `"pod": "all-2"`, `"count": 120`, `"count": 3`,
		`"syscall": "ioctl"`, `"syscall": "poll"`, `"nr": "0x10"`, `"nr": "0x7"`, `"start": false`, `"start": true`)
	second := edit.Replace(one)
	second = second[:strings.Index(second, `"values"`)] + second[strings.Index(second, `"runtime"`):]
	save("second.json", second)
	_, list, _ := plugin(recorded(), "record", "few", "none", "-o", "yaml")
	save("list.yaml", list)
	_, dump, _ := plugin(pods(), "dump", "key", "-o", "json")
	save("dump.json", dump)
	save("broken.json", one[:len(one)/2])
	save("hostile.json", strings.ReplaceAll(one, `"pod": "all"`, `"pod": "\u001b[31mred\u001b[0m"`))
	save("future.json", strings.ReplaceAll(one, "v1alpha1", "v3"))
	save("base.json", `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO"}]}`)
	return dir
}

func TestMerge(t *testing.T) {
	dir := saveRecordings(t)
	t.Chdir(dir)
	for _, test := range []struct {
		args string
		code int
	}{
		{"merge one.json second.json --by container", 0},
		{"merge one.json second.json --by container -o wide", 0},
		{"merge one.json second.json --by container -o json", 0},
		{"merge one.json second.json --by container -o profile --start=false", 0},
		{"merge one.json second.json --by container -o profile --start=false --base base.json", 0},
		{"merge one.json second.json --by container -o seccompprofile --start=false", 0},
		{"merge one.json second.json list.yaml -o name", 0},
		{"merge one.json one.json", 0},
		{"merge list.yaml", 0},
		{"merge list.yaml --by all", 0},
		{"merge hostile.json second.json --by all -o wide", 0},
		{"merge", 2},
		{"merge - -", 2},
		{"merge one.json --by phase", 2},
		{"merge none.json", 2},
		{"merge dump.json", 2},
		{"merge base.json", 2},
		{"merge broken.json", 2},
		{"merge future.json", 2},
		{"merge one.json --base base.json", 2},
	} {
		code, out, errOut := plugin(nil, strings.Fields(test.args)...)
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d: %s", test.args, code, test.code, errOut)
		}
		if strings.ContainsRune(out+errOut, '\x1b') {
			t.Errorf("%s: it colours the terminal", test.args)
		}
		name := strings.NewReplacer(" ", "_", "/", "-", "--", "").Replace(test.args)
		golden(t, name+".txt", out+errOut)
	}
}

// TestMergeOfMerged has what merge prints be read again, from standard input, and add
// nothing to what it is of.
func TestMergeOfMerged(t *testing.T) {
	t.Chdir(saveRecordings(t))
	_, merged, _ := plugin(nil, "merge", "one.json", "second.json", "--by", "all", "-o", "json")
	var out, errOut bytes.Buffer
	common := newCommon(genericiooptions.IOStreams{In: strings.NewReader(merged), Out: &out, ErrOut: &errOut})
	if code := run(common, []string{"kubectl-seccomp", "merge", "-", "second.json", "--by", "all", "-o", "json"}); code != 0 {
		t.Fatalf("exit code %d: %s", code, &errOut)
	}
	if out.String() != merged {
		t.Errorf("it is another:\n%s\n%s", merged, &out)
	}
	if want := "second.json: runs that were there already, and are counted once: 1 of 1"; !strings.Contains(errOut.String(), want) {
		t.Errorf("it says %q, want %q", &errOut, want)
	}
}
