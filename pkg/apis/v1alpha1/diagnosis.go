package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Diagnosis is what was checked of a cluster and its nodes, for the plugin to work.
type Diagnosis struct {
	metav1.TypeMeta `json:",inline"`

	// Checks are first those of the cluster, then those of each node.
	Checks []Check `json:"checks"`
}

// Check is one thing that was checked.
type Check struct {
	Name string `json:"name"` // stable, for scripts: one of the constants
	// Node is absent if the check concerns the cluster.
	Node    string      `json:"node,omitempty"`
	Status  CheckStatus `json:"status"`
	Message string      `json:"message"` // what was found
	// Remedy is what to do about it.
	Remedy string `json:"remedy,omitempty"`
	// Took is how long it was until a node answered, or for how long a thread was
	// held.
	Took *metav1.Duration `json:"took,omitempty"`
}

// CheckStatus is what a check came to.
type CheckStatus string

const (
	CheckOK      CheckStatus = "ok"
	CheckWarning CheckStatus = "warning" // some of what the plugin can do does not work, or not as well
	CheckFailed  CheckStatus = "failed"  // it does not work, or not on the node
	CheckUnknown CheckStatus = "unknown" // it could not be checked
)

// Names of Checks: of the cluster,
const (
	CheckAPIServer      = "api-server"      // it answers, and its version
	CheckRBACTargets    = "rbac-targets"    // pods of a namespace may be read
	CheckRBACWorkloads  = "rbac-workloads"  // so may workloads
	CheckRBACCluster    = "rbac-cluster"    // and what is not in one namespace
	CheckRBACProbe      = "rbac-probe"      // probe pods may be run
	CheckProbeNamespace = "probe-namespace" // their namespace admits them
	CheckNodes          = "nodes"           // which nodes there are
)

// and of a node.
const (
	CheckNode           = "node"            // it is there and ready
	CheckProbe          = "probe"           // the image is there, and the pod starts and answers
	CheckKernel         = "kernel"          // it is new enough
	CheckPrivileges     = "privileges"      // the probe has what it needs, and is not confined
	CheckPtraceScope    = "ptrace-scope"    // Yama lets it trace
	CheckReadFilter     = "read-filter"     // a filter that was installed for it can be read back
	CheckContainers     = "containers"      // processes of containers are found
	CheckRuntimeDefault = "runtime-default" // the filter of a container under RuntimeDefault can be read
	CheckOCIConfig      = "oci-config"      // what the runtime was told is found
	CheckKubelet        = "kubelet"         // what kubelet was told is found
)

// DeepCopyObject implements runtime.Object.
func (d *Diagnosis) DeepCopyObject() runtime.Object {
	out := *d
	out.Checks = slices.Clone(d.Checks)
	for i, c := range out.Checks {
		if c.Took != nil {
			took := *c.Took
			out.Checks[i].Took = &took
		}
	}
	return &out
}
