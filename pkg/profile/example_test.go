//go:build linux

package profile_test

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A profile for Docker, used as a Localhost profile under containerd, allows what it
// was to allow for privileged containers only.
func ExampleProfile_Load() {
	p, err := profile.Parse([]byte(`{
	"defaultAction": "SCMP_ACT_ERRNO",
	"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
	"syscalls": [
		{"names": ["read", "write", "exit_group"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}}
	]
}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	var policies []*policy.Policy
	for _, runtime := range []profile.Runtime{profile.DockerEngine, profile.Containerd} {
		loaded, err := p.Load(profile.Target{Runtime: runtime, OCIRuntime: profile.Crun, Arch: "amd64"})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, w := range loaded.Warnings {
			fmt.Printf("%s: %s\n", runtime, w)
		}
		exact, err := policy.Of(loaded.Stack(), syscalls.AMD64.ByteOrder())
		if err != nil {
			fmt.Println(err)
			return
		}
		policies = append(policies, exact)
	}
	c, err := policy.Compare(policies[0], policies[1], policy.Options{ABIs: syscalls.OfMachine("amd64")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Relation)
	for _, d := range c.Differences {
		fmt.Printf("%s of %s: %s, then %s\n", d.Name(), d.ABI, d.A.Format(d.ABI), d.B.Format(d.ABI))
	}
	// Output:
	// containerd: seccomp profile: line 6 column 52: syscalls[1].includes: containerd ignores "includes": the entry applies always
	// Looser
	// mount of amd64: ERRNO(EPERM), then ALLOW
	// mount of x32: ERRNO(EPERM), then ALLOW
	// mount of 386: ERRNO(EPERM), then ALLOW
}
