package plugin

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/recording"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/source"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A profile that allows of what `record all` has ioctl for TCSETS only, and not getpid.
const tightenProfile = `{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
	{"names": ["read", "write", "socket", "bpf", "unshare", "mount", "execve"], "action": "SCMP_ACT_ALLOW"},
	{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
	{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 21506, "op": "SCMP_CMP_EQ"}]}]}`

func TestTighten(t *testing.T) {
	t.Chdir(saveRecordings(t))
	if err := os.WriteFile("p.json", []byte(tightenProfile), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
	}{
		{"tighten all --duration 5s", 0},
		{"tighten all --duration 5s -o wide", 0},
		{"tighten all -o profile --start=false --max-unused 9", 2}, // no profile allows calls of other architectures
		{"tighten all --recording one.json --recording second.json", 0},
		{"tighten ./p.json --recording one.json --arch amd64", 1},
		{"tighten ./p.json --recording one.json --arch amd64 -o json", 1},
		{"tighten ./p.json --recording one.json --arch amd64 -o markdown", 1},
		{"tighten ./p.json --recording one.json --arch amd64 -o name --start=false", 1},
		{"tighten ./p.json --recording one.json --arch amd64 -o profile --start=false", 1},
		{"tighten ./p.json --recording one.json --arch amd64 -o profile --start=false --arguments", 1},
		{"tighten ./p.json --recording list.yaml --arch amd64", 0},
		{"tighten ./p.json --recording list.yaml --arch amd64 --max-unused 7", 0},
		{"tighten ./p.json --recording list.yaml --arch amd64 --max-unused 3", 1},
		{"tighten all --recording second.json --refused", 1},
		{"tighten hostile --recording hostile.json", 2},
		{"tighten ./p.json --recording one.json --arch s390x", 2},
		{"tighten all --recording one.json --duration 5s", 2},
		{"tighten all --duration 0s", 2},
		{"tighten all --keep-probe", 2},
		{"tighten all --arguments", 2},
		{"tighten ./p.json", 2},
		{"tighten RuntimeDefault@node-a", 2},
		{"tighten all --recording dump.json", 2},
		{"tighten - --recording -", 2},
		{"tighten all --max-unused -2", 2},
		{"tighten old", 2},
		{"tighten", 2},
	} {
		code, out, errOut := plugin(recorded(), strings.Fields(test.args)...)
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d: %s", test.args, code, test.code, errOut)
		}
		name := strings.NewReplacer(" ", "_", "/", "-", "--", "").Replace(test.args)
		golden(t, name+".txt", out+errOut)
	}
}

// tightenNames are the calls of random policies and recordings.
var tightenNames = []string{"read", "socket", "ioctl", "bpf", "mount", "getpid", "unshare"}

// randomPolicy is a source with a profile of rules for them.
func randomPolicy(t *testing.T, r *rand.Rand) *source.Source {
	t.Helper()
	errno := uint(1)
	l := &profile.LinuxSeccomp{DefaultAction: "SCMP_ACT_ERRNO", DefaultErrnoRet: &errno}
	for _, name := range tightenNames {
		e := profile.LinuxSyscall{Names: []string{name}, Action: "SCMP_ACT_ALLOW"}
		switch r.IntN(4) {
		case 0:
			continue
		case 1:
			e.Args = []profile.LinuxSeccompArg{{Index: uint(r.IntN(min(2, max(1, len(syscalls.AMD64.Params(name)))))), Op: "SCMP_CMP_EQ", Value: uint64(r.IntN(3))}}
		}
		l.Syscalls = append(l.Syscalls, e)
	}
	p, err := profile.Parse(l.JSON())
	if err != nil {
		t.Fatal(err)
	}
	target := profile.Target{Arch: "amd64", OCIRuntime: profile.Crun}
	loaded, err := p.Load(target)
	if err != nil {
		t.Fatal(err)
	}
	s, err := source.Of(v1alpha1.Source{Operand: "random"}, target, loaded.Stack())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// randomRecording has calls of them, with values of arguments or without.
func randomRecording(r *rand.Rand) *v1alpha1.Recording {
	now := metav1.NewTime(time.Unix(1795521392, 0).UTC())
	out := &v1alpha1.Recording{RecordedRun: v1alpha1.RecordedRun{ID: strings.Repeat("1", 32), Began: now, Ended: now,
		Source: v1alpha1.Source{Arch: "amd64", ABIs: []string{"amd64"}}, Coverage: v1alpha1.Coverage{Start: true}}}
	for _, i := range r.Perm(len(tightenNames))[:1+r.IntN(4)] {
		name := tightenNames[i]
		nr, _ := syscalls.AMD64.Number(name)
		call := v1alpha1.RecordedCall{ABI: "amd64", Syscall: name, NR: fmt.Sprintf("%#x", nr), Count: 3}
		out.Calls = append(out.Calls, call)
		if param := map[string]string{"socket": "family", "ioctl": "cmd", "bpf": "cmd", "unshare": "unshare_flags"}[name]; param != "" && r.IntN(4) > 0 {
			call.Count = 1
			for _, v := range r.Perm(4)[:3] {
				out.Values = append(out.Values, recording.NewValue(syscalls.AMD64, call, param, uint32(v)))
			}
		}
	}
	return out
}

// TestTighteningIsRight holds what is said of random policies and recordings against the
// filters, run with many calls.
func TestTighteningIsRight(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	missing, unused, partly := 0, 0, 0
	for range 60 {
		s, rec := randomPolicy(t, r), randomRecording(r)
		got, err := newTightening(s, rec, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tightenNames {
			nr, _ := syscalls.AMD64.Number(name)
			var values []uint64
			arg := slices.IndexFunc(syscalls.AMD64.Params(name), func(p syscalls.Param) bool {
				return slices.ContainsFunc(rec.Values, func(v v1alpha1.RecordedValue) bool { return v.Syscall == name && v.Parameter == p.Name })
			})
			for _, v := range rec.Values {
				if v.Syscall == name {
					values = append(values, uint64(v.Value[2]-'0'))
				}
			}
			called := slices.ContainsFunc(rec.Calls, func(c v1alpha1.RecordedCall) bool { return c.Syscall == name })
			wasMade := func(args [6]uint64) bool { return called && (arg < 0 || slices.Contains(values, args[arg])) }
			open, madeAllowed, madeDenied := false, map[uint64]bool{}, map[uint64]bool{}
			for a := range uint64(5) {
				for b := range uint64(5) {
					call := bpf.Data{Arch: syscalls.AMD64.AuditArch(), NR: nr, Args: [6]uint64{a, b}}
					allowed := s.Stacks[0].Run(&call, s.Order()).Ret.Action() == bpf.Allow
					key := uint64(0)
					if arg >= 0 {
						key = call.Args[arg]
					}
					switch made := wasMade(call.Args); {
					case made && allowed:
						madeAllowed[key] = true
					case made:
						madeDenied[key] = true
					case allowed:
						open = true
					}
				}
			}
			// getpid has no arguments: what filters look at of them, the kernel does not.
			i := slices.IndexFunc(got.Unused, func(u v1alpha1.UnusedCall) bool { return u.Syscall == name })
			if (i >= 0) != open && name != "getpid" {
				t.Errorf("%s: unused is %v, want %v: %+v\n%+v", name, i >= 0, open, got, rec)
			}
			if i >= 0 && got.Unused[i].Called != called {
				t.Errorf("%s: called is %v", name, got.Unused[i].Called)
			}
			switch {
			case i >= 0 && called:
				partly++
			case i >= 0:
				unused++
			}
			for _, m := range got.Missing {
				if m.Syscall != name {
					continue
				}
				missing++
				key := uint64(0)
				if m.Value != "" {
					key = uint64(m.Value[2] - '0')
				}
				if !madeDenied[key] || m.Certain == madeAllowed[key] {
					t.Errorf("%s: %+v is missing; allowed %v, denied %v", name, m, madeAllowed, madeDenied)
				}
				delete(madeDenied, key)
			}
			if len(madeDenied) > 0 && name != "getpid" {
				t.Errorf("%s: denied with %v, which is not said: %+v", name, madeDenied, got.Missing)
			}
		}
		remains(t, r, s, rec)
	}
	if missing < 20 || unused < 20 || partly < 10 {
		t.Errorf("only %d missing, %d unused, %d partly", missing, unused, partly)
	}
}

// remains has the profile that remains allow no call that the policy does not, and each
// that the policy allows and that was made.
func remains(t *testing.T, r *rand.Rand, s *source.Source, rec *v1alpha1.Recording) {
	t.Helper()
	used := printer.UsedProfile{Arguments: r.IntN(2) == 0, Warn: func(error) {}}
	uses, abis, err := used.Used([]v1alpha1.Recording{*rec})
	if err != nil {
		t.Fatal(err)
	}
	text, err := remaining(s, uses, abis)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := p.Load(profile.Target{Arch: "amd64", OCIRuntime: []profile.OCIRuntime{profile.Runc, profile.Crun}[r.IntN(2)]})
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Policy(0)
	if err != nil {
		t.Fatal(err)
	}
	after, err := policy.Of(loaded.Stack(), s.Order())
	if err != nil {
		t.Fatal(err)
	}
	c, err := policy.Compare(before, after, policy.Options{ABIs: s.ABIs})
	if err != nil {
		t.Fatal(err)
	}
	if c.Relation == policy.Looser || c.Relation == policy.Incomparable || c.Relation == policy.Undecided {
		t.Fatalf("what remains is %v\n%s", c.Relation, text)
	}
	calls, err := recording.Calls(&rec.RecordedRun)
	if err != nil {
		t.Fatal(err)
	}
	for _, made := range calls {
		for a := range uint64(5) {
			for b := range uint64(5) {
				call := bpf.Data{Arch: syscalls.AMD64.AuditArch(), NR: made.NR, Args: [6]uint64{a, b}}
				if made.Arg >= 0 && !slices.Contains(made.Values, uint32(call.Args[made.Arg])) {
					continue
				}
				if was, is := s.Stacks[0].Run(&call, s.Order()).Ret.Action(), loaded.Stack().Run(&call, s.Order()).Ret.Action(); was == bpf.Allow && is != bpf.Allow {
					t.Fatalf("%+v was allowed, and is not any more\n%s", call, text)
				}
			}
		}
	}
}
