package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ConfinementList is containers and processes at a glance.
type ConfinementList struct {
	metav1.TypeMeta `json:",inline"`

	Items []ConfinementItem `json:"items"`
}

// ConfinementItem is one container, or one process that is in none. What it says
// is of the subject: the main thread of the container's init, or of the process.
type ConfinementItem struct {
	Source      `json:",inline"`
	Confinement `json:",inline"`

	Declared  *Declaration `json:"declared,omitempty"` // of containers of pods
	Comm      string       `json:"comm,omitempty"`     // the name of the main thread
	Processes int          `json:"processes"`
	Threads   int          `json:"threads"`
	// Differing is how many threads are not confined as the subject is.
	Differing int `json:"differing,omitempty"`
	// Compat is how many processes run in an ABI of fewer bits than the kernel's.
	Compat int `json:"compat,omitempty"`
	// Read tells that the filters were read. Without that the rest is absent.
	Read bool `json:"read"`
	// Default is what is done with most of the numbers of the native ABI that no
	// syscall has; absent if that depends on arguments.
	Default *Action `json:"default,omitempty"`
	// Syscalls counts those of the native ABI: Allowed are executed whatever their
	// arguments, Conditional are not done the same with in every call.
	Syscalls    int `json:"syscalls,omitempty"`
	Allowed     int `json:"allowed,omitempty"`
	Conditional int `json:"conditional,omitempty"`
	// Fingerprint names the policy: what has the same does the same with every
	// call, on whichever node. Absent: the policy is too large for one.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Mismatches are what does not fit what is declared, as far as it shows
	// without looking at the runtime's configuration; verify does that.
	Mismatches []string  `json:"mismatches,omitempty"`
	Problems   []Problem `json:"problems,omitempty"`
}

// DeepCopyObject implements runtime.Object.
func (l *ConfinementList) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = cloneEach(l.Items, func(i ConfinementItem) ConfinementItem {
		i.Source, i.Confinement = i.Source.deepCopy(), i.Confinement.deepCopy()
		if i.Declared != nil {
			d := i.Declared.deepCopy()
			i.Declared = &d
		}
		if i.Default != nil {
			a := *i.Default
			i.Default = &a
		}
		i.Mismatches, i.Problems = slices.Clone(i.Mismatches), slices.Clone(i.Problems)
		return i
	})
	return &out
}
