package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Cleanup is the pods with the labels of probe pods, and what was done about each.
type Cleanup struct {
	metav1.TypeMeta `json:",inline"`

	// DryRun tells that nothing was deleted: Deleted says what would be.
	DryRun bool       `json:"dryRun,omitempty"`
	Items  []Leftover `json:"items"`
}

// Leftover is a pod that a run may have left. If it is not Deleted, either Left or
// Error says why.
type Leftover struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Deleted   bool   `json:"deleted"`
	Left      string `json:"left,omitempty"`  // why it is left alone
	Error     string `json:"error,omitempty"` // why it could not be deleted
}

// DeepCopyObject implements runtime.Object.
func (c *Cleanup) DeepCopyObject() runtime.Object {
	out := *c
	out.Items = slices.Clone(c.Items)
	return &out
}
