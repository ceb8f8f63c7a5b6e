package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Verification is, for a number of containers, whether the kernel enforces the
// seccomp profile that is declared.
type Verification struct {
	metav1.TypeMeta `json:",inline"`

	Items []VerifiedContainer `json:"items"`
	// Namespaces counts Items, in the order of the names.
	Namespaces []VerifiedNamespace `json:"namespaces"`
}

// VerifiedNamespace counts the containers of a namespace. Each counts once.
type VerifiedNamespace struct {
	Namespace  string `json:"namespace"`
	Containers int    `json:"containers"`
	Holds      int    `json:"holds"`
	Broken     int    `json:"broken"`
	Unknown    int    `json:"unknown"`
}

// VerifiedContainer is the three readings of one container, and the arrows between
// them.
type VerifiedContainer struct {
	Source     Source      `json:"source"`
	Declared   Declaration `json:"declared"`
	Configured *Configured `json:"configured,omitempty"` // absent: not found
	Enforced   *Enforced   `json:"enforced,omitempty"`   // absent: not read
	// Arrows are from declared to configured and from configured to enforced.
	Arrows []Arrow `json:"arrows"`
	// Holds is that of both arrows.
	Holds    Holds     `json:"holds"`
	Problems []Problem `json:"problems,omitempty"`
}

// Declaration is what a pod's specification asks for.
type Declaration struct {
	// Type is that of the seccompProfile, "" if there is none.
	Type      string `json:"type,omitempty"`
	Localhost string `json:"localhostProfile,omitempty"`
	// By is "container", "pod", or the key of an annotation.
	By           string `json:"by,omitempty"`
	Privileged   bool   `json:"privileged,omitempty"`
	RuntimeClass string `json:"runtimeClass,omitempty"`
	// SeccompDefault is kubelet's, which counts where nothing is declared. Absent
	// if it could not be told.
	SeccompDefault *bool `json:"seccompDefault,omitempty"`
	// Means is the profile that it comes to: RuntimeDefault, Localhost or
	// Unconfined; "" if that could not be told.
	Means string `json:"means,omitempty"`
	// File is the Localhost profile on the node.
	File *NodeFile `json:"file,omitempty"`
}

// NodeFile is a file on a node.
type NodeFile struct {
	Path     string      `json:"path"`
	Modified metav1.Time `json:"modified,omitzero"`
}

// Configured is what the OCI runtime was told.
type Configured struct {
	File NodeFile `json:"file"` // the config.json
	// Unconfined tells that it has no seccomp section.
	Unconfined bool   `json:"unconfined,omitempty"`
	Runtime    string `json:"runtime,omitempty"` // the OCI runtime's program
	// Reader is the OCI runtime as which its profile was interpreted.
	Reader       string   `json:"reader,omitempty"`
	Capabilities []string `json:"capabilities,omitempty"` // the bounding set
}

// Enforced is what the kernel holds.
type Enforced struct {
	Confinement `json:",inline"`
	// Started is when the container's init process was.
	Started   metav1.Time `json:"started,omitzero"`
	Processes int         `json:"processes"`
	Threads   int         `json:"threads"`
}

// The readings, as Arrow.From and Arrow.To.
const (
	ReadingDeclared   = "declared"
	ReadingConfigured = "configured"
	ReadingEnforced   = "enforced"
)

// Arrow is how one reading stands to the one before it.
type Arrow struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Relation is that of To seen from From; absent if there is nothing to
	// compare.
	Relation    Relation     `json:"relation,omitempty"`
	Holds       Holds        `json:"holds"`
	Reasons     []Reason     `json:"reasons,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	// Truncated tells that there are more differences.
	Truncated bool `json:"truncated,omitempty"`
}

// Holds is whether what was asked for is there.
type Holds string

const (
	HoldsYes     Holds = "Yes"     // identical, or every difference is explained and none gives more access
	HoldsNo      Holds = "No"      // it is not there, or no reason accounts for the difference
	HoldsUnknown Holds = "Unknown" // something could not be read or compared that decides it
)

// Reason is why a relation is what it is, as far as it can be told.
type Reason struct {
	Code   string `json:"code"` // stable, for scripts
	Detail string `json:"detail"`
}

// Codes of Reasons.
const (
	ReasonPrivileged      = "privileged"        // runtimes give a privileged container no filter
	ReasonAnnotation      = "annotation"        // declared only by an annotation that has no effect any more
	ReasonSeccompDefault  = "seccomp-default"   // nothing is declared, and kubelet's setting counts
	ReasonFileChanged     = "file-changed"      // the Localhost file was changed after the container was started
	ReasonFileDiffers     = "file-differs"      // it is not known to be newer, and all the same not what the runtime was given
	ReasonDefaultDiffers  = "default-differs"   // RuntimeDefault is now something else than when the container was started
	ReasonNoDefault       = "no-default"        // the node's runtime has no profile for RuntimeDefault
	ReasonIgnoredKey      = "ignored-key"       // the runtime does not know a key of the profile
	ReasonApplication     = "application"       // the application has added filters of its own
	ReasonNotApplied      = "not-applied"       // there is a profile, and no filter
	ReasonUnknownSyscalls = "unknown-syscalls"  // the node's libseccomp does not know names of the profile
	ReasonOCIRuntime      = "oci-runtime"       // the OCI runtime interprets the profile otherwise than runc does
	ReasonCompiler        = "compiler"          // rules compete, and libseccomp decides what comes of them
	ReasonThreads         = "threads"           // some threads are not confined as the main thread is
	ReasonDoor            = "door"              // calls that are restricted can be made in another way
	ReasonCapabilities    = "capabilities"      // the reference has not the container's capabilities
	ReasonNotRead         = "not-read"          // a reading is missing
	ReasonUndecided       = "undecided"         // filters that compute too much cannot be compared
	ReasonUnexplained     = "unexplained"       // none of the above
	ReasonInterpretation  = "not-interpretable" // the profile is none that a runtime would load
)

// DeepCopyObject implements runtime.Object.
func (v *Verification) DeepCopyObject() runtime.Object {
	out := *v
	out.Items = cloneEach(v.Items, VerifiedContainer.deepCopy)
	out.Namespaces = slices.Clone(v.Namespaces)
	return &out
}

func (c VerifiedContainer) deepCopy() VerifiedContainer {
	c.Source = c.Source.deepCopy()
	c.Declared = c.Declared.deepCopy()
	if c.Configured != nil {
		configured := *c.Configured
		configured.Capabilities = slices.Clone(configured.Capabilities)
		c.Configured = &configured
	}
	if c.Enforced != nil {
		enforced := *c.Enforced
		enforced.Confinement = enforced.Confinement.deepCopy()
		c.Enforced = &enforced
	}
	c.Arrows = cloneEach(c.Arrows, func(a Arrow) Arrow {
		a.Reasons = slices.Clone(a.Reasons)
		a.Differences = cloneEach(a.Differences, Difference.deepCopy)
		return a
	})
	c.Problems = slices.Clone(c.Problems)
	return c
}

func (d Declaration) deepCopy() Declaration {
	if d.SeccompDefault != nil {
		b := *d.SeccompDefault
		d.SeccompDefault = &b
	}
	if d.File != nil {
		f := *d.File
		d.File = &f
	}
	return d
}
