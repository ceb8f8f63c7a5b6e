package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/policy"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/report"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// denialReader makes of what a probe tells of refused calls what is shown. The filters
// are run here with each call: the node's word is only for what came of it.
type denialReader struct {
	rules map[ruleKey]*rule
}

// A ruleKey is a number under a stack of filters of a node.
type ruleKey struct {
	node  string
	stack int
	arch  uint32
	nr    uint32
}

// rule is what a stack does with the calls of a number; nil if that is not known.
type rule struct{ decisions []policy.Decision }

// read returns one refused call of a container.
func (r *denialReader) read(source v1alpha1.Source, abis []syscalls.ABI, node string, d *report.Denial) *v1alpha1.Denial {
	abi, _ := syscalls.ParseABI(d.ABI) // which was checked when the report was read
	call := bpf.Data{NR: d.NR, Arch: abi.AuditArch(), IP: d.IP, Args: d.Args}
	name, _ := abi.Name(d.NR)
	out := &v1alpha1.Denial{
		TypeMeta: v1alpha1.TypeMeta("Denial"), Source: source, Time: metav1.NewMicroTime(time.Unix(0, d.TimeNS).UTC()), Count: count(d.Held + 1),
		Process: v1alpha1.Caller{PID: d.PID, TID: d.TID, NSPID: d.NSPID, NSTID: d.NSTID, Comm: terminal.Escape(d.Process), Thread: terminal.Escape(d.Comm), Runtime: d.Runtime},
		ABI:     abi.String(), Syscall: name, Witness: *newWitness(policy.Scope{ABI: abi}, call),
	}
	// Where the program was is no part of what it called.
	out.Call = formatCall(abi, bpf.Data{NR: call.NR, Arch: call.Arch, Args: call.Args})
	out.Outcome, out.Result = outcomeOf(d.How, d.Return, abi)
	if d.Filters == nil {
		out.Detail = "its filters could not be had, so that it is not known which of them did this"
		return out
	}
	order := abis[0].ByteOrder()
	run := d.Filters.Run(&call, order)
	action := actionOf(policy.Outcome{Return: run.Ret}, abi)
	out.Action = &action
	out.Detail = disagreement(d, run.Ret)
	if out.Detail != "" {
		return out
	}
	var text bytes.Buffer
	if err := d.Filters[run.Filter].Disassemble(&text, abis); err == nil {
		lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		first, end := max(run.PC-linesBefore, 0), min(run.PC+linesAfter+1, len(lines))
		out.DecidedBy = &v1alpha1.Instruction{Filter: run.Filter, Filters: len(d.Filters), PC: run.PC, First: first, Listing: lines[first:end]}
	}
	rule := r.rule(ruleKey{node, d.Stack, call.Arch, call.NR}, d.Filters, abis)
	switch {
	case rule == nil:
		out.Detail = "when the filters do this is not worked out: they are too large, or tell too many calls apart"
	default:
		for _, decision := range rule.decisions {
			if decision.Condition.Holds(&call) {
				out.Condition, out.Outline = words(decision.Condition)
			}
		}
	}
	if out.Refused() {
		out.Remedy = remedy(d.Filters, abis, abi, call)
	}
	return out
}

// outcomeOf is what became of a call, and what its caller was given.
func outcomeOf(how wire.How, ret int64, abi syscalls.ABI) (v1alpha1.DenialOutcome, string) {
	switch how {
	case wire.HowBegan:
		return v1alpha1.OutcomeExecuted, ""
	case wire.HowEnded:
		return v1alpha1.OutcomeKilled, ""
	case wire.HowSignal:
		return v1alpha1.OutcomeSignal, ""
	}
	if ret < 0 && ret >= -maxErrno {
		return v1alpha1.OutcomeFailed, errnoName(abi, uint16(-ret))
	}
	return v1alpha1.OutcomeFailed, strconv.FormatInt(ret, 10)
}

// disagreement says why what became of a call is not what the filters make of it;
// "" if it is.
func disagreement(d *report.Denial, ret bpf.Return) string {
	want, ok := "", false
	switch ret.Action() {
	case bpf.Errno:
		ok = d.How == wire.HowReturned && d.Return == -int64(ret.Data())
		want = "the filters have it fail with another result"
	case bpf.Trap, bpf.KillProcess:
		ok = d.How == wire.HowSignal
		want = "the filters have the thread get SIGSYS"
	case bpf.KillThread:
		ok = d.How == wire.HowSignal || d.How == wire.HowEnded
		want = "the filters have the thread end"
	case bpf.UserNotif, bpf.Trace:
		ok = d.How == wire.HowReturned || d.How == wire.HowBegan
		want = "the filters hand it on"
	case bpf.Log:
		ok = d.How == wire.HowBegan
		want = "the filters let it be executed, and it was not: a tracer, or syscall user dispatch, has left it out"
	default:
		want = "the filters allow it, and it was not executed: a tracer, or syscall user dispatch, has left it out"
	}
	if ok {
		return ""
	}
	return want
}

// maxRules bounds what is kept of what stacks do.
const maxRules = 4096

// rule returns what a stack does with the calls of a number.
func (r *denialReader) rule(key ruleKey, stack bpf.Stack, abis []syscalls.ABI) *rule {
	if known, ok := r.rules[key]; ok {
		return known
	}
	if r.rules == nil || len(r.rules) >= maxRules {
		r.rules = make(map[ruleKey]*rule)
	}
	r.rules[key] = nil
	p, err := policy.Try(stack, abis[0].ByteOrder(), policy.SmallBudget)
	if err != nil {
		return nil
	}
	partition, err := p.Partition(policy.Options{ABIs: abis})
	if err != nil || partition.Truncated {
		return nil
	}
	if found, ok := partition.Find(key.arch, key.nr); ok {
		r.rules[key] = &rule{found.Decisions}
	}
	return r.rules[key]
}

// remedy is how a call could be allowed that filters refuse. What a profile says
// becomes the oldest filters; those above are the application's.
func remedy(stack bpf.Stack, abis []syscalls.ABI, abi syscalls.ABI, call bpf.Data) *v1alpha1.Remedy {
	order := abis[0].ByteOrder()
	name, _ := abi.Name(call.NR)
	out := new(v1alpha1.Remedy)
	var refuse []string
	oldest := false
	for i, f := range stack {
		run := bpf.Stack{f}.Run(&call, order)
		if a := run.Ret.Action(); a == bpf.Allow || a == bpf.Log {
			continue
		}
		if i == 0 {
			oldest = true
			continue
		}
		refuse = append(refuse, strconv.Itoa(i+1))
	}
	switch {
	case len(refuse) > 0:
		out.Change = fmt.Sprintf("no profile would do: filter %s of %d refuses it, which was installed on top of the oldest, as by the application itself", strings.Join(refuse, " and "), len(stack))
		return out
	case !oldest:
		return nil // no filter refuses it
	case name == "":
		out.Change = "no rule would do: number " + strconv.FormatUint(uint64(call.NR), 10) + " has no name, and rules go by names"
		return out
	}
	// What the filter makes of a number that no syscall has is what the profile does
	// by default.
	beyond := bpf.Data{NR: unassigned, Arch: abis[0].AuditArch()}
	if a := stack[:1].Run(&beyond, order).Ret.Action(); a == bpf.Allow || a == bpf.Log {
		out.Change = "take " + name + " out of the rule of the profile that refuses it: what the profile does not name is allowed"
		out.Allows = []string{"every call of " + name + " that the rule is about"}
		out.Risk = risk(name)
		return out
	}
	reads := stack[:1].Run(&call, order).Reads
	r := profile.LinuxSyscall{Names: []string{name}, Action: "SCMP_ACT_ALLOW"}
	var given []string
	params := abi.Params(name)
	for i, arg := range call.Args {
		if !reads.Has(bpf.Arg(i)) && !reads.Has(bpf.ArgHigh(i)) {
			continue
		}
		is := profile.LinuxSeccompArg{Index: uint(i), Value: arg, Op: "SCMP_CMP_EQ"}
		param := fmt.Sprintf("argument %d", i+1)
		if i < len(params) {
			param = params[i].Name
			// Runtimes compare all 64 bits, and what is above those that the kernel
			// looks at may be anything.
			if bits := params[i].Bits; bits < 64 {
				mask := uint64(1)<<bits - 1
				is.Op, is.Value, is.ValueTwo = "SCMP_CMP_MASKED_EQ", mask, arg&mask
			}
		}
		r.Args = append(r.Args, is)
		given = append(given, param)
	}
	rule, err := json.Marshal(r)
	if err != nil {
		return nil // strings and numbers
	}
	out.Rule = string(rule)
	out.Change = "add the rule to the profile, in place of one that refuses the same call"
	if len(given) > 0 {
		out.Allows = append(out.Allows, fmt.Sprintf("%s with this %s, whatever its other arguments are", name, strings.Join(given, " and ")))
	} else {
		out.Allows = append(out.Allows, name+" with any arguments")
	}
	var also []string
	for _, other := range abis {
		if _, ok := other.Number(name); ok && other != abi {
			also = append(also, other.String())
		}
	}
	if len(also) > 0 {
		out.Allows = append(out.Allows, "the same of "+strings.Join(also, " and ")+", if the profile has these architectures")
	}
	out.Risk = risk(name)
	return out
}

// unassigned is a number that no syscall of any ABI has.
const unassigned = 0x3ffffff0

func risk(name string) string {
	b, _ := syscalls.BackgroundOf(name)
	return b.Risk
}

// alikeDenials puts together the calls that are alike, the most frequent first.
func alikeDenials(list []*v1alpha1.Denial) (items []v1alpha1.Denial) {
	type key struct {
		container, abi, nr, result string
		outcome                    v1alpha1.DenialOutcome
		action                     v1alpha1.Action
		filter, filters, pc        int
		detail, rule               string
		runtime                    bool
	}
	at := make(map[key]int)
	for _, d := range list {
		k := key{container: d.Source.ContainerID, abi: d.ABI, nr: d.NR, outcome: d.Outcome, result: d.Result, filter: -1, detail: d.Detail, runtime: d.Process.Runtime}
		if d.Action != nil {
			k.action = *d.Action
		}
		if by := d.DecidedBy; by != nil {
			k.filter, k.filters, k.pc = by.Filter, by.Filters, by.PC
		}
		// One instruction may refuse all that is not named: of
		// calls that differ in what the filters look at, a rule for one allows no other.
		if d.Remedy != nil {
			k.rule = d.Remedy.Rule
		}
		i, ok := at[k]
		if !ok {
			at[k] = len(items)
			one := d.DeepCopy()
			one.Count = 1
			items = append(items, *one)
			continue
		}
		items[i].Count++
	}
	return items
}

// addCounted adds the calls of a container that were only counted, by kind: to those
// that they are like, if it is clear which, and else to the container. A kind says
// nothing of arguments: where the filters look at these, it is not clear.
func addCounted(items []v1alpha1.Denial, w *v1alpha1.Watched, counted []v1alpha1.CountedDenials) {
	for _, c := range counted {
		found := -1
		for i, d := range items {
			if d.Source.ContainerID != w.Source.ContainerID || d.ABI != c.ABI || d.Outcome != c.Outcome || c.NR != d.NR || c.Result != resultKind(d) {
				continue
			}
			if found >= 0 {
				found = -1
				break
			}
			found = i
		}
		if found >= 0 && alwaysDenied(&items[found]) {
			items[found].Count += c.Count
		} else {
			w.Counted = append(w.Counted, c)
		}
	}
}

// alwaysDenied tells whether the filters do the same with the syscall whatever its
// arguments are.
func alwaysDenied(d *v1alpha1.Denial) bool {
	return d.DecidedBy != nil && d.Condition == "" && d.Detail == ""
}

// resultKind is a result as calls are counted by it.
func resultKind(d v1alpha1.Denial) string {
	if n, err := strconv.ParseInt(d.Result, 10, 64); err == nil && n != 0 && (n > 0 || n < -maxErrno) {
		return resultOther
	}
	return d.Result
}

const resultOther = "other"

// countedOf names the kinds of calls that were only counted: since the last Denial of
// each, and before, unless that was told with the Denial.
func countedOf(t *report.Target, told bool) (list []v1alpha1.CountedDenials) {
	add := func(abiName string, nr uint32, how wire.How, result int64, n uint64) {
		if n == 0 {
			return
		}
		abi, _ := syscalls.ParseABI(abiName)
		c := v1alpha1.CountedDenials{}
		c.RecordedCall, _ = recordedCall(wire.Calls{ABI: abiName, NR: nr, Count: n})
		c.Outcome, c.Result = outcomeOf(how, result, abi)
		if c.Outcome == v1alpha1.OutcomeFailed && result > 0 {
			c.Result = resultOther
		}
		i := slices.IndexFunc(list, func(o v1alpha1.CountedDenials) bool {
			return o.ABI == c.ABI && o.NR == c.NR && o.Outcome == c.Outcome && o.Result == c.Result
		})
		if i < 0 {
			list = append(list, c)
		} else {
			list[i].Count += c.Count
		}
	}
	for _, d := range t.Denials {
		if told {
			break
		}
		result := d.Return
		if result < -maxErrno {
			result = 1
		}
		add(d.ABI, d.NR, d.How, result, d.Held)
	}
	if t.Denied != nil {
		for _, h := range t.Denied.Held {
			add(h.ABI, h.NR, h.How, int64(h.Result), h.Count)
		}
	}
	return list
}
