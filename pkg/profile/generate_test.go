//go:build linux

package profile

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// TestFromPolicy writes profiles for what libseccomp compiled.
func TestFromPolicy(t *testing.T) {
	files, err := filepath.Glob("testdata/live/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	s := newSCMP(t)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		target := Target{Runtime: DockerEngine, OCIRuntime: Crun, Arch: "amd64", Kernel: Kernel{Major: 6, Minor: 1}, Known: s.known}
		if p.Format() == ContainersCommon {
			target.Runtime = CRIO
		}
		read, err := p.read(target)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := s.filter(&read.LinuxSeccomp, 1)
		if err != nil {
			t.Fatal(err)
		}
		// In common.json, calls of socket have two actions besides the default.
		name := filepath.Base(file)
		if got, want := roundTrip(t, s, name, compiled), name != "common.json"; got != want {
			t.Errorf("%s: written: %t, want %t", name, got, want)
		}
	}
}

// TestFromPolicyRandom does so for random rules.
func TestFromPolicyRandom(t *testing.T) {
	s := newSCMP(t)
	r := random{rand.New(rand.NewPCG(3, 4))}
	written := 0
	const profiles = 150
	for range profiles {
		compiled, err := s.filter(r.profile(r.safe), 1)
		if err != nil {
			continue // contradictory
		}
		if roundTrip(t, s, "random", compiled) {
			written++
		}
	}
	t.Logf("%d of %d written", written, profiles)
	if written < profiles/3 {
		t.Errorf("only %d of %d could be written", written, profiles)
	}
}

// TestFromPolicyLoaded writes profiles for what container profiles come to, and loads
// those.
func TestFromPolicyLoaded(t *testing.T) {
	for _, c := range []struct {
		file    string
		runtime Runtime
		want    string // part of the error, if there is to be one
	}{
		{"../../hack/demo/demo-web.json", Containerd, ""},
		{"testdata/live/docker.json", DockerEngine, ""},
		{"testdata/live/arguments.json", Containerd, ""},
		{"testdata/live/native.json", Containerd, ""},
		{"testdata/live/deny.json", CRIO, ""},
		{"testdata/live/common.json", CRIO, "socket of amd64: rules with different actions"},
	} {
		for _, oci := range []OCIRuntime{Runc, OldRunc, Crun} {
			target := Target{Runtime: c.runtime, OCIRuntime: oci, Arch: "amd64", Kernel: Kernel{Major: 6, Minor: 1}}
			want := loadedPolicy(t, c.file, target)
			l, err := FromPolicy(want, target)
			if c.want != "" {
				var not *InexpressibleError
				if !errors.As(err, &not) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s, %d: error is %v, want one about %q", c.file, oci, err, c.want)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %d: %v", c.file, oci, err)
				continue
			}
			target.Runtime = Containerd
			if d := differences(t, want, reloaded(t, l, target), "amd64"); d != "" {
				t.Errorf("%s, %d: policy -> loaded from the generated profile: %s", c.file, oci, d)
			}
		}
	}
}

// TestFromPolicyAllowList: what an allow-list has under conditions is written as
// such, not as what it has not.
func TestFromPolicyAllowList(t *testing.T) {
	target := Target{Arch: "amd64"}
	l, err := FromPolicy(loadedPolicy(t, "../../hack/demo/demo-web.json", target), target)
	if err != nil {
		t.Fatal(err)
	}
	if l.DefaultAction != "SCMP_ACT_ERRNO" || *l.DefaultErrnoRet != 1 {
		t.Errorf("the default is %s", l.DefaultAction)
	}
	got := map[string][]LinuxSeccompArg{}
	for _, e := range l.Syscalls {
		if len(e.Args) == 0 {
			continue
		}
		if len(e.Names) != 1 || len(e.Args) != 1 || e.Action != "SCMP_ACT_ALLOW" {
			t.Fatalf("entry %+v: want one argument, one name and ALLOW", e)
		}
		got[e.Names[0]] = append(got[e.Names[0]], e.Args...)
	}
	want := map[string][]LinuxSeccompArg{
		"socket":      {{Value: 1, Op: "SCMP_CMP_EQ"}, {Value: 2, Op: "SCMP_CMP_EQ"}, {Value: 10, Op: "SCMP_CMP_EQ"}},
		"personality": {{Value: 0, Op: "SCMP_CMP_EQ"}, {Value: 0xffffffff, Op: "SCMP_CMP_EQ"}},
		"clone":       {{Value: 0x7e020000, Op: "SCMP_CMP_MASKED_EQ"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("conditional entries are %v, want %v", got, want)
	}
}

// TestFromPolicyLoadedRandom does so for random rules.
func TestFromPolicyLoadedRandom(t *testing.T) {
	r := random{rand.New(rand.NewPCG(5, 6))}
	written, loaded := 0, 0
	for range 150 {
		target := Target{Arch: "amd64", OCIRuntime: pick(r, Runc, Crun)}
		p, err := Parse(r.profile(r.safe).JSON())
		if err != nil {
			t.Fatal(err)
		}
		from, err := p.Load(target)
		if err != nil || len(from.Dependent) > 0 {
			continue
		}
		loaded++
		want := policyOf(t, from.Filter)
		l, err := FromPolicy(want, target)
		var not *InexpressibleError
		switch {
		case errors.As(err, &not):
			t.Logf("%s: %v", target.OCIRuntime, err)
		case err != nil:
			t.Fatal(err)
		default:
			written++
			if d := differences(t, want, reloaded(t, l, target), "amd64"); d != "" {
				t.Errorf("policy -> loaded from the generated profile: %s\n%s", d, l.JSON())
			}
		}
	}
	t.Logf("%d of %d written", written, loaded)
	if written < loaded*3/4 {
		t.Errorf("only %d of %d could be written", written, loaded)
	}
}

func loadedPolicy(t *testing.T, file string, target Target) *policy.Policy {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := p.Load(target)
	if err != nil {
		t.Fatal(err)
	}
	return policyOf(t, loaded.Filter)
}

func reloaded(t *testing.T, l *LinuxSeccomp, target Target) *policy.Policy {
	t.Helper()
	p, err := Parse(l.JSON())
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := p.Load(target)
	if err != nil {
		t.Fatal(err)
	}
	return policyOf(t, loaded.Filter)
}

// roundTrip writes a profile for a filter, has libseccomp compile it, and compares.
// It tells whether it could be written.
func roundTrip(t *testing.T, s *scmp, name string, f bpf.Filter) bool {
	t.Helper()
	p := policyOf(t, f)
	l, err := FromPolicy(p, Target{Arch: "amd64", OCIRuntime: Crun, Known: s.known})
	if err != nil {
		var not *InexpressibleError
		if !errors.As(err, &not) {
			t.Fatal(err)
		}
		t.Logf("%s: %v", name, err)
		return false
	}
	again, err := s.filter(l, optimization(l))
	if err != nil {
		t.Fatalf("%s: libseccomp: %v\n%s", name, err, l.JSON())
	}
	if d := differences(t, p, policyOf(t, again), "amd64"); d != "" {
		t.Errorf("%s: filter -> compiled from the generated profile: %s\n%s", name, d, l.JSON())
	}
	return true
}

// TestFromPolicyRefused shows what cannot be said, each with the region that it is
// about.
func TestFromPolicyRefused(t *testing.T) {
	ret := func(r bpf.Return) bpf.Instruction { return bpf.Instruction{Op: bpf.RetK, K: uint32(r)} }
	allow, eperm, kill := ret(bpf.Allow.With(0)), ret(bpf.Errno.With(1)), ret(bpf.KillThread.With(0))
	amd64 := syscalls.AMD64.AuditArch()
	arch := bpf.Instruction{Op: bpf.LdAbsW, K: 4}
	nr := bpf.Instruction{Op: bpf.LdAbsW, K: 0}
	for _, c := range []struct {
		name   string
		filter bpf.Filter
		want   string
	}{
		{"no arch check", bpf.Filter{allow}, "architecture that is not the machine's"},
		{"an unnamed number by itself", bpf.Filter{
			arch, {Op: bpf.JeqK, K: amd64, Jt: 1}, kill,
			nr, {Op: bpf.JgeK, K: 0x40000000, Jf: 2}, {Op: bpf.JeqK, K: 0xffffffff, Jt: 1}, kill,
			{Op: bpf.JeqK, K: 400, Jf: 1}, eperm, allow,
		}, "number 400 of amd64"},
		{"the instruction pointer", bpf.Filter{
			arch, {Op: bpf.JeqK, K: amd64, Jt: 1}, kill,
			nr, {Op: bpf.JgeK, K: 0x40000000, Jf: 2}, {Op: bpf.JeqK, K: 0xffffffff, Jt: 1}, kill,
			{Op: bpf.JeqK, K: 1, Jt: 1}, allow,
			{Op: bpf.LdAbsW, K: 8}, {Op: bpf.JeqK, K: 7, Jf: 1}, eperm, allow,
		}, "write of amd64"},
		{"data of TRAP", bpf.Filter{
			arch, {Op: bpf.JeqK, K: amd64, Jt: 1}, kill,
			nr, {Op: bpf.JgeK, K: 0x40000000, Jf: 2}, {Op: bpf.JeqK, K: 0xffffffff, Jt: 1}, kill,
			{Op: bpf.JeqK, K: 1, Jf: 1}, ret(bpf.Trap.With(3)), allow,
		}, "write of amd64: no profile has the action TRAP(3)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := FromPolicy(policyOf(t, c.filter), Target{Arch: "amd64", OCIRuntime: Crun})
			var not *InexpressibleError
			if !errors.As(err, &not) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one about %q", err, c.want)
			}
			if l != nil {
				t.Errorf("there is a profile all the same:\n%s", l.JSON())
			}
		})
	}
}

// TestFromPolicyRunc: the ENOSYS stub is not to be said, it comes by itself.
func TestFromPolicyRunc(t *testing.T) {
	p, err := Parse([]byte(`{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"],
		"syscalls": [{"names": ["read", "write", "openat2"], "action": "SCMP_ACT_ALLOW"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Arch: "amd64"}
	loaded, err := p.Load(target)
	if err != nil {
		t.Fatal(err)
	}
	want, err := policy.Of(loaded.Stack(), syscalls.AMD64.ByteOrder())
	if err != nil {
		t.Fatal(err)
	}
	l, err := FromPolicy(want, target)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(l.Syscalls); l.DefaultAction != "SCMP_ACT_ERRNO" || *l.DefaultErrnoRet != 1 || n != 1 {
		t.Errorf("profile with %d entries:\n%s", n, l.JSON())
	}
	// With crun, nothing puts a stub in front.
	if _, err := FromPolicy(want, Target{Arch: "amd64", OCIRuntime: Crun}); err == nil {
		t.Error("crun can make ENOSYS of unnamed numbers only")
	}
}
