package printer

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
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
	names, abis, err := u.used(items)
	if err != nil {
		return err
	}
	text, err := u.profile(names, abis)
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

// used are the names of the calls that were made, and in which ABIs: the machine's
// own first.
func (u UsedProfile) used(items []v1alpha1.Recording) (names []string, abis []syscalls.ABI, err error) {
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
				nameless += c.Count
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
	if u.Start {
		for _, name := range profile.StartNames() {
			if slices.ContainsFunc(abis, func(abi syscalls.ABI) bool { _, ok := abi.Number(name); return ok }) {
				names = append(names, name)
			}
		}
	}
	return names, abis, nil
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

func (u UsedProfile) profile(names []string, abis []syscalls.ABI) ([]byte, error) {
	if u.Base == nil {
		return profile.Allowing(names, abis).JSON(), nil
	}
	extended, kept, err := u.Base.Extended(names)
	if err != nil {
		return nil, err
	}
	if len(kept) > 0 {
		u.Warn(fmt.Errorf("the base does not allow these, or not all of their calls, and still does not: %s", strings.Join(kept, ", ")))
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
