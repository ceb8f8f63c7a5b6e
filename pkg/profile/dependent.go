package profile

import "github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"

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
// those that have the same constant there: so it is with socketcall and ipc.
type Dependent struct {
	ABI    syscalls.ABI
	NR     uint32
	Name   string
	Reason string
}

// competing tells why the rules of a call compete, "" if they do not.
func competing(rules []Rule) string {
	if len(rules) < 2 {
		return ""
	}
	if groups := byFirst(rules); groups != nil {
		for _, g := range groups {
			if why := competing(g); why != "" {
				return why
			}
		}
		return ""
	}
	equalities, single := true, true
	for _, rule := range rules {
		if rule.Return != rules[0].Return {
			return "rules with different actions: which one wins where both hold is the compiler's choice"
		}
		single = single && len(rule.Conditions) == 1
		for _, c := range rule.Conditions {
			equalities = equalities && (c.Op == Equal || c.Op == MaskedEqual)
			single = single && c.Value < 1<<32 && c.Mask < 1<<32
		}
	}
	if equalities || single {
		return ""
	}
	return "several rules that compare more than one argument, or 64 bits, for more than equality: the compiler may not keep their meaning"
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
