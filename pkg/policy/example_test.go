package policy_test

import (
	"encoding/binary"
	"fmt"
	"log"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// denyFamily returns a filter for amd64 that lets socket(2) fail for an address
// family.
func denyFamily(family uint32) bpf.Filter {
	return bpf.Filter{
		{Op: bpf.LdAbsW, K: 4}, // arch
		{Op: bpf.JeqK, K: syscalls.AMD64.AuditArch(), Jf: 7},
		{Op: bpf.LdAbsW, K: 0}, // nr
		{Op: bpf.JeqK, K: 41, Jf: 5},
		{Op: bpf.LdAbsW, K: 20}, // args[0], high word
		{Op: bpf.JeqK, K: 0, Jf: 3},
		{Op: bpf.LdAbsW, K: 16}, // args[0], low word
		{Op: bpf.JeqK, K: family, Jf: 1},
		{Op: bpf.RetK, K: uint32(bpf.Errno.With(1))},
		{Op: bpf.RetK, K: uint32(bpf.Allow.With(0))},
	}
}

func mustOf(filters ...bpf.Filter) *policy.Policy {
	p, err := policy.Of(filters, binary.LittleEndian)
	if err != nil {
		log.Fatal(err)
	}
	return p
}

func ExampleCompare() {
	a := mustOf(denyFamily(38))
	b := mustOf(denyFamily(38), denyFamily(40)) // another filter on top
	c, err := policy.Compare(a, b, policy.Options{ABIs: syscalls.OfMachine("amd64")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("B is", c.Relation)
	for _, d := range c.Differences {
		fmt.Printf("%s %s: %s when %s, was %s\n", d.ABI, d.Name(), d.B.Format(d.ABI), d.Condition, d.A.Format(d.ABI))
		fmt.Printf("for instance with args[0] = %d\n", d.Witness.CallA.Args[0])
	}
	// Output:
	// B is Tighter
	// amd64 socket: ERRNO(EPERM) when family == AF_VSOCK, was ALLOW
	// for instance with args[0] = 40
}

func ExamplePolicy_AtMost() {
	baseline := mustOf(denyFamily(38))
	container := mustOf(denyFamily(40))
	ok, witness, err := container.AtMost(baseline)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("at most as permissive:", ok)
	fmt.Printf("args[0] = %d: %v rather than %v\n", witness.CallB.Args[0], witness.B.Return, witness.A.Return)
	// Output:
	// at most as permissive: false
	// args[0] = 38: ALLOW rather than ERRNO(1)
}

func ExamplePolicy_Partition() {
	partition, err := mustOf(denyFamily(38)).Partition(policy.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range partition.Rules {
		if r.Name() == "" {
			continue
		}
		for _, d := range r.Decisions {
			fmt.Printf("%s: %s when %s\n", r.Name(), d.Outcome.Format(r.ABI), d.Condition)
		}
	}
	// Output:
	// socket: ALLOW when family != AF_ALG
	// socket: ERRNO(EPERM) when family == AF_ALG
}

// An int is the low half of a register: with something above it, the filter
// does not recognise the value, and the kernel takes it all the same.
func ExamplePolicy_KernelView() {
	p := mustOf(denyFamily(38))
	call := &bpf.Data{Arch: syscalls.AMD64.AuditArch(), NR: 41, Args: [6]uint64{38}}
	fmt.Println("as written:", p.Outcome(call).Return)
	fmt.Println("as the kernel sees it:", p.KernelView().Outcome(call).Return)
	// Output:
	// as written: ERRNO(1)
	// as the kernel sees it: ALLOW
}

func ExamplePolicy_Fingerprint() {
	// The order of filters that return the same does not matter.
	a, err := mustOf(denyFamily(38), denyFamily(40)).Fingerprint()
	if err != nil {
		log.Fatal(err)
	}
	b, err := mustOf(denyFamily(40), denyFamily(38)).Fingerprint()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a == b)
	// Output: true
}
