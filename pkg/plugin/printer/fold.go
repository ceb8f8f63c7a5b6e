package printer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
)

// A folder collects syscalls by name, and the ABIs for which each is there, so
// that those that are there for the same ABIs are printed together.
type folder struct {
	names   []string
	abis    map[string][]string           // of a name
	order   []string                      // of the ABIs with numbers
	numbers map[string][]v1alpha1.Numbers // of an ABI
}

func (f *folder) add(abi, name string) {
	if f.abis == nil {
		f.abis = make(map[string][]string)
	}
	if f.abis[name] == nil {
		f.names = append(f.names, name)
	}
	// An ABI may have two numbers of one name.
	if !slices.Contains(f.abis[name], abi) {
		f.abis[name] = append(f.abis[name], abi)
	}
}

// addNumbers adds numbers that no syscall has.
func (f *folder) addNumbers(abi string, list []v1alpha1.Numbers) {
	if len(list) == 0 {
		return
	}
	if f.numbers == nil {
		f.numbers = make(map[string][]v1alpha1.Numbers)
	}
	if f.numbers[abi] == nil {
		f.order = append(f.order, abi)
	}
	f.numbers[abi] = append(f.numbers[abi], list...)
}

// folded is the names that are there for some ABIs, and no others.
type folded struct {
	abis, names string
	of          []string // all names, also those that are not listed; "" for numbers
}

// fold returns the names by their ABIs, those that are there for the most ABIs
// first; sorted, and the numbers behind them. allNumbers lists also many ranges of
// numbers. Of more names than most only the first are listed; 0 is no limit.
func (f *folder) fold(allNumbers bool, most int) (list []folded) {
	slices.Sort(f.names)
	numbers := make(map[string]bool)
	for _, abi := range f.order {
		text := "every call"
		if abi != v1alpha1.OtherABI {
			text = unassigned(f.numbers[abi], allNumbers)
		}
		numbers[text] = true
		f.add(abi, text)
	}
	var order []string
	names := make(map[string][]string)
	for _, name := range f.names {
		abis := strings.Join(f.abis[name], ", ")
		if names[abis] == nil {
			order = append(order, abis)
		}
		names[abis] = append(names[abis], name)
	}
	slices.SortStableFunc(order, func(a, b string) int { return strings.Count(b, ",") - strings.Count(a, ",") })
	for _, abis := range order {
		all := names[abis]
		texts := all
		if more := len(texts) - most; most > 0 && more > 1 {
			texts = append(texts[:most:most], fmt.Sprintf("and %d more", more))
		}
		of := slices.Clone(all)
		for i, name := range of {
			if numbers[name] {
				of[i] = ""
			}
		}
		list = append(list, folded{abis, strings.Join(texts, ", "), of})
	}
	return list
}
