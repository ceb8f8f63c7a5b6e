package profile

import (
	"cmp"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// defaults returns what can be the default action, the likeliest first. A number
// without a name gets the default, or is left to runc's stub: so the fewest of them
// must be against it. Those with more against them than the first are not listed.
// Among equals, the one that spares the most names comes first.
func (g *generator) defaults() []bpf.Return {
	const most = 8
	type count struct{ names, unnamed uint64 }
	counts := map[bpf.Return]count{}
	var unnamed, tail uint64 // below the end of what the filter decides, and above it
	for _, abi := range g.abis {
		end := lastNumber(abi)
		if g.target.OCIRuntime != Crun {
			end = g.end(abi)
		}
		for _, rule := range g.rules {
			if rule.ABI != abi || rule.NR.First > lastNumber(abi) {
				continue
			}
			var n count
			for _, call := range abi.Table() {
				if rule.Has(abi.AuditArch(), call.Number) {
					n.names++
				}
			}
			n.unnamed = uint64(rule.NR.Last-rule.NR.First) + 1 - n.names
			if rule.NR.First > end {
				tail += n.unnamed
				n = count{}
			}
			unnamed += n.unnamed
			if len(rule.Decisions) == 1 {
				r := rule.Decisions[0].Outcome.Return
				counts[r] = count{counts[r].names + n.names, counts[r].unnamed + n.unnamed}
			}
		}
	}
	against := func(r bpf.Return) uint64 {
		n := unnamed - counts[r].unnamed
		if r != g.enosys() && !g.target.stubs(r) {
			n += tail
		}
		return n
	}
	list := make([]bpf.Return, 0, len(counts))
	for r := range counts {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b bpf.Return) int {
		return cmp.Or(cmp.Compare(against(a), against(b)), cmp.Compare(counts[b].names, counts[a].names), cmp.Compare(a, b))
	})
	list = slices.DeleteFunc(list[:min(len(list), most)], func(r bpf.Return) bool { return against(r) > against(list[0]) })
	return list
}

func (g *generator) enosys() bpf.Return {
	errno, _ := g.abis[0].ErrnoNumber("ENOSYS")
	return bpf.Errno.With(errno)
}

// end returns the last number of an ABI that the filter itself decides if a stub
// of runc is in front: all above it get ENOSYS.
func (g *generator) end(abi syscalls.ABI) uint32 {
	for _, rule := range slices.Backward(g.rules) {
		if rule.ABI == abi && rule.NR.First <= lastNumber(abi) && !always(&rule, g.enosys()) {
			return rule.NR.Last
		}
	}
	return 0
}

// always tells whether a rule has one outcome, and which.
func always(rule *policy.Rule, r bpf.Return) bool {
	return len(rule.Decisions) == 1 && rule.Decisions[0].Outcome.Return == r
}

// lastNumber returns the largest number that can be of a call of an ABI. Under amd64,
// libseccomp takes those above for none.
func lastNumber(abi syscalls.ABI) uint32 {
	switch abi {
	case syscalls.AMD64:
		return x32Bit - 1
	case syscalls.X32:
		return 2*x32Bit - 1
	}
	return 1<<32 - 1
}

// naming is which calls a profile names.
type naming struct {
	calls map[string]syscalls.ABI // each with the ABI whose rule its entries say
	// ends get the default, and are named for runc's stub to begin behind them.
	ends []string
}

// named returns which calls need to be named with a given default: those that do
// not get it, except for what is left to runc's stub, of which none may be named. A
// name is for all ABIs, so what one of them needs can move the stub of another.
func (g *generator) named(byDefault bpf.Return) naming {
	stub := g.target.stubs(byDefault)
	end := map[syscalls.ABI]uint32{}
	for _, abi := range g.abis {
		end[abi] = lastNumber(abi)
		if stub {
			end[abi] = g.end(abi)
		}
	}
	named := naming{calls: map[string]syscalls.ABI{}}
	for moved := true; moved; {
		for _, abi := range g.abis {
			for _, call := range abi.Table() {
				if _, ok := named.calls[call.Name]; !ok && call.Number <= end[abi] && g.deviates(abi, call, byDefault) {
					named.calls[call.Name] = abi
				}
			}
		}
		moved = false
		if stub {
			for _, abi := range g.abis {
				last := g.nameEnd(&named, abi, end[abi], byDefault)
				moved = moved || last != end[abi]
				end[abi] = last
			}
		}
	}
	named.ends = slices.DeleteFunc(named.ends, func(name string) bool { return named.calls[name] != 0 })
	return named
}

// nameEnd sees to it that a stub does not begin before the end, and returns where it
// does: behind the last call of the ABI that is named.
func (g *generator) nameEnd(named *naming, abi syscalls.ABI, end uint32, byDefault bpf.Return) (last uint32) {
	last = end
	first := true // of the calls that the stub can begin behind
	for _, call := range abi.Table() {
		if _, through := multiplexed(abi, call.Name); through || call.Number < end {
			continue
		}
		_, ok := named.calls[call.Name]
		if first && !ok && !g.deviates(abi, call, byDefault) && !slices.Contains(named.ends, call.Name) {
			named.ends = append(named.ends, call.Name)
		}
		if first || ok || slices.Contains(named.ends, call.Name) {
			last = call.Number
		}
		first = false
	}
	return last
}

// deviates tells whether a call does not just get the default, and by a rule of its
// own: what socketcall and ipc do comes with the rules of the calls behind them, unless
// that was not enough.
func (g *generator) deviates(abi syscalls.ABI, call syscalls.Syscall, byDefault bpf.Return) bool {
	rule := g.rule(abi, call.Number)
	if rule == nil || always(rule, byDefault) {
		return false
	}
	return len(rule.Decisions) == 1 || g.strict[call.Name] || !multiplexes(abi) || call.Name != "socketcall" && call.Name != "ipc"
}
