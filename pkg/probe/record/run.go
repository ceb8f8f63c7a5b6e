package record

import (
	"strings"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// Request is what to record.
type Request struct {
	Targets  []string      // containers, by their ID as a pod's status has it
	Duration time.Duration // how long
	// New has containers recorded that come meanwhile, whatever they are: who has
	// asked knows which are meant.
	New bool
}

// Sink takes messages: a *wire.Writer.
type Sink interface {
	Write(wire.Message) error
}

// lookInterval is between two looks at whether containers still run.
const lookInterval = time.Second

// maxNew bounds how many containers are recorded that come while others are: a node
// runs some hundred at most, and each pod has one more, its sandbox.
const maxNew = 512

// target is a container to be recorded.
type target struct {
	ref    string
	init   proc.Process
	places []proc.Place
}

// choose returns the hierarchy of cgroups that most targets are in by their
// container's name, and each target's place there; nil for those that have none.
// A node's runtime puts all its containers into the same hierarchies.
func choose(targets []target) (controllers string, places []*proc.Place) {
	count := make(map[string]int)
	var order []string
	for _, t := range targets {
		for _, p := range t.places {
			// Of version 1, those that kubelet has a cgroup in for every container.
			if p.Controllers != "" && !known(p.Controllers) {
				continue
			}
			if count[p.Controllers]++; count[p.Controllers] == 1 {
				order = append(order, p.Controllers)
			}
		}
	}
	for i, c := range order {
		if i == 0 || count[c] > count[controllers] {
			controllers = c
		}
	}
	for _, t := range targets {
		var at *proc.Place
		for i := range t.places {
			if len(order) > 0 && t.places[i].Controllers == controllers {
				at = &t.places[i]
			}
		}
		places = append(places, at)
	}
	return controllers, places
}

// known reports whether a hierarchy is one of the controllers that containers are
// looked for in.
func known(controllers string) bool {
	for c := range strings.SplitSeq(controllers, ",") {
		if c == "pids" || c == "memory" || c == "cpu" {
			return true
		}
	}
	return false
}

// usualHierarchy returns that of a node's hierarchies which a container that comes will be
// looked for in.
func usualHierarchy(all []string) string {
	for _, c := range all {
		if c != "" && known(c) {
			return c
		}
	}
	return "" // version 2
}

// message is what is to be said of a container.
func message(ref string, began, ended time.Time, c Counts) *wire.Recorded {
	m := &wire.Recorded{
		Target: ref, BeganNS: began.UnixNano(), EndedNS: ended.UnixNano(), Unclear: c.Unclear,
		LostCalls: c.Lost.Calls, LostValues: c.Lost.Values, LostRefusals: c.Lost.Refusals,
		LostOrigins: c.Lost.Origins, LostRuns: c.Lost.Runs,
	}
	of := func(c Call, n uint64) wire.Calls {
		return wire.Calls{ABI: c.ABI.String(), NR: c.NR, Runtime: c.Runtime, Count: n}
	}
	for _, n := range c.Calls {
		if len(m.Calls) == wire.MaxCalls {
			m.LostCalls += n.Count
			continue
		}
		m.Calls = append(m.Calls, of(n.Call, n.Count))
	}
	for _, v := range c.Values {
		if len(m.Values) == wire.MaxValues {
			m.LostValues += v.Count
			continue
		}
		m.Values = append(m.Values, wire.Value{Calls: of(v.Call, v.Count), Arg: v.Arg, Value: v.Value})
	}
	for _, r := range c.Refused {
		if len(m.Refused) == wire.MaxRefused {
			m.LostRefusals += r.Count
			continue
		}
		m.Refused = append(m.Refused, wire.Refused{Calls: of(r.Call, r.Count), Return: r.Return})
	}
	return m
}
