package plugin

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/doctor"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
)

// TestDoctorOperands has operands that are no nodes, and flags that do not go.
func TestDoctorOperands(t *testing.T) {
	for args, want := range map[string]string{
		"doctor pod/web":            `error: operand "pod/web": want the name of a node`,
		"doctor a/b/c":              `error: operand "a/b/c": want the name of a node`,
		"doctor node/":              `error: operand "node/": want the name of a node`,
		"doctor Node_1":             `error: operand "Node_1": want the name of a node`,
		"doctor --timeout 1ms":      `error: --timeout 1ms: want a second or more`,
		"doctor -o wide":            `error: output format "wide": want one of`,
		"doctor --dry-run=client":   `error: --dry-run=client: it prints the pods`,
		"doctor n1 node/n2 no/n1":   `error: nodes n1 n2`,
		"doctor n1 --frobnicate=no": `error: unknown flag: --frobnicate; see ` + "`kubectl seccomp doctor --help`",
	} {
		var out, errOut bytes.Buffer
		c := newCommon(genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
		e := new(doctor.Examination)
		c.examine = func(f *probeFlags) (*doctor.Examination, error) {
			if !f.keepGoing {
				t.Error("a node that fails ends the run")
			}
			return e, nil
		}
		if strings.Contains(args, "n2") {
			// As far as the API server, which would be asked next.
			o, probe, output := &doctorOptions{common: c}, new(probeFlags), newOutputFlags()
			probe.image, probe.pullPolicy, probe.namespace, probe.timeout, probe.dryRun = "x", "Never", "x", time.Minute, "none"
			if err := o.Complete(probe, output, strings.Fields(args)[1:]); err != nil || strings.Join(e.Nodes, " ") != "n1 n2" {
				t.Errorf("%s: %v, %v", args, e.Nodes, err)
			}
			continue
		}
		code := run(c, append([]string{"kubectl-seccomp"}, strings.Fields(args)...))
		if code != 2 || out.Len() > 0 || !strings.HasPrefix(errOut.String(), want) {
			t.Errorf("%s: exit code %d, %q, %q", args, code, out.String(), errOut.String())
		}
	}
}

// checks are those of two nodes that are well, but for what statuses say.
func checks(cluster, a, b v1alpha1.CheckStatus) *v1alpha1.Diagnosis {
	took := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	remedy := func(s v1alpha1.CheckStatus, text string) string {
		if s == v1alpha1.CheckOK {
			return ""
		}
		return text
	}
	return &v1alpha1.Diagnosis{TypeMeta: v1alpha1.TypeMeta("Diagnosis"), Checks: []v1alpha1.Check{
		{Name: v1alpha1.CheckAPIServer, Status: v1alpha1.CheckOK, Message: "Kubernetes v1.36.3", Took: took(12 * time.Millisecond)},
		{Name: v1alpha1.CheckRBACWorkloads, Status: cluster, Message: "you may get deployments.apps in namespace shop", Remedy: remedy(cluster, "bind it: `kubectl create rolebinding`")},
		{Name: v1alpha1.CheckProbe, Node: "node-a", Status: v1alpha1.CheckOK, Message: "image probe:1 runs", Took: took(1200 * time.Millisecond)},
		{Name: v1alpha1.CheckReadFilter, Node: "node-a", Status: a, Message: "a filter was read back", Remedy: remedy(a, "have CONFIG_CHECKPOINT_RESTORE")},
		{Name: v1alpha1.CheckProbe, Node: "node-b", Status: v1alpha1.CheckOK, Message: "image probe:1 runs", Took: took(900 * time.Millisecond)},
		{Name: v1alpha1.CheckReadFilter, Node: "node-b", Status: b, Message: "a filter was read back", Remedy: remedy(b, "have CONFIG_CHECKPOINT_RESTORE")},
	}}
}

// TestDiagnosis prints what was found, and has the exit code of it.
func TestDiagnosis(t *testing.T) {
	const ok, warning, failed, unknown = v1alpha1.CheckOK, v1alpha1.CheckWarning, v1alpha1.CheckFailed, v1alpha1.CheckUnknown
	for name, test := range map[string]struct {
		cluster, a, b v1alpha1.CheckStatus
		code          int
	}{
		"ok":      {ok, ok, ok, 0},
		"warning": {warning, ok, ok, 0},
		"failed":  {unknown, failed, ok, 1},
		"both":    {ok, failed, failed, 1},
		"unknown": {warning, ok, unknown, 2},
	} {
		d := checks(test.cluster, test.a, test.b)
		var out bytes.Buffer
		if err := (printer.Human{Color: "never", Width: 100}).PrintObj(d, &out); err != nil {
			t.Fatal(err)
		}
		golden(t, "doctor_"+name+".txt", out.String())
		var errOut bytes.Buffer
		if code := exitCode(doctorResult(d), genericiooptions.IOStreams{ErrOut: &errOut}); code != test.code {
			t.Errorf("%s: exit code %d, want %d", name, code, test.code)
		}
		if (errOut.String() != "") != (test.code == 2) {
			t.Errorf("%s: %q", name, errOut.String())
		}
	}
}

// TestDiagnosisOfMany folds nodes that are alike, and names nodes for -o name.
func TestDiagnosisOfMany(t *testing.T) {
	d := &v1alpha1.Diagnosis{TypeMeta: v1alpha1.TypeMeta("Diagnosis")}
	for _, node := range []string{"n1", "n2", "n3", "n4", "n5"} {
		kernel := v1alpha1.Check{Name: v1alpha1.CheckKernel, Node: node, Status: v1alpha1.CheckOK, Message: "Linux 6.12"}
		if node == "n3" {
			kernel.Status, kernel.Message, kernel.Remedy = v1alpha1.CheckFailed, "Linux 4.9: older than 4.16", "upgrade the node"
		}
		d.Checks = append(d.Checks, kernel, v1alpha1.Check{Name: v1alpha1.CheckKubelet, Node: node, Status: v1alpha1.CheckOK, Message: "its seccompDefault is true"})
	}
	var out bytes.Buffer
	if err := (printer.Human{Color: "never", Width: 100}).PrintObj(d, &out); err != nil {
		t.Fatal(err)
	}
	golden(t, "doctor_many.txt", out.String())
	out.Reset()
	if err := (printer.Names{}).PrintObj(d, &out); err != nil || out.String() != "node/n1\nnode/n2\nnode/n3\nnode/n4\nnode/n5\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
