package syscalls

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Flags names the values of a syscall parameter: an enumeration, a set of
// bits, or both in one word, as in socket's type (SOCK_STREAM|SOCK_CLOEXEC).
type Flags struct {
	// Field has the bits that together hold one of Values: all 64 for a plain
	// enumeration, none for a plain set of bits, the low byte for the exit
	// signal in clone's flags.
	Field  uint64
	Values []Flag // sorted by value, one name each
	// Bits are sorted by value, one name each. One flag may have several bits
	// and include another: O_SYNC has that of O_DSYNC.
	Bits []Flag
}

// A Flag is a named value.
type Flag struct {
	Value uint64
	Name  string
}

type flagUse struct {
	call, param string
	abis        []ABI // nil: all
	flags       *Flags
}

// Flags returns the names of the values of a parameter, given the parameter's
// name as Params has it; nil if there are none. They are those that matter to
// seccomp profiles, and complete only where the kernel's set is closed.
func (a ABI) Flags(call, param string) *Flags {
	for i := range flagUses {
		u := &flagUses[i]
		if u.call == call && u.param == param && (u.abis == nil || slices.Contains(u.abis, a)) {
			return u.flags
		}
	}
	return nil
}

// Format writes a value in names, bits from the highest: "CLONE_NEWUSER|SIGCHLD".
// What has no name is in hexadecimal, alone or as the last term. A word of 32
// or 64 ones, which calls use for "none" or "only ask", is never taken apart.
func (f *Flags) Format(v uint64) string {
	if v == 1<<32-1 || v == 1<<64-1 {
		return fmt.Sprintf("%#x", v)
	}
	var terms []string
	for _, b := range f.split(v &^ f.Field) {
		terms = append(terms, b.Name)
		v &^= b.Value
	}
	field := v & f.Field
	if name, ok := find(f.Values, field); ok && (field != 0 || len(terms) == 0 && v == 0) {
		terms = append(terms, name)
		v &^= f.Field
	}
	if v != 0 || len(terms) == 0 {
		terms = append(terms, fmt.Sprintf("%#x", v))
	}
	return strings.Join(terms, "|")
}

// FormatMask writes the named bits of a mask, where a condition tests v & mask
// or a filter's JSET does. A part of the field has no name.
func (f *Flags) FormatMask(mask uint64) string {
	var terms []string
	for _, b := range f.split(mask &^ f.Field) {
		terms = append(terms, b.Name)
		mask &^= b.Value
	}
	if mask != 0 || len(terms) == 0 {
		terms = append(terms, fmt.Sprintf("%#x", mask))
	}
	return strings.Join(terms, "|")
}

// Value returns the value of a name, of the field or of the bits.
func (f *Flags) Value(name string) (uint64, bool) {
	for _, list := range [][]Flag{f.Values, f.Bits} {
		for _, flag := range list {
			if flag.Name == name {
				return flag.Value, true
			}
		}
	}
	return 0, false
}

// split returns the flags that make up v, those with most bits first where
// they overlap, in the order of falling values.
func (f *Flags) split(v uint64) []Flag {
	var in []Flag
	for _, b := range f.Bits {
		if v&b.Value == b.Value {
			in = append(in, b)
		}
	}
	in = slices.DeleteFunc(in, func(b Flag) bool {
		return slices.ContainsFunc(in, func(o Flag) bool {
			return o.Value&b.Value == b.Value && bits.OnesCount64(o.Value) > bits.OnesCount64(b.Value)
		})
	})
	slices.Reverse(in)
	return in
}

func find(list []Flag, v uint64) (string, bool) {
	for _, f := range list {
		if f.Value == v {
			return f.Name, true
		}
	}
	return "", false
}
