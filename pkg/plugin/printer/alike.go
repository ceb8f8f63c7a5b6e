package printer

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/terminal"
)

// dumps prints dumps, those of containers that are confined alike as one unless
// single threads are wanted.
func (o *output) dumps(dumps []v1alpha1.Dump, h Human) {
	ways := waysOf(dumps, h.Threads)
	if len(ways) > 1 && !h.Threads {
		var parts []string
		for i, way := range ways {
			if i == maxWays && len(ways) > maxWays+1 {
				parts = append(parts, fmt.Sprintf("and %d more", len(ways)-maxWays))
				break
			}
			parts = append(parts, fmt.Sprintf("%d like %s", len(way), container(way[0].Source)))
		}
		noun := "containers"
		if slices.ContainsFunc(dumps, func(d v1alpha1.Dump) bool { return d.Source.Container == "" }) {
			noun = "sources"
		}
		o.verdict(terminal.Bold, "%d %s, confined in %d ways: %s", len(dumps), noun, len(ways), strings.Join(parts, ", "))
		o.printf("\n")
	}
	for i, way := range ways {
		if i > 0 {
			o.printf("\n")
		}
		o.dump(way, h)
	}
}

// How many ways are told of at first, and how many containers of one are listed
// without being asked.
const (
	maxWays  = 5
	maxAlike = 10
)

// waysOf puts dumps together that are alike, the most frequent first; none if each
// is wanted.
func waysOf(dumps []v1alpha1.Dump, each bool) (ways [][]v1alpha1.Dump) {
	for _, d := range dumps {
		i := slices.IndexFunc(ways, func(way []v1alpha1.Dump) bool { return !each && confinedAlike(way[0], d) })
		if i < 0 {
			i = len(ways)
			ways = append(ways, nil)
		}
		ways[i] = append(ways[i], d)
	}
	slices.SortStableFunc(ways, func(a, b []v1alpha1.Dump) int { return len(b) - len(a) })
	return ways
}

// confinedAlike reports whether two containers have the same states, whatever the
// number of threads that have them: the same privileges, and filters that do the same
// with every call. Byte by byte they need not be the same, as runtimes compile one
// profile in another order each time.
func confinedAlike(a, b v1alpha1.Dump) bool {
	return a.Source.PID != 0 && b.Source.PID != 0 && a.Source.Arch == b.Source.Arch && slices.Equal(a.Source.ABIs, b.Source.ABIs) &&
		slices.EqualFunc(a.States, b.States, func(s, t v1alpha1.State) bool {
			return s.Subject == t.Subject && s.Mode == t.Mode && s.NoNewPrivs == t.NoNewPrivs && s.FilterCount == t.FilterCount &&
				reflect.DeepEqual(s.Capabilities, t.Capabilities) && reflect.DeepEqual(s.Findings, t.Findings) &&
				(slices.Equal(s.Filters, t.Filters) || s.Fingerprint != "" && s.Fingerprint == t.Fingerprint)
		})
}

// filtersOfAll is filtersOf for containers that are confined alike.
func filtersOfAll(alike []v1alpha1.Dump) string {
	first := alike[0].States[0].Confinement
	ways := make(map[string]bool)
	least, most := first.Instructions, first.Instructions
	for _, d := range alike {
		c := d.States[0].Confinement
		ways[strings.Join(c.Filters, " ")] = true
		least, most = min(least, c.Instructions), max(most, c.Instructions)
	}
	if len(ways) == 1 {
		return filtersOf(first)
	}
	instructions := count(least, "instruction")
	if least != most {
		instructions = fmt.Sprintf("%d to %d instructions", least, most)
	}
	return fmt.Sprintf("%d (%s), written in %d ways that do the same with every call", first.FilterCount, instructions, len(ways))
}

// allOf lists containers that are confined alike, and where they run.
func allOf(facts *table, alike []v1alpha1.Dump, wide bool) {
	kernels := make(map[string]bool)
	for _, d := range alike {
		kernels[d.Source.Kernel] = true
	}
	for i, d := range alike {
		if i == maxAlike && len(alike) > maxAlike+1 && !wide {
			facts.add("…", fmt.Sprintf("and %d more", len(alike)-maxAlike))
			break
		}
		where := nodeName(d.Source)
		if d.Source.Node != "" {
			where = "node " + where
		}
		if len(kernels) > 1 {
			where += " with Linux " + d.Source.Kernel
		}
		facts.add(container(d.Source), where+", "+process(d))
	}
	if len(kernels) == 1 {
		facts.add("Kernel", fmt.Sprintf("Linux %s, %s", alike[0].Source.Kernel, alike[0].Source.Arch))
		return
	}
	facts.add("Architecture", alike[0].Source.Arch)
}
