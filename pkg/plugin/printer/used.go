package printer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/profile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/syscalls"
)

// UsedProfile writes a profile that allows what was recorded, of all recordings
// together.
type UsedProfile struct {
	// Base is a profile to extend; nil: one is made.
	Base *profile.Profile
	// Start adds what a container calls at its start and no recording has seen.
	Start bool
	// Arguments has calls allowed only with the values that arguments had, where all of
	// them are known.
	Arguments bool
	// Resource has it written as a SeccompProfile of the Security Profiles Operator.
	Resource bool
	// Warn is told what the profile lacks.
	Warn func(error)
}

var _ printers.ResourcePrinter = UsedProfile{}

// PrintObj implements printers.ResourcePrinter.
func (u UsedProfile) PrintObj(obj runtime.Object, w io.Writer) error {
	items, err := recordings(obj)
	if err != nil {
		return err
	}
	text, err := u.profile(items)
	if err != nil {
		return err
	}
	if u.Resource {
		if text, err = resource(items[0].Source, text); err != nil {
			return err
		}
	}
	_, err = w.Write(text)
	return err
}

func recordings(obj runtime.Object) ([]v1alpha1.Recording, error) {
	switch obj := obj.(type) {
	case *v1alpha1.Recording:
		return []v1alpha1.Recording{*obj}, nil
	case *v1alpha1.RecordingList:
		if len(obj.Items) > 0 {
			return obj.Items, nil
		}
	}
	return nil, fmt.Errorf("write a profile of %T: it holds no recording", obj)
}

// Used is what was called, in which ABIs: the machine's own first.
func (u UsedProfile) Used(items []v1alpha1.Recording) (uses []profile.Use, abis []syscalls.ABI, err error) {
	var names []string
	var nameless int64
	for _, r := range items {
		if r.Source.Arch != items[0].Source.Arch {
			return nil, nil, fmt.Errorf("write a profile: %s is of %s and %s of %s: record one architecture at a time",
				container(items[0].Source), items[0].Source.Arch, container(r.Source), r.Source.Arch)
		}
		if len(r.Source.ABIs) > 0 && len(abis) == 0 {
			native, err := syscalls.ParseABI(r.Source.ABIs[0])
			if err != nil {
				return nil, nil, err
			}
			abis = append(abis, native)
		}
		for _, c := range r.Calls {
			if c.Syscall == "" {
				nameless = plus(nameless, c.Count)
				continue
			}
			abi, err := syscalls.ParseABI(c.ABI)
			if err != nil {
				return nil, nil, err
			}
			if !slices.Contains(abis, abi) {
				abis = append(abis, abi)
			}
			names = append(names, c.Syscall)
		}
	}
	for _, r := range items {
		u.lacks(r, names)
	}
	if nameless > 0 {
		u.Warn(fmt.Errorf("the profile cannot allow calls of numbers that no syscall has: %d were made", nameless))
	}
	if len(names) == 0 {
		return nil, nil, fmt.Errorf("write a profile of %s: no calls were recorded", container(items[0].Source))
	}
	uses = profile.Uses(names)
	if u.Arguments {
		uses = u.held(uses, items)
	}
	if u.Start {
		uses = u.started(uses, abis)
	}
	return uses, abis, nil
}

// maxHeld is to how many values an argument is held at most: each takes filters some
// instructions.
const maxHeld = 64

// held holds the calls to the values that arguments had, where each call's was kept.
func (u UsedProfile) held(uses []profile.Use, items []v1alpha1.Recording) []profile.Use {
	for i := range uses {
		name := uses[i].Name
		var calls, kept int64
		arg := -1
		var values []uint32
		for _, r := range items {
			for _, c := range r.Calls {
				if c.Syscall == name {
					calls = plus(calls, c.Count)
				}
			}
			for _, v := range r.Values {
				if v.Syscall != name {
					continue
				}
				abi, err := syscalls.ParseABI(v.ABI)
				n, parse := strconv.ParseUint(v.Value, 0, 32)
				at := slices.IndexFunc(abi.Params(name), func(p syscalls.Param) bool { return p.Name == v.Parameter })
				if err != nil || parse != nil || at < 0 || arg >= 0 && at != arg {
					continue // and so not all are kept
				}
				arg, kept, values = at, plus(kept, v.Count), append(values, uint32(n))
			}
		}
		slices.Sort(values)
		values = slices.Compact(values)
		switch {
		case arg < 0:
		case kept != calls:
			u.Warn(fmt.Errorf("%s: of %d calls, the argument's value was kept of %d: the profile allows it whatever its arguments", name, calls, kept))
		case len(values) > maxHeld:
			u.Warn(fmt.Errorf("%s: its argument had %d values, more than the %d that a profile is made to list: it allows it whatever its arguments", name, len(values), maxHeld))
		default:
			uses[i].Arg, uses[i].Values = arg, values
		}
	}
	if slices.ContainsFunc(uses, func(u profile.Use) bool { return u.Name == "clone3" }) {
		u.Warn(errors.New("clone3 was called, and is allowed: its flags are in memory, where no filter looks, so that what clone is held to stops nobody"))
	}
	return uses
}

// started adds what a container calls at its start, in the ABIs that have it.
func (u UsedProfile) started(uses []profile.Use, abis []syscalls.ABI) []profile.Use {
	start := profile.Uses(profile.StartNames())
	if u.Arguments && len(abis) > 0 {
		start = profile.StartUses(abis[0])
	}
	for _, s := range start {
		i := slices.IndexFunc(uses, func(used profile.Use) bool { return used.Name == s.Name })
		switch {
		case !slices.ContainsFunc(abis, func(abi syscalls.ABI) bool { _, ok := abi.Number(s.Name); return ok }):
		case i < 0 && u.Arguments && s.Name == "clone3":
			// Libraries try it first, and do with clone where there is none.
			s.Errno, _ = abis[0].ErrnoNumber("ENOSYS")
			uses = append(uses, s)
		case i < 0:
			uses = append(uses, s)
		case uses[i].Values != nil && s.Values == nil && s.Without == 0:
			uses[i].Values = nil
		case uses[i].Values != nil:
			uses[i].Without = s.Without
			uses[i].Values = slices.Concat(uses[i].Values, s.Values)
			slices.Sort(uses[i].Values)
			uses[i].Values = slices.Compact(uses[i].Values)
		}
	}
	return uses
}

// lacks tells what of a recording a profile does not have that allows names.
func (u UsedProfile) lacks(r v1alpha1.Recording, names []string) {
	var refused []string
	for _, c := range r.Refused {
		if c.Syscall != "" && !slices.Contains(names, c.Syscall) && !slices.Contains(refused, c.Syscall) {
			refused = append(refused, c.Syscall)
		}
	}
	if len(refused) > 0 {
		u.Warn(fmt.Errorf("%s: its filters refused these, and the profile does not allow them: %s", container(r.Source), strings.Join(refused, ", ")))
	}
	if l := r.Coverage.Lost; l != nil && l.Calls+l.Runs > 0 {
		u.Warn(fmt.Errorf("%s: %d calls were not counted: the profile may lack some", container(r.Source), l.Calls+l.Runs))
	}
}

func (u UsedProfile) profile(items []v1alpha1.Recording) ([]byte, error) {
	uses, abis, err := u.Used(items)
	if err != nil {
		return nil, err
	}
	if u.Base == nil {
		return profile.Allowing(uses, abis).JSON(), nil
	}
	extended, kept, err := u.Base.Extended(uses)
	if err != nil {
		return nil, err
	}
	if len(kept) > 0 {
		u.Warn(fmt.Errorf("the base does not allow these, not all of their calls, or not what they can do in place of another, and still does not: %s", strings.Join(kept, ", ")))
	}
	text, err := json.MarshalIndent(extended, "", "  ")
	return append(text, '\n'), err
}

// resource returns a profile as a custom resource, named after the container.
func resource(from v1alpha1.Source, text []byte) ([]byte, error) {
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, err
	}
	// The operator's specification is OCI's, less this: its default is EPERM.
	delete(spec, "defaultErrnoRet")
	for key := range spec {
		if !slices.Contains([]string{"defaultAction", "architectures", "syscalls", "flags", "listenerPath", "listenerMetadata"}, key) {
			return nil, fmt.Errorf("write a SeccompProfile: it has no %q, which the base has", key)
		}
	}
	of := from.Pod
	if of == "" { // of several
		_, of, _ = strings.Cut(from.Workload, "/")
	}
	return yaml.Marshal(map[string]any{
		"apiVersion": "security-profiles-operator.x-k8s.io/v1beta1",
		"kind":       "SeccompProfile",
		"metadata":   map[string]any{"name": strings.Trim(of+"-"+from.Container, "-"), "namespace": from.Namespace},
		"spec":       spec,
	})
}
