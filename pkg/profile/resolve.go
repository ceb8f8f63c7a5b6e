package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// A resolver does what runc or crun and libseccomp do with a profile: it turns
// names into numbers of each ABI, and entries into rules.
type resolver struct {
	*Profile
	*reading
	target Target
	loaded *Loaded
	warned map[Warning]bool
	calls  map[syscalls.ABI]map[uint32]*call
	// conditional counts rules with conditions, to stop at more than will fit.
	conditional int
	// absent are calls that an ABI has not, and libseccomp has rules for all the
	// same, under pseudo-numbers. They come to nothing, but can contradict each
	// other and be in the way of others.
	absent map[syscalls.ABI]map[string]*call
}

// A call is what is known of one number.
type call struct {
	rules []Rule
	// mixed tells that at some time there were rules with different actions, of
	// which libseccomp may have refused the second whatever came after.
	mixed bool
}

// resolve fills in the loaded profile's Default, ABIs and Rules.
func (r *resolver) resolve() error {
	if err := r.flags(); err != nil {
		return err
	}
	var err error
	if r.loaded.Default, err = r.action(r.root, r.root.get("defaultAction"), r.DefaultAction, r.DefaultErrnoRet); err != nil {
		return err
	}
	if r.loaded.Default.Action() == bpf.UserNotif && r.target.OCIRuntime != Crun {
		return r.errorf(r.root.get("defaultAction"), ErrRefused, "runc does not take SCMP_ACT_NOTIFY as default action")
	}
	if err := r.architectures(); err != nil {
		return err
	}
	for i := range r.Syscalls {
		if err := r.addEntry(i); err != nil {
			return err
		}
	}
	for _, abi := range r.loaded.ABIs {
		for _, nr := range slices.Sorted(maps.Keys(r.calls[abi])) {
			c := r.calls[abi][nr]
			r.loaded.Rules = append(r.loaded.Rules, c.rules...)
			why := competing(c.rules)
			if c.mixed {
				why = differentActions
			}
			if why == "" {
				why = r.unloaded(abi)
			}
			if why != "" {
				r.loaded.Dependent = append(r.loaded.Dependent, Dependent{abi, nr, c.rules[0].Name, why})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(r.absent[abi])) {
			if r.absent[abi][name].mixed {
				r.loaded.Dependent = append(r.loaded.Dependent, Dependent{abi, NoNumber, name, differentActions})
			}
		}
	}
	return nil
}

// flags checks the flags of seccomp(2).
func (r *resolver) flags() error {
	r.loaded.Flags = r.Flags
	if r.Flags == nil {
		r.loaded.Flags = []string{"SECCOMP_FILTER_FLAG_SPEC_ALLOW"}
	}
	for i, f := range r.Flags {
		if !slices.Contains(flags, f) {
			return r.errorf(r.root.get("flags").item(i), ErrRefused, "unknown flag %s: want one of %s", quote(f), strings.Join(flags, ", "))
		}
	}
	return nil
}

// action returns what a filter returns for an action. entry is what it is of, and
// n the action itself.
func (r *resolver) action(entry, n *node, name string, errnoRet *uint) (bpf.Return, error) {
	if n == nil {
		n = entry
	}
	a, ok := actions[name]
	if !ok {
		return 0, r.errorf(n, ErrRefused, "no action: want one of %s", sorted(actions))
	}
	if a != bpf.Errno && a != bpf.Trace {
		if errnoRet != nil {
			if r.target.OCIRuntime == Crun {
				return 0, r.errorf(n, ErrRefused, "crun does not take an errno for %s", name)
			}
			r.warn(n, IgnoredValue, "an errno has no effect on %s", name)
		}
		return a.With(0), nil
	}
	const eperm = 1 // of every ABI
	if errnoRet == nil {
		return a.With(eperm), nil
	}
	data := uint16(*errnoRet) // runc and crun cut it off
	if uint(data) != *errnoRet {
		r.warn(n, IgnoredValue, "errno %d is taken as %d, its low 16 bits", *errnoRet, data)
	}
	if a == bpf.Errno && data > bpf.MaxErrno {
		return 0, r.errorf(n, ErrRefused, "errno is %d: libseccomp takes at most %d", data, bpf.MaxErrno)
	}
	return a.With(data), nil
}

// architectures finds the ABIs that the filter has rules for: the machine's own,
// and those listed.
func (r *resolver) architectures() error {
	native := syscalls.OfMachine(r.target.Arch)[0]
	r.loaded.ABIs = []syscalls.ABI{native}
	for i, name := range r.Architectures {
		n := r.root.get("architectures").item(i)
		if n == nil {
			n = r.root.get("archMap")
		}
		abi, err := syscalls.ParseSCMP(name)
		if err != nil {
			return r.errorf(n, ErrRefused, "%s knows no architecture %s", r.target.OCIRuntime, quote(name))
		}
		if abi.ByteOrder() != native.ByteOrder() {
			return r.errorf(n, ErrRefused, "%s has another byte order than the machine, %s: libseccomp does not take both", name, native)
		}
		if !slices.Contains(r.loaded.ABIs, abi) {
			r.loaded.ABIs = append(r.loaded.ABIs, abi)
		}
	}
	r.calls = map[syscalls.ABI]map[uint32]*call{}
	r.absent = map[syscalls.ABI]map[string]*call{}
	for _, abi := range r.loaded.ABIs {
		r.calls[abi] = map[uint32]*call{}
		r.absent[abi] = map[string]*call{}
	}
	return nil
}

// known tells whether libseccomp has a call of that name, for any ABI.
func (r *resolver) known(name string) bool {
	if r.target.Known != nil {
		return r.target.Known(name)
	}
	return knownCall(name)
}

func knownCall(name string) bool {
	return slices.ContainsFunc(syscalls.ABIs(), func(a syscalls.ABI) bool {
		_, ok := a.Number(name)
		return ok
	})
}

// addEntry adds the rules of the i-th entry.
func (r *resolver) addEntry(i int) error {
	e := r.Syscalls[i]
	n := r.root.get("syscalls").item(r.entry(i))
	ret, err := r.action(n, n.get("action"), e.Action, e.ErrnoRet)
	if err != nil {
		return err
	}
	if e.Names == nil && r.target.OCIRuntime == Crun {
		return r.errorf(n, ErrRefused, "crun does not take an entry without names")
	}
	sets, err := r.conditions(n, e.Args)
	if err != nil {
		return err
	}
	for j, name := range e.Names {
		at := n.get("names").item(j)
		if at == nil {
			at = n
		}
		if r.target.OCIRuntime != Crun {
			if ret.Action() == bpf.UserNotif && name == "write" {
				return r.errorf(at, ErrRefused, "runc does not take SCMP_ACT_NOTIFY for write")
			}
			if name == "" {
				return r.errorf(at, ErrRefused, "runc does not take an empty name")
			}
		}
		if !r.known(name) {
			r.unknown(at, name)
			continue
		}
		if ret == r.loaded.Default {
			continue // said once, below
		}
		for _, conditions := range sets {
			if err := r.addRule(at, Rule{Name: name, Conditions: conditions, Return: ret, Entry: r.entry(i)}); err != nil {
				return err
			}
		}
	}
	if ret == r.loaded.Default && len(e.Names) > 0 {
		r.warn(n, DefaultRule, "the entry says what the default says: it is dropped")
	}
	return nil
}

// conditions returns the sets of conditions that args is about: one of them has to
// hold. An argument that is compared twice makes each comparison a set of its own.
func (r *resolver) conditions(n *node, args []LinuxSeccompArg) ([][]Condition, error) {
	const crunTakes = 6
	if r.target.OCIRuntime == Crun && len(args) > crunTakes {
		r.warn(n, IgnoredValue, "crun takes the first %d conditions of %d", crunTakes, len(args))
		args = args[:crunTakes]
	}
	var all []Condition
	twice := false
	for i, a := range args {
		at := n.get("args").item(i)
		if a.Index > 5 {
			return nil, r.errorf(at, ErrRefused, "argument index is %d: a system call has arguments 0 to 5", a.Index)
		}
		c := a.condition()
		if c.Op == 0 {
			return nil, r.errorf(at, ErrRefused, "unknown operator %s", quote(a.Op))
		}
		twice = twice || slices.ContainsFunc(all, func(d Condition) bool { return d.Arg == c.Arg })
		all = append(all, c)
	}
	if !twice {
		slices.SortFunc(all, func(x, y Condition) int { return x.Arg - y.Arg })
		return [][]Condition{all}, nil
	}
	r.warn(n.get("args"), Alternatives, "an argument is compared twice: any one of the %d conditions is enough", len(all))
	var sets [][]Condition
	for _, c := range all {
		sets = append(sets, []Condition{c})
	}
	return sets, nil
}

// condition returns what the argument is compared with; its Op is 0 if there is no
// such operator.
func (a LinuxSeccompArg) condition() Condition {
	c := Condition{Arg: int(a.Index), Op: operators[a.Op], Value: a.Value}
	if c.Op == MaskedEqual {
		c.Mask, c.Value = a.Value, a.ValueTwo&a.Value
	}
	return c
}

// addRule adds a rule to each ABI, as arch_filter_rule_add and the arch's rule_add
// of libseccomp do.
func (r *resolver) addRule(n *node, rule Rule) error {
	for _, abi := range r.loaded.ABIs {
		rule.ABI = abi
		m, both := multiplexed(abi, rule.Name)
		if both {
			through := rule
			through.NR = m.number
			// libseccomp writes the sub-call over what the rule has to say about
			// the first argument.
			through.Conditions = []Condition{{Arg: 0, Op: Equal, Value: uint64(m.call)}}
			for _, c := range rule.Conditions {
				if c.Arg != 0 {
					through.Conditions = append(through.Conditions, c)
				}
			}
			if err := r.addTo(at(r.calls[abi], m.number), n, through); err != nil {
				return err
			}
		}
		nr, ok := abi.Number(rule.Name)
		var c *call
		switch {
		case ok:
			c = at(r.calls[abi], nr)
		case both || !multiplexes(abi):
			c = at(r.absent[abi], rule.Name)
		default:
			continue
		}
		rule.NR = nr
		if err := r.addTo(c, n, rule); err != nil {
			return err
		}
	}
	return nil
}

// addTo adds a rule to a call, as db_rule_add of libseccomp does.
func (r *resolver) addTo(c *call, n *node, rule Rule) error {
	rule.Conditions = narrow(rule.ABI, rule.Conditions)
	warn := r.warn
	if nr, ok := rule.ABI.Number(rule.Name); !ok || nr != rule.NR {
		// Of socketcall, ipc or nothing, which the profile does not speak of.
		warn = func(*node, Code, string, ...any) {}
	}
	for _, old := range c.rules {
		switch {
		case slices.Equal(old.Conditions, rule.Conditions) && old.Return == rule.Return:
			warn(n, Duplicate, "the rule for %s repeats one of syscalls[%d]", rule.Name, old.Entry)
			return nil
		case slices.Equal(old.Conditions, rule.Conditions) && len(rule.Conditions) > 0:
			return r.errorf(n, ErrRefused, "the rule for %s contradicts one of syscalls[%d] under %s: the conditions are the same, the actions are not", rule.Name, old.Entry, rule.ABI)
		case prefix(old.Conditions, rule.Conditions):
			warn(n, Shadowed, "the rule for %s has no effect: syscalls[%d] has the call with fewer conditions", rule.Name, old.Entry)
			c.mixed = c.mixed || old.Return != rule.Return && len(old.Conditions) > 0
			return nil
		}
	}
	c.rules = slices.DeleteFunc(c.rules, func(old Rule) bool {
		if !prefix(rule.Conditions, old.Conditions) {
			return false
		}
		warn(r.root.get("syscalls").item(old.Entry), Shadowed, "the rule for %s has no effect: syscalls[%d] has the call with fewer conditions", old.Name, rule.Entry)
		c.mixed = c.mixed || old.Return != rule.Return && len(rule.Conditions) > 0
		return true
	})
	if len(rule.Conditions) > 0 {
		if r.conditional++; r.conditional > bpf.MaxInstructions {
			return r.errorf(n, bpf.ErrTooLong, "this is rule %d with conditions, and a filter has at most %d instructions", r.conditional, bpf.MaxInstructions)
		}
	}
	c.rules = append(c.rules, rule)
	c.mixed = c.mixed || competing(c.rules) == differentActions
	return nil
}

// at returns what a map has for a key, and makes it if there is nothing.
func at[K comparable](m map[K]*call, key K) *call {
	c := m[key]
	if c == nil {
		c = &call{}
		m[key] = c
	}
	return c
}

// narrow returns conditions as libseccomp compares them under an ABI: 64 bits or
// the low 32, and what is always true left out.
func narrow(abi syscalls.ABI, conditions []Condition) []Condition {
	var list []Condition
	for _, c := range conditions {
		if words(abi) == 1 {
			c.Value, c.Mask = c.Value&0xffffffff, c.Mask&0xffffffff
		}
		if c.Op == MaskedEqual && c.Mask == 0 {
			continue
		}
		list = append(list, c)
	}
	return list
}

// words returns how many 32-bit words of an argument libseccomp looks at. For x32
// that is one, though its arguments have 64 bits.
func words(abi syscalls.ABI) int {
	switch abi {
	case syscalls.X32, syscalls.MIPSN32, syscalls.MIPSN32LE:
		return 1
	}
	return abi.Bits() / 32
}

func (c Condition) String() string {
	if c.Op == MaskedEqual {
		return fmt.Sprintf("args[%d] & %#x == %#x", c.Arg, c.Mask, c.Value)
	}
	return fmt.Sprintf("args[%d] %s %#x", c.Arg, c.Op, c.Value)
}
