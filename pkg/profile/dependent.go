package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// Dependent is a call whose rules compete with each other, so that what happens
// depends on how libseccomp, in the version there is, arranges their comparisons.
// The filter that was made for it here takes the first rule that holds.
//
// The rules of a call do not compete if there is one, or if all have the same
// action and
//
//   - all comparisons are SCMP_CMP_EQ or SCMP_CMP_MASKED_EQ, or
//   - each rule is one comparison, with a constant below 2^32.
//
// Rules that all begin with SCMP_CMP_EQ of the same argument compete only with
// those that have the same constant there, and among those the second exception does
// not hold: so it is with socketcall and ipc.
//
// A whole ABI is in the list if the profile has rules for calls that the ABI has
// not, and no rule without conditions for one that it has: libseccomp (seen: 2.5.4)
// then compares the number before it has loaded it.
type Dependent struct {
	ABI    syscalls.ABI
	NR     uint32 // NoNumber for one that the ABI has not, where the question is if the container starts
	Name   string
	Reason string
}

// NoNumber is the number of no call.
const NoNumber = ^uint32(0)

// Reasons of Dependent.
const (
	differentActions = "rules with different actions: which one wins where both hold is the compiler's choice, or it refuses them and the container does not start"
	complexRules     = "several rules that compare for more than equality: the compiler may not keep their meaning"
)

// competing tells why the rules of a call compete, "" if they do not.
func competing(rules []Rule) string {
	if len(rules) < 2 {
		return ""
	}
	if groups := byFirst(rules); groups != nil {
		for _, g := range groups {
			if why := competingTails(g); why != "" {
				return why
			}
		}
		return ""
	}
	if !sameReturn(rules) {
		return differentActions
	}
	if equalities(rules) || singles(rules) {
		return ""
	}
	return complexRules
}

// competingTails is competing for rules that begin alike, without that beginning.
// Single comparisons are no exception there.
func competingTails(rules []Rule) string {
	switch {
	case len(rules) < 2:
		return ""
	case !sameReturn(rules):
		return differentActions
	case !equalities(rules):
		return complexRules
	}
	return ""
}

func sameReturn(rules []Rule) bool {
	return !slices.ContainsFunc(rules, func(r Rule) bool { return r.Return != rules[0].Return })
}

func equalities(rules []Rule) bool {
	return !slices.ContainsFunc(rules, func(r Rule) bool {
		return slices.ContainsFunc(r.Conditions, func(c Condition) bool { return c.Op != Equal && c.Op != MaskedEqual })
	})
}

func singles(rules []Rule) bool {
	return !slices.ContainsFunc(rules, func(r Rule) bool {
		return len(r.Conditions) != 1 || r.Conditions[0].Value >= 1<<32 || r.Conditions[0].Mask >= 1<<32
	})
}

// byFirst groups rules that all begin with an equality of the same argument by its
// constant, and takes it away from them. Else it returns nil.
func byFirst(rules []Rule) map[uint64][]Rule {
	groups := map[uint64][]Rule{}
	for _, rule := range rules {
		if len(rule.Conditions) == 0 {
			return nil
		}
		first := rule.Conditions[0]
		if first.Op != Equal || first.Arg != rules[0].Conditions[0].Arg {
			return nil
		}
		rule.Conditions = rule.Conditions[1:]
		groups[first.Value] = append(groups[first.Value], rule)
	}
	return groups
}

// unloaded tells why libseccomp may not load the number for an ABI, "" if it does.
// It puts the calls with the shortest rules first, which can be one that the ABI
// has not. That is left out in the end, and the load with it.
func (r *resolver) unloaded(abi syscalls.ABI) string {
	for _, a := range r.loaded.ABIs {
		// amd64 and x32 are one program.
		if len(r.absent[a]) > 0 && a.AuditArch() == abi.AuditArch() && !r.unconditional(a) {
			return fmt.Sprintf("all calls that %s has are under conditions, and there are rules for others (%s): libseccomp may compare the number before it has loaded it",
				a, strings.Join(slices.Sorted(maps.Keys(r.absent[a])), ", "))
		}
	}
	return ""
}

// unconditional tells whether an ABI has a call with a rule without conditions.
func (r *resolver) unconditional(abi syscalls.ABI) bool {
	for _, c := range r.calls[abi] {
		if len(c.rules) > 0 && len(c.rules[0].Conditions) == 0 {
			return true
		}
	}
	return false
}
