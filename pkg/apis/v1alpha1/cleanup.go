package v1alpha1

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Cleanup is the objects with the labels of what runs create, and what was done about
// each.
type Cleanup struct {
	metav1.TypeMeta `json:",inline"`

	// DryRun tells that nothing was deleted: Deleted says what would be.
	DryRun bool       `json:"dryRun,omitempty"`
	Items  []Leftover `json:"items"`
}

// Leftover is an object that a run may have left. If it is not Deleted, either Left or
// Error says why.
type Leftover struct {
	Kind      string `json:"kind"`                // Pod, Namespace
	Namespace string `json:"namespace,omitempty"` // of a Pod
	Name      string `json:"name"`
	Deleted   bool   `json:"deleted"`
	Left      string `json:"left,omitempty"`  // why it is left alone
	Error     string `json:"error,omitempty"` // why it could not be deleted
}

// String is the kind and the name.
func (l Leftover) String() string {
	if l.Namespace == "" {
		return strings.ToLower(l.Kind) + " " + l.Name
	}
	return strings.ToLower(l.Kind) + " " + l.Namespace + "/" + l.Name
}

// DeepCopyObject implements runtime.Object.
func (c *Cleanup) DeepCopyObject() runtime.Object {
	out := *c
	out.Items = slices.Clone(c.Items)
	return &out
}
