package plugin

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

const schemaFile = "../../docs/schema/v1alpha1.json"

// schemaOf compiles the published schema. Closed, it refuses fields that it does not
// have: the published one does not, so that it is right for later versions as well.
func schemaOf(t *testing.T, closed bool) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if closed {
		for _, def := range schema.(map[string]any)["$defs"].(map[string]any) {
			if def := def.(map[string]any); def["type"] == "object" {
				def["additionalProperties"] = false
			}
		}
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// validate holds a document in JSON or YAML against a schema, and returns its kind.
func validate(schema *jsonschema.Schema, document string) (kind string, err error) {
	text, err := yaml.YAMLToJSON([]byte(document))
	if err != nil {
		return "", err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	if object, ok := instance.(map[string]any); ok {
		kind, _ = object["kind"].(string)
	}
	return kind, schema.Validate(instance)
}

// TestSchemaOfAnswers holds every kind that is printed against the published schema.
func TestSchemaOfAnswers(t *testing.T) {
	schema := schemaOf(t, true)
	seen := make(map[string]bool)
	for _, args := range []string{
		"dump threads", "dump strict", "dump free", "dump read-only", "dump deploy/web", "dump node/node-b:77", "dump key --risky --abi amd64",
		"diff key vsock", "diff key key", "diff free read-only", "diff key arm", "diff free stack --view kernel", "diff key read-only --reduce --syscall clone",
		"explain key add_key", "explain vsock socket", "explain vsock socket AF_VSOCK", "explain free read", "explain vsock 999",
		"list key strict threads", "version",
		"verify ok crun privileged lost edited threads gone", "list ok crun threads not-applied",
		"denials many", "denials none", "denials few --follow",
	} {
		for _, format := range []string{"json", "yaml"} {
			c := pods()
			if strings.HasPrefix(args, "verify") || strings.HasPrefix(args, "list ok") {
				c = verified(t)
			}
			if strings.HasPrefix(args, "denials") {
				c = refusedCluster()
			}
			_, stdout, stderr := plugin(c, append(strings.Fields(args), "-o", format)...)
			kind, err := validate(schema, stdout)
			if err != nil {
				t.Errorf("%s -o %s: %v\n%s", args, format, err, stderr)
			}
			seen[kind] = true
		}
	}
	// What no fixture has.
	for _, object := range []runtime.Object{
		&v1alpha1.Cleanup{TypeMeta: v1alpha1.TypeMeta("Cleanup"), DryRun: true, Items: []v1alpha1.Leftover{
			{Namespace: "kube-system", Name: "a", Deleted: true}, {Namespace: "kube-system", Name: "b", Left: "its run may be under way"}, {Namespace: "x", Name: "c", Error: "no"},
		}},
		&v1alpha1.Diagnosis{TypeMeta: v1alpha1.TypeMeta("Diagnosis"), Checks: []v1alpha1.Check{
			{Name: v1alpha1.CheckAPIServer, Status: v1alpha1.CheckOK, Message: "v1.36"},
			{Name: v1alpha1.CheckProbe, Node: "n", Status: v1alpha1.CheckFailed, Message: "no", Remedy: "yes", Took: &metav1.Duration{Duration: time.Second}},
		}},
	} {
		kind, err := validate(schema, printed(t, &printers.JSONPrinter{}, object))
		if err != nil {
			t.Errorf("%T: %v", object, err)
		}
		seen[kind] = true
	}
	for _, kind := range []string{"Cleanup", "Diagnosis", "Denial", "DenialList", "Dump", "DumpList", "Diff", "Explanation", "ConfinementList", "Verification", "Version"} {
		if !seen[kind] {
			t.Errorf("no %s was held against the schema", kind)
		}
	}
}

// TestSchemaOfGoldens holds what is reviewed by hand against the schema.
func TestSchemaOfGoldens(t *testing.T) {
	schema := schemaOf(t, true)
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		command, rest, _ := strings.Cut(string(text), "\n")
		if !strings.Contains(command, "-o json") && !strings.Contains(command, "-o yaml") || strings.Contains(command, "-o jsonpath") {
			continue
		}
		var document strings.Builder
		for line := range strings.Lines(rest) {
			if !strings.HasPrefix(line, "stderr: ") && !strings.HasPrefix(line, "exit code ") {
				document.WriteString(line)
			}
		}
		seen++
		if _, err := validate(schema, document.String()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen < 6 {
		t.Errorf("only %d of the goldens are JSON or YAML", seen)
	}
}

// TestSchemaRefuses has the schema say no to what is not right, and the published one
// yes to a field of a later version.
func TestSchemaRefuses(t *testing.T) {
	_, stdout, _ := plugin(pods(), "diff", "key", "vsock", "-o", "json")
	open, closed := schemaOf(t, false), schemaOf(t, true)
	for _, change := range []struct {
		name         string
		change       func(map[string]any)
		open, closed bool
	}{
		{"nothing", func(map[string]any) {}, true, true},
		{"a later field", func(d map[string]any) { d["later"] = "x" }, true, false},
		{"another version", func(d map[string]any) { d["apiVersion"] = "seccomp.kubectl.dev/v2" }, false, false},
		{"another kind", func(d map[string]any) { d["kind"] = "Dump" }, false, false},
		{"no such relation", func(d map[string]any) { d["relation"] = "identical" }, false, false},
		{"a missing field", func(d map[string]any) { delete(d, "differences") }, false, false},
		{"no list", func(d map[string]any) { d["differences"] = nil }, false, false},
	} {
		var d map[string]any
		if err := json.Unmarshal([]byte(stdout), &d); err != nil {
			t.Fatal(err)
		}
		change.change(d)
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := validate(open, string(text)); (err == nil) != change.open {
			t.Errorf("%s: the published schema says %v", change.name, err)
		}
		if _, err := validate(closed, string(text)); (err == nil) != change.closed {
			t.Errorf("%s: the closed schema says %v", change.name, err)
		}
	}
}

// TestSavedRecording reads a recording as the first release of v1alpha1 saved it, which
// is never changed either, and merges it with itself.
func TestSavedRecording(t *testing.T) {
	const path = "testdata/saved-v1alpha1/recording.json"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := validate(schemaOf(t, false), string(text)); err != nil {
		t.Error(err)
	}
	code, stdout, stderr := plugin(nil, "merge", path, path, "-o", "json")
	if code != 0 || stdout != string(text) || !strings.Contains(stderr, "counted once: 1 of 1") {
		t.Errorf("exit code %d, %s and %s", code, stdout, stderr)
	}
}

// TestSavedDump reads dumps as the first release of v1alpha1 saved them. The files are
// never changed: what cannot read them breaks what is promised of saved dumps
// (docs/compatibility.md).
func TestSavedDump(t *testing.T) {
	schema := schemaOf(t, false)
	for _, name := range []string{"dump.json", "dump.yaml", "dumplist.json"} {
		path := "./testdata/saved-v1alpha1/" + name
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := validate(schema, string(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for args, want := range map[string]struct {
			code int
			says string
		}{
			"diff " + path + " bpf:" + "testdata/saved-v1alpha1/filter.bpf -o jsonpath={.relation}": {0, "Identical"},
			"explain " + path + " add_key -o jsonpath={.verdict.action.errno}":                      {0, "EPERM"},
			"dump " + path + " -o jsonpath={.source.kernel}":                                        {0, "6.12.0"},
		} {
			if name == "dumplist.json" && strings.HasPrefix(args, "dump") {
				args, want.says = strings.Replace(args, "{.source", "{.items[*].source", 1), "6.12.0 6.12.0"
			}
			code, stdout, stderr := offline("", strings.Fields(args)...)
			if code != want.code || stdout != want.says {
				t.Errorf("%s: exit code %d, %q and %q, want %q", args, code, stdout, stderr, want.says)
			}
		}
	}
}
