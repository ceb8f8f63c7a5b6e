// Package target turns what a user types into containers that run: their IDs,
// as the node's runtime knows them, and their nodes.
package target

import (
	"errors"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// ErrOperand is an operand that cannot be understood.
var ErrOperand = errors.New("invalid operand")

// Operand names a container, or those of a workload; a process of a node; or what
// a node's runtime has for RuntimeDefault:
//
//	[[NAMESPACE/]TYPE/]NAME[:CONTAINER]
//	node/NODE:PID
//	RuntimeDefault[@NODE]
//
// A TYPE is what kubectl takes as one: po, deploy, statefulset.apps.
type Operand struct {
	Namespace string // "": the current one
	Type      string // "": pod
	Name      string
	Container string // "": the one that `kubectl logs` chooses
	Text      string // as typed

	// Node is set of a process, PID, and of a RuntimeDefault; "" there is the node
	// of what it is compared with.
	Node           string
	PID            int
	RuntimeDefault bool
}

// Parse reads an operand. Its errors wrap ErrOperand.
func Parse(text string) (Operand, error) {
	o := Operand{Text: text}
	// No object's name has an upper case letter.
	if keyword, node, at := strings.Cut(text, "@"); keyword == "RuntimeDefault" {
		if at && len(validation.IsDNS1123Subdomain(node)) > 0 {
			return Operand{}, failure.New(ErrOperand, "operand "+failure.Quote(text), "what follows the @ is no node's name", "want RuntimeDefault or RuntimeDefault@NODE")
		}
		o.RuntimeDefault, o.Node = true, node
		return o, nil
	}
	invalid := func(what string) (Operand, error) {
		return Operand{}, failure.New(ErrOperand, "operand "+failure.Quote(text), what,
			"an operand is NAME, TYPE/NAME or NAMESPACE/TYPE/NAME, each with :CONTAINER if wanted, or node/NODE:PID, or RuntimeDefault[@NODE]")
	}
	path, container, found := strings.Cut(text, ":")
	if found {
		if len(validation.IsDNS1123Label(container)) > 0 {
			return invalid("what follows the colon is no container's name")
		}
		o.Container = container
	}
	parts := strings.Split(path, "/")
	switch len(parts) {
	case 1:
		o.Name = parts[0]
	case 2:
		o.Type, o.Name = parts[0], parts[1]
	case 3:
		o.Namespace, o.Type, o.Name = parts[0], parts[1], parts[2]
		if len(validation.IsDNS1123Label(o.Namespace)) > 0 {
			return invalid("its first part is no namespace's name")
		}
	default:
		return invalid("it has too many parts")
	}
	// A type is a resource and perhaps a version and a group, in any case.
	if len(parts) > 1 && len(validation.IsDNS1123Subdomain(strings.ToLower(o.Type))) > 0 {
		return invalid("its type is none")
	}
	if len(validation.IsDNS1123Subdomain(o.Name)) > 0 {
		return invalid("it holds no object's name")
	}
	if o.isNode() && found {
		pid, err := strconv.Atoi(o.Container)
		if err != nil || pid <= 0 || o.Namespace != "" {
			return invalid("of a node, what follows the colon is a process' number")
		}
		o = Operand{Text: text, Node: o.Name, PID: pid}
	}
	return o, nil
}

func (o Operand) isNode() bool {
	switch strings.ToLower(o.Type) {
	case "no", "node", "nodes":
		return true
	}
	return false
}

func (o Operand) isPod() bool {
	switch strings.ToLower(o.Type) {
	case "", "po", "pod", "pods":
		return true
	}
	return false
}
