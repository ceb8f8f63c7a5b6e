package syscalls

import (
	"slices"
	"strings"
)

// Background is what a reviewer of a seccomp profile wants to know about a
// syscall. A field is empty where there is nothing certain to say.
type Background struct {
	Name string
	What string // what it does
	Risk string // why profiles restrict it
	// Capability that the kernel asks for, in the user namespace that owns the
	// object; For says for which part of the call where it is not all of it.
	Capability string
	For        string
	Since      string   // first Linux release to have it, on any architecture
	Twins      []string // other calls that reach the same, or part of it, or that it is used with
	Source     string   // where this is from, beside the page of section 2 that has its name
}

// BackgroundOf returns what is known about a syscall; false for most of those
// that profiles have no reason to restrict.
func BackgroundOf(name string) (Background, bool) {
	i, ok := slices.BinarySearchFunc(backgrounds, name, func(b Background, name string) int { return strings.Compare(b.Name, name) })
	if !ok {
		return Background{}, false
	}
	return backgrounds[i], true
}

// Backgrounds returns all of them by name. It is shared: do not modify it.
func Backgrounds() []Background { return backgrounds }
