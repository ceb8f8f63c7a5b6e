package policy

import (
	"fmt"
	"io"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// MaxDOT is the most nodes of a diagram that WriteDOT writes. Graphviz takes
// minutes for more, and nobody can read them.
const MaxDOT = 10_000

// WriteDOT writes the policy's diagram in Graphviz's language. A node asks for one
// bit of the call; the branch for 0 is dashed. Errnos have their names of an ABI.
func (p *Policy) WriteDOT(w io.Writer, abi syscalls.ABI) error {
	if n := p.Size(); n > MaxDOT {
		return fmt.Errorf("draw a policy: its diagram has %d nodes, more than the %d that can be drawn", n, MaxDOT)
	}
	return p.diagram.WriteDOT(w,
		func(level int) string {
			word, bit := p.form.bitOf(level)
			return fmt.Sprintf("%s bit %d", word.name(), bit)
		},
		func(leaf uint64) string { return outcome(leaf).Format(abi) })
}

// name is what a 32-bit word of a call is called.
func (w word) name() string {
	half := "low"
	if w%2 == 0 {
		half = "high" // the words of upper halves are even
	}
	switch {
	case w == wordArch:
		return "arch"
	case w == wordNR:
		return "nr"
	case w < wordArg0High:
		return "ip " + half
	}
	return fmt.Sprintf("args[%d] %s", (w-wordArg0High)/2, half)
}
