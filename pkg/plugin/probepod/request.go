package probepod

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/target"
)

// Request is what is to be read on one node, by one probe pod.
type Request struct {
	Node       string
	Containers []target.Container
	// PIDs are single processes, as the node numbers them.
	PIDs []int
	// References are containers to run beside the probe and to read as well.
	References []Reference
	// All has every process of the node read that has a filter.
	All bool
	// Configs has the report say with what the runtime was told to start each
	// container, and what kubelet is set to.
	Configs bool
	// New has containers recorded that come while calls are, whosever they are.
	New bool
	// Self has the report say what the probe finds of itself, and whether it can read
	// a filter back that it has installed.
	Self bool
}

// A Reference is a container that runs nothing, under the seccomp profile that
// the node's runtime has for RuntimeDefault. That profile depends on the
// container's capabilities.
type Reference struct {
	Capabilities *corev1.Capabilities // as in a container's specification
}

// MaxReferences is how many references a Request may have.
const MaxReferences = 8

// The IDs by which a report speaks of targets that are no containers of a pod.

// ProcessID is that of a process.
func ProcessID(pid int) string { return fmt.Sprintf("pid://%d", pid) }

// ReferenceID is that of a Request's reference.
func ReferenceID(n int) string { return fmt.Sprintf("reference://%d", n) }

// normal returns the request without containers that are named twice.
func (r Request) normal() Request {
	r.Containers = unique(r.Containers)
	return r
}

// targets are the IDs that the report must speak of.
func (r Request) targets() (ids []string) {
	for _, c := range r.Containers {
		ids = append(ids, c.ID)
	}
	for _, pid := range r.PIDs {
		ids = append(ids, ProcessID(pid))
	}
	for n := range r.References {
		ids = append(ids, ReferenceID(n))
	}
	return ids
}

// name is how messages call a target.
func (r Request) name(id string) string {
	for _, c := range r.Containers {
		if c.ID == id {
			return c.String()
		}
	}
	return id
}

// list names what is read, as much as there is room for.
func (r Request) list() string {
	var names []string
	for _, c := range r.Containers {
		names = append(names, c.String())
	}
	for _, pid := range r.PIDs {
		names = append(names, ProcessID(pid))
	}
	if r.All {
		names = append(names, "every process")
	}
	if r.New {
		names = append(names, "new containers")
	}
	if r.Self {
		names = append(names, "itself")
	}
	var b strings.Builder
	for i, name := range names {
		if b.Len()+len(name)+1 > maxAnnotation {
			fmt.Fprintf(&b, ",… and %d more", len(names)-i)
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
	}
	return b.String()
}
