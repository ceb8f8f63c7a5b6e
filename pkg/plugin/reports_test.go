package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
)

// reports are the answers that are printed for reviewers.
func reports(t *testing.T) map[string]runtime.Object {
	list := map[string]runtime.Object{"hostile_diff": hostileDiff(), "hostile_verify": hostileVerification()}
	for name, args := range map[string]string{
		"diff":            "diff key vsock",
		"diff_identical":  "diff key key-dead",
		"diff_many":       "diff key read-only --risky",
		"diff_hidden":     "diff key vsock --syscall socket",
		"diff_by_name":    "diff key arm --syscall read,clone",
		"verify":          "verify ok crun privileged lost tampered",
		"verify_identity": "verify ok local",
		"verify_edited":   "verify edited",
	} {
		c, object := pods(), runtime.Object(new(v1alpha1.Diff))
		if strings.HasPrefix(args, "verify") {
			c, object = verified(t), new(v1alpha1.Verification)
		}
		_, stdout, stderr := plugin(c, append(strings.Fields(args), "-o", "json")...)
		if err := json.Unmarshal([]byte(stdout), object); err != nil {
			t.Fatalf("%s: %v: %s", args, err, stderr)
		}
		list[name] = object
	}
	return list
}

// hostile is what a profile's author, or a commit's, may have called a file.
const hostile = "profile:x`<img src=x onerror=alert(1)>|@octocat https://evil.example www.evil.example #1 GH-1 **b** [l](https://evil.example) a](b {0}\x1b[2J\n# heading"

func hostileDiff() *v1alpha1.Diff {
	numbers := v1alpha1.Numbers{First: "0x1f0", Last: "0x1ff"}
	return &v1alpha1.Diff{
		TypeMeta: v1alpha1.TypeMeta("Diff"), Relation: v1alpha1.Looser,
		A: v1alpha1.Side{Source: v1alpha1.Source{Operand: "Unconfined"}},
		B: v1alpha1.Side{Source: v1alpha1.Source{Operand: hostile, Format: "OCI seccomp profile"}, Confinement: v1alpha1.Confinement{FilterCount: 1, Filters: []string{"x"}, Instructions: 3}},
		Differences: []v1alpha1.Difference{{
			ABI: "amd64", Syscall: "socket", Condition: "family in {AF_ALG, AF_VSOCK} || args[0] & 0xff != 0", Direction: v1alpha1.DirectionLooser,
			A: v1alpha1.Action{Action: "ERRNO", Data: 1, Errno: "EPERM"}, B: v1alpha1.Action{Action: "ALLOW"},
			Witness: &v1alpha1.Witness{Call: "socket(AF_ALG, 0, 0)"},
		}, {
			ABI: "amd64", Numbers: &numbers, Direction: v1alpha1.DirectionChanged,
			A: v1alpha1.Action{Action: "ERRNO", Data: 1, Errno: "EPERM"}, B: v1alpha1.Action{Action: "ERRNO", Data: 38, Errno: "ENOSYS"},
		}},
		Truncated: true,
	}
}

func hostileVerification() *v1alpha1.Verification {
	return &v1alpha1.Verification{
		TypeMeta: v1alpha1.TypeMeta("Verification"),
		Items: []v1alpha1.VerifiedContainer{{
			Source:   v1alpha1.Source{Operand: "n/pod/p:c", Namespace: "n|`n", Pod: "p@team/x", Container: "<b>c</b>", Node: "node-`a|b`"},
			Declared: v1alpha1.Declaration{Type: "Localhost", Localhost: "../`@x|\u202e.json"},
			Arrows: []v1alpha1.Arrow{{
				From: "declared", To: "configured", Relation: v1alpha1.Looser, Holds: v1alpha1.HoldsNo,
				Reasons: []v1alpha1.Reason{{Code: v1alpha1.ReasonFileChanged, Detail: "/var/lib/kubelet/seccomp/<script>|`x` was changed by @octocat, see https://evil.example/#1 [a](b) _x_ {1}"}},
			}, {From: "configured", To: "enforced", Relation: v1alpha1.Identical, Holds: v1alpha1.HoldsYes}},
			Holds: v1alpha1.HoldsNo,
		}},
		Namespaces: []v1alpha1.VerifiedNamespace{{Namespace: "n|`n", Containers: 1, Broken: 1}},
	}
}

func printed(t *testing.T, p printers.ResourcePrinter, object runtime.Object) string {
	t.Helper()
	var out bytes.Buffer
	if err := p.PrintObj(object, &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestMarkdown reads the comments as GitHub's flavour of Markdown does: what is not
// ours is text in code, and each table has as many cells in each row.
func TestMarkdown(t *testing.T) {
	for name, object := range reports(t) {
		text := printed(t, printer.Markdown{}, object)
		golden(t, "markdown_"+name+".md", text)
		var html strings.Builder
		if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(text), &html); err != nil {
			t.Fatal(err)
		}
		rest := regexp.MustCompile(`(?s)<code>.*?</code>`).ReplaceAllString(html.String(), "CODE")
		rest = regexp.MustCompile(`</?(p|strong|table|thead|tbody|tr|th|td|ul|li)>|<!-- raw HTML omitted -->`).ReplaceAllString(rest, "")
		if found := regexp.MustCompile("[<@#`*|\\[\\]{}~]|://|www|GH-|\x1b|\u202e").FindString(rest); found != "" {
			t.Errorf("%s: %q outside of code:\n%s", name, found, html.String())
		}
		for table := range strings.SplitSeq(html.String(), "<table>") {
			if rows, rest := strings.Count(table, "<tr>"), strings.Count(table, "<th>")+strings.Count(table, "<td>"); rows > 0 && rest != rows*strings.Count(table, "<th>") {
				t.Errorf("%s: a table of %d rows has %d cells:\n%s", name, rows, rest, table)
			}
		}
		if name == "hostile_diff" && !strings.Contains(html.String(), "|@octocat") {
			t.Errorf("%s: what is hostile is gone:\n%s", name, html.String())
		}
	}
}

// TestSARIF validates against the schema that OASIS publishes, and asks for what GitHub
// does beyond it.
func TestSARIF(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/sarif/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, object := range reports(t) {
		text := printed(t, printer.SARIF{Version: "1.2.3"}, object)
		if name != "diff_many" { // which has nothing else, and much of it
			golden(t, "sarif_"+name+".json", text)
		}
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(instance); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var log struct {
			Runs []struct {
				Tool struct {
					Driver struct {
						Rules []struct {
							ID                                      string
							ShortDescription, FullDescription, Help struct{ Text string }
						}
					}
				}
				AutomationDetails json.RawMessage
				Results           []struct {
					RuleID, Level       string
					RuleIndex           int
					Message             struct{ Text string }
					PartialFingerprints map[string]string
					Locations           []struct {
						PhysicalLocation struct {
							ArtifactLocation struct{ URI string }
							Region           struct{ StartLine int }
						}
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(text), &log); err != nil {
			t.Fatal(err)
		}
		run := log.Runs[0]
		if run.AutomationDetails != nil {
			t.Errorf("%s: automationDetails %s are in the place of the upload's category", name, run.AutomationDetails)
		}
		for _, r := range run.Tool.Driver.Rules {
			if r.ShortDescription.Text == "" || r.FullDescription.Text == "" || r.Help.Text == "" {
				t.Errorf("%s: rule %s is not described", name, r.ID)
			}
		}
		prints := make(map[string]bool)
		worst := ""
		for _, r := range run.Results {
			if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || r.Message.Text == "" || len(r.Locations) != 1 {
				t.Errorf("%s: %+v", name, r)
			}
			print := r.PartialFingerprints["primaryLocationLineHash"] // the only one that GitHub reads
			if print == "" || prints[print] || r.PartialFingerprints["kubectl-seccomp/v1"] != print {
				t.Errorf("%s: %s has the fingerprint %q of another, or none", name, r.Message.Text, print)
			}
			prints[print] = true
			at := r.Locations[0].PhysicalLocation
			uri, err := url.Parse(at.ArtifactLocation.URI)
			if err != nil || uri.Scheme != "" || uri.Path == "" || strings.HasPrefix(uri.Path, "/") || at.Region.StartLine != 1 {
				t.Errorf("%s: %+v: %v", name, at, err)
			}
			if strings.ContainsAny(r.Message.Text, "{}\x1b\n") || strings.Contains(r.Message.Text, "](") {
				t.Errorf("%s: %q", name, r.Message.Text)
			}
			if order := []string{"", "note", "warning", "error"}; slices.Index(order, r.Level) > slices.Index(order, worst) {
				worst = r.Level
			}
		}
		// No page is without an error where the verdict is one.
		switch object := object.(type) {
		case *v1alpha1.Diff:
			if bad := object.Relation == v1alpha1.Looser || object.Relation == v1alpha1.Incomparable; bad != (worst == "error") {
				t.Errorf("%s: %s, and the gravest result is %q", name, object.Relation, worst)
			}
		case *v1alpha1.Verification:
			for _, item := range object.Items {
				if item.Holds == v1alpha1.HoldsNo && worst != "error" || item.Holds == v1alpha1.HoldsUnknown && worst == "note" {
					t.Errorf("%s: %s holds: %s, and the gravest result is %q", name, item.Source.Operand, item.Holds, worst)
				}
			}
		}
	}
}

// TestSARIFIsStable has a finding recognized in the next run, of another process on
// another node.
func TestSARIFIsStable(t *testing.T) {
	prints := func(d *v1alpha1.Diff) []string {
		return regexp.MustCompile(`"primaryLocationLineHash": "\w+"`).FindAllString(printed(t, printer.SARIF{}, d), -1)
	}
	before := hostileDiff()
	after := hostileDiff()
	after.B.PID, after.B.Node, after.Differences[0].Witness.Call = 77, "node-z", "socket(AF_VSOCK, 0, 0)"
	if a, b := prints(before), prints(after); len(a) != 3 || !slices.Equal(a, b) {
		t.Errorf("%q and %q", a, b)
	}
}

// TestSARIFPlace has results placed in what is a file, whichever side that is.
func TestSARIFPlace(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"p.json", "Unconfined"} {
		if err := os.WriteFile(name, []byte(`{"defaultAction": "SCMP_ACT_ERRNO"}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for operands, want := range map[string]string{
		"profile:p.json Unconfined": "p.json",
		"Unconfined profile:p.json": "p.json",
		"Unconfined ./Unconfined":   "Unconfined",
		"key profile:p.json":        "p.json",
		"profile:p.json key":        "p.json",
		"key Unconfined":            "cluster/key",
		"Unconfined key":            "cluster/key",
	} {
		code, stdout, stderr := plugin(pods(), append([]string{"diff", "-o", "sarif"}, strings.Fields(operands)...)...)
		found := regexp.MustCompile(`"uri": "(.*)"`).FindAllStringSubmatch(stdout, -1)
		if code != 1 || len(found) == 0 {
			t.Errorf("%s: exit code %d, %d places: %s", operands, code, len(found), stderr)
		}
		for _, uri := range found {
			if uri[1] != want {
				t.Errorf("%s: %q, want %q", operands, uri[1], want)
				break
			}
		}
	}
}

// TestSARIFRules has a description of each reason that a verification can give.
func TestSARIFRules(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../apis/v1alpha1/verification.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		v := hostileVerification()
		v.Items[0].Arrows[0].Reasons[0].Code = code
		if text := printed(t, printer.SARIF{}, v); !regexp.MustCompile(fmt.Sprintf(`"id": %q,\s+"shortDescription": {\s+"text": "..`, code)).MatchString(text) {
			t.Errorf("%s has no rule: %s", code, text)
		}
		return true
	})
	if seen < 15 {
		t.Errorf("only %d reasons", seen)
	}
}

// TestReportsOnlyOf refuses other kinds.
func TestReportsOnlyOf(t *testing.T) {
	for _, p := range []printers.ResourcePrinter{printer.Markdown{}, printer.SARIF{}} {
		if err := p.PrintObj(new(v1alpha1.Version), os.Stdout); err == nil {
			t.Errorf("%T prints a version", p)
		}
	}
}
