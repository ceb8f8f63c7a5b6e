package profile

import (
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A Code says what a Warning is about.
type Code string

const (
	// IgnoredKey: another reader knows the key, the one at hand does not.
	IgnoredKey Code = "ignored-key"
	// UnknownKey: no reader knows it.
	UnknownKey Code = "unknown-key"
	// KeyCase: the key is not spelt as it should be, and taken all the same.
	KeyCase Code = "key-case"
	// DuplicateKey: an object has the key before; the last one counts.
	DuplicateKey Code = "duplicate-key"
	// UnknownSyscall: libseccomp has no call of that name, and skips it.
	UnknownSyscall Code = "unknown-syscall"
	// IgnoredValue: something without effect, or cut off.
	IgnoredValue Code = "ignored-value"
	// DefaultRule: an entry with the default action is dropped.
	DefaultRule Code = "default-rule"
	// Duplicate: the same rule was there before.
	Duplicate Code = "duplicate-rule"
	// Shadowed: a rule that another one leaves nothing of.
	Shadowed Code = "shadowed-rule"
	// Alternatives: conditions that look as if all had to hold, and of which one
	// is enough.
	Alternatives Code = "alternatives"
	// AllowByDefault: what is not listed is executed.
	AllowByDefault Code = "allow-by-default"
	// NativeOnly: the machine's other ABIs are not listed, so their calls are
	// killed.
	NativeOnly Code = "native-only"
)

// A Warning is something that a profile says and that does not happen, or that is
// probably not meant.
type Warning struct {
	Code         Code
	Line, Column int // as of Error
	Path         string
	Text         string
}

func (w Warning) String() string { return locate(w.Line, w.Column, w.Path) + w.Text }

// MaxWarnings is how many warnings are made of one profile. One that has more to
// warn of is not read for them.
const MaxWarnings = 1000

// warn adds a warning about n, unless it was made before: an entry is looked at
// once for each ABI.
func (r *resolver) warn(n *node, code Code, format string, args ...any) {
	if len(r.warned) >= MaxWarnings {
		return
	}
	w := Warning{Code: code, Text: fmt.Sprintf(format, args...)}
	w.Line, w.Column, w.Path = r.where(n)
	if !r.warned[w] {
		r.warned[w] = true
		r.loaded.Warnings = append(r.loaded.Warnings, w)
	}
}

// unknown warns of a name that libseccomp has not.
func (r *resolver) unknown(n *node, name string) {
	switch {
	case len(r.warned) >= MaxWarnings: // and no time for hints
	case knownCall(name):
		r.warn(n, UnknownSyscall, "the node's libseccomp has no call %s: it is skipped", quote(name))
	default:
		r.warn(n, UnknownSyscall, "there is no call %s: it is skipped%s", quote(name), hint(name, callNames()))
	}
}

// hint asks for the name that is closest to a misspelt one, if one is close.
func hint(s string, names []string) string {
	if name := nearest(s, names); name != "" {
		return fmt.Sprintf("; is it %q?", name)
	}
	return ""
}

// lint warns of the profile as a whole.
func (r *resolver) lint() {
	if a := r.loaded.Default.Action(); a == bpf.Allow || a == bpf.Log {
		r.warn(r.root.get("defaultAction"), AllowByDefault, "what is not listed is executed: also what a later kernel adds, and other names of what is listed")
	}
	if machine := syscalls.OfMachine(r.target.Arch); len(machine) > 1 && len(r.loaded.ABIs) == 1 {
		r.warn(r.root, NativeOnly, "only the machine's own architecture, %s, is listed: a thread that makes a call of another (%v) is killed", machine[0], machine[1:])
	}
}
