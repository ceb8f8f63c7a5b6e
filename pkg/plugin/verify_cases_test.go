package plugin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
)

// TestVerifyReasons has what could be taken for something else: no verdict may be
// better, and no reason other, than what the readings show.
func TestVerifyReasons(t *testing.T) {
	const node = "node-amd64"
	byDefault := target.Declared{Type: corev1.SeccompProfileTypeRuntimeDefault, By: target.DeclaredByPod}
	local := target.Declared{Type: corev1.SeccompProfileTypeLocalhost, Localhost: "p.json", By: target.DeclaredByContainer}
	annotated := func(d target.Declared) target.Declared {
		d.By = corev1.SeccompPodAnnotationKey
		return d
	}
	privileged := func(d target.Declared) target.Declared {
		d.Privileged = true
		return d
	}
	runc, deny := loaded(t, profile.Runc, defaultJSON), loaded(t, profile.Runc, denyJSON)
	enforced := func(d target.Declared, c *wire.Config, stack bpf.Stack) fakePod {
		p := fakePod{declared: d, config: c, stack: stack, started: created.UnixNano()}
		if stack != nil {
			p.subject = wire.ModeFilter
		}
		return p
	}
	file := func(p fakePod, content string, modified time.Time) fakePod {
		p.file = &wire.File{Path: "/var/lib/kubelet/seccomp/p.json", ModifiedNS: modified.UnixNano(), Gzip: wire.Compress([]byte(content))}
		return p
	}
	problem := func(p fakePod, code string) fakePod {
		p.problems = []wire.Problem{{Target: "containerd://it", Code: code, Op: "read the threads", Detail: "as it is"}}
		return p
	}
	state := func(p fakePod, s wire.State, stack bpf.Stack) fakePod {
		s.Processes, s.Threads = 1, 1
		p.more = []*report.State{{State: s, Stack: stack}}
		return p
	}
	seccompDefault := func(on *bool) func(*fakeCluster) {
		return func(c *fakeCluster) { c.nodes[node] = &wire.Node{SeccompDefault: on, Detail: "no kubelet was found"} }
	}
	noDefault := func(c *fakeCluster) { c.configs[node] = config("runc", "") }
	other := config("runc", defaultJSON)
	other.Bounding = []string{"CAP_CHOWN", "CAP_SYS_ADMIN"}
	at := func(c *wire.Config, when time.Time) *wire.Config {
		c.ModifiedNS = when.UnixNano()
		return c
	}
	const yes, no, unknown = v1alpha1.HoldsYes, v1alpha1.HoldsNo, v1alpha1.HoldsUnknown

	for name, test := range map[string]struct {
		pod        fakePod
		set        func(*fakeCluster)
		strict     bool
		configured v1alpha1.Holds
		enforced   v1alpha1.Holds
		reasons    string // codes, of both arrows
		says       string
	}{
		"no profile where RuntimeDefault is declared": {
			pod: enforced(byDefault, config("runc", ""), nil), configured: no, enforced: yes, reasons: "unexplained"},
		"the runtime has no default": {
			pod: enforced(byDefault, config("runc", ""), nil), set: noDefault, configured: no, enforced: yes,
			reasons: "no-default", says: "has no profile for RuntimeDefault"},
		"the runtime has no default any more": {
			pod: enforced(byDefault, config("runc", defaultJSON), runc), set: noDefault, configured: no, enforced: yes, reasons: "default-differs"},
		"a privileged container's Localhost profile": {
			pod: file(enforced(privileged(local), config("runc", ""), nil), denyJSON, created), configured: no, enforced: yes, reasons: "privileged"},
		"unset, on, privileged": {
			pod: enforced(privileged(target.Declared{}), config("runc", ""), nil), set: seccompDefault(new(true)), configured: yes, enforced: yes,
			reasons: "seccomp-default", says: "leave out for a privileged container"},
		"seccompDefault was switched off": {
			pod: enforced(target.Declared{}, config("runc", defaultJSON), runc), configured: no, enforced: yes,
			reasons: "seccomp-default seccomp-default", says: "what seccompDefault true gives"},
		"seccompDefault was switched on": {
			pod: enforced(target.Declared{}, config("runc", ""), nil), set: seccompDefault(new(true)), configured: no, enforced: yes,
			reasons: "seccomp-default seccomp-default", says: "what seccompDefault false gives"},
		"unset, and a profile that nobody asked for": {
			pod: enforced(target.Declared{}, config("runc", denyJSON), deny), configured: no, enforced: yes, reasons: "seccomp-default unexplained"},
		"seccompDefault is not known": {
			pod: enforced(target.Declared{}, config("runc", ""), nil), set: seccompDefault(nil), configured: yes, enforced: yes,
			reasons: "seccomp-default", says: "could not be told (no kubelet was found)"},
		"an annotation, and seccompDefault": {
			pod:        file(enforced(annotated(local), config("runc", defaultJSON), runc), denyJSON, created.Add(time.Hour)),
			set:        seccompDefault(new(true)),
			configured: no, enforced: yes, reasons: "annotation"},
		"an annotation that counted": { // by a kubelet of before 1.27
			pod:        file(enforced(annotated(local), config("runc", denyJSON), deny), changedJSON, created.Add(time.Hour)),
			configured: no, enforced: yes, reasons: "file-changed"},
		"an annotation, and no such file": {
			pod: problem(enforced(annotated(local), config("runc", ""), nil), wire.CodeNoFile), configured: unknown, enforced: yes,
			reasons: "not-read annotation"},
		"privileged, and no such file": {
			pod: problem(enforced(privileged(local), config("runc", ""), nil), wire.CodeNoFile), configured: unknown, enforced: yes,
			reasons: "not-read privileged"},
		"no such file": {
			pod: problem(enforced(local, config("runc", denyJSON), deny), wire.CodeNoFile), configured: unknown, enforced: yes, reasons: "not-read"},
		"other capabilities, and the same profile": {
			pod: enforced(byDefault, other, runc), configured: unknown, enforced: yes, reasons: "capabilities"},
		"other capabilities, and no profile": {
			pod: func() fakePod {
				c := config("runc", "")
				c.Bounding = other.Bounding
				return enforced(byDefault, c, nil)
			}(), configured: no, enforced: yes, reasons: "unexplained"},
		"a file of the same second, in whole seconds": {
			pod:        file(enforced(local, at(config("runc", denyJSON), created.Add(time.Millisecond)), deny), changedJSON, created),
			configured: no, enforced: yes, reasons: "file-differs", says: "too close to tell what came first"},
		"a file of the same second, and later": {
			pod:        file(enforced(local, at(config("runc", denyJSON), created.Add(time.Millisecond)), deny), changedJSON, created.Add(time.Second/2)),
			configured: no, enforced: yes, reasons: "file-changed", says: "changed at 2026-03-01T12:00:00.5Z, after the container was created at 2026-03-01T12:00:00.001Z"},
		"the main thread in strict mode": {
			pod: func() fakePod {
				p := enforced(byDefault, config("runc", defaultJSON), nil)
				p.subject, p.unread = wire.ModeStrict, true
				return p
			}(), configured: yes, enforced: unknown, reasons: "not-read", says: "strict mode"},
		"a thread in strict mode": {
			pod:        state(enforced(byDefault, config("runc", defaultJSON), runc), wire.State{Mode: wire.ModeStrict}, nil),
			configured: yes, enforced: unknown, reasons: "threads", says: "strict mode"},
		"a thread under a filter in the place of the configured": {
			pod:        state(enforced(byDefault, config("runc", defaultJSON), runc), wire.State{Mode: wire.ModeFilter, FilterCount: 1}, deny),
			configured: yes, enforced: no, reasons: "threads"},
		"a thread without a filter where the application has one": {
			pod:        state(enforced(target.Declared{}, config("runc", ""), bpf.Stack{vsock}), wire.State{}, nil),
			configured: yes, enforced: yes, reasons: "seccomp-default application threads door"},
		"more threads than are looked at": {
			pod: problem(enforced(byDefault, config("runc", defaultJSON), runc), wire.CodeTooManyThreads), configured: yes, enforced: unknown, reasons: "not-read"},
		"threads that were never the same": {
			pod: problem(enforced(byDefault, config("runc", defaultJSON), runc), wire.CodeChanged), configured: yes, enforced: unknown, reasons: "not-read"},
		"a thread that has ended": {
			pod: problem(enforced(byDefault, config("runc", defaultJSON), runc), wire.CodeExited), configured: yes, enforced: yes},
		"crun, strictly": {
			pod: enforced(byDefault, config("crun", defaultJSON), loaded(t, profile.Crun, defaultJSON)), strict: true, configured: yes, enforced: no, reasons: "oci-runtime"},
	} {
		t.Run(name, func(t *testing.T) {
			test.pod.name = "it"
			c := &fakeCluster{
				pods:    map[string][]fakePod{"it": {test.pod}},
				configs: map[string]*wire.Config{node: config("runc", defaultJSON)},
				nodes:   map[string]*wire.Node{node: {SeccompDefault: new(false)}},
			}
			if test.set != nil {
				test.set(c)
			}
			args := []string{"verify", "it", "-o", "json"}
			if test.strict {
				args = append(args, "--strict")
			}
			code, stdout, stderr := plugin(c, args...)
			var v v1alpha1.Verification
			if err := json.Unmarshal([]byte(stdout), &v); err != nil {
				t.Fatalf("%v: %s%s", err, stdout, stderr)
			}
			var codes, details []string
			a := v.Items[0].Arrows
			for _, r := range slices.Concat(a[0].Reasons, a[1].Reasons) {
				codes, details = append(codes, r.Code), append(details, r.Detail)
			}
			if a[0].Holds != test.configured || a[1].Holds != test.enforced || strings.Join(codes, " ") != test.reasons ||
				!strings.Contains(strings.Join(details, "\n"), test.says) {
				t.Errorf("%s, %s, %q; want %s, %s, %s, %q", a[0].Holds, a[1].Holds, details, test.configured, test.enforced, test.reasons, test.says)
			}
			want := 0
			if test.configured == no || test.enforced == no {
				want = 1
			} else if test.configured == unknown || test.enforced == unknown {
				want = 2
			}
			if code != want {
				t.Errorf("exit code %d, want %d: %s", code, want, fmt.Sprint(details))
			}
		})
	}
}
