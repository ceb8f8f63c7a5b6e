package recording

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

const good = `{"kind": "Recording", "apiVersion": "seccomp.kubectl.dev/v1alpha1", "id": "00000000000000000000000000000001",
	"source": {"arch": "amd64", "abis": ["amd64", "386"], "container": "main"}, "filterCount": 1, "mode": "filter",
	"began": "2026-11-24T18:00:00Z", "ended": "2026-11-24T18:01:00Z", "coverage": {"start": false},
	"calls": [{"abi": "amd64", "nr": "0x29", "syscall": "socket", "count": 3}, {"abi": "amd64", "count": 1}],
	"refused": [{"abi": "386", "nr": "0x14", "count": 3, "errno": "EPERM"}],
	"values": [{"abi": "amd64", "nr": "0x29", "count": 3, "parameter": "family", "value": "0x2", "text": "nonsense"}]}`

func TestRead(t *testing.T) {
	runs, err := parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	r := runs[0]
	if r.Refused[0].Syscall != "getpid" || r.Values[0].Syscall != "socket" || r.Values[0].Text != "AF_INET" {
		t.Errorf("numbers have other names: %+v", r)
	}
	for _, test := range []struct{ was, is, says string }{
		{`"kind": "Recording"`, `"kind": "Dump"`, `kind "Dump"`},
		{`"kind": "Recording", `, ``, "no kind"},
		{`"kind": "Recording"`, `"kind": "\u001b[31m"`, `"\x1b[31m"`},
		{`dev/v1alpha1`, `dev/v9`, "unknown API version"},
		{`"kind": "Recording"`, `"kind": "RecordingList"`, "holds no recording"},
		{good, good[:200], "line 2"},
		{good, "", "no kind"},
		{good, "]", "yaml"},
		{`"count": 3`, `"count": "many"`, "line 4"},
		{`"id": "0`, `"id": "x`, "id "},
		{`"arch": "amd64"`, `"arch": "vax"`, "vax"},
		{`"abis": ["amd64", "386"]`, `"abis": ["arm"]`, "source.abis[0]"},
		{`"ended": "2026`, `"ended": "2025`, "began, ended"},
		{`"began": "2026-11-24T18:00:00Z", `, ``, "began, ended"},
		{`"mode": "filter"`, `"mode": "half"`, "half"},
		{`"abi": "amd64", "nr": "0x29", "syscall"`, `"abi": "s390x", "nr": "0x29", "syscall"`, "calls[0].abi"},
		{`"syscall": "socket"`, `"syscall": "read"`, "calls[0].syscall"},
		{`"syscall": "socket"`, `"syscall": "\u001b]0;x"`, `\\x1b`},
		{`"nr": "0x29", "syscall"`, `"nr": "0x129000000", "syscall"`, "calls[0].nr"},
		{`"count": 1}]`, `"count": 0}]`, "calls[1].count"},
		{`"count": 1}]`, `"count": -1}]`, "calls[1].count"},
		{`"count": 1}]`, `"count": 1}, {"abi": "amd64", "nr": "41", "count": 1}]`, "calls[2]: it is there before"},
		{`"EPERM"`, `"EVERYTHING"`, "refused[0].errno"},
		{`"EPERM"`, `"4096"`, "refused[0].errno"},
		{`"parameter": "family"`, `"parameter": "x"`, "values[0].parameter"},
		{`"value": "0x2"`, `"value": "0x100000000"`, "values[0].value"},
		{`{"start": false}`, `{"lost": {"runs": -1}}`, "coverage.lost"},
		{`{"start": false}`, `{"unclear": -1}`, "coverage.unclear"},
	} {
		text := strings.Replace(good, test.was, test.is, 1)
		if text == good {
			t.Fatalf("%q is not there", test.was)
		}
		_, err := parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s in place of %s: error %v, want one that says %q", test.is, test.was, err, test.says)
		}
		if err != nil && terminal.Line(err.Error()) != err.Error() && !strings.Contains(err.Error(), "yaml") && !strings.Contains(err.Error(), "unmarshal") {
			t.Errorf("%s: not fit for a terminal: %q", test.is, err)
		}
	}
}

// FuzzRead has whatever is in a file be refused, or be read as it is printed again.
func FuzzRead(f *testing.F) {
	f.Add([]byte(good))
	f.Add(fmt.Appendf(nil, `{"kind": "RecordingList", "apiVersion": "seccomp.kubectl.dev/v1alpha1", "items": [%s]}`, good))
	f.Fuzz(func(t *testing.T, data []byte) {
		runs, err := parse(data)
		if err != nil {
			return
		}
		var set Set
		for _, r := range runs {
			set.Add(r)
		}
		list := v1alpha1.RecordingList{TypeMeta: v1alpha1.TypeMeta("RecordingList"), Items: set.Merge(byWorkload)}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		var second Set
		for _, r := range again {
			second.Add(r)
		}
		list.Items = second.Merge(byWorkload)
		if twice, _ := json.Marshal(list); string(twice) != string(text) {
			t.Errorf("printed and read, it is another:\n%s\n%s", text, twice)
		}
	})
}
