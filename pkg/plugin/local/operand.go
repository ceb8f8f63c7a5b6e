package local

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
)

// Kinds of failure, for errors.Is.
var (
	ErrOperand    = errors.New("invalid operand")
	ErrDocker     = errors.New("Docker does not answer")
	ErrNotFound   = errors.New("there is no such container")
	ErrNotRunning = errors.New("the container does not run")
	ErrPermission = errors.New("not permitted")
)

// An Operand is something on this machine:
//
//	pid:PID       a process
//	docker:NAME   a Docker container, by its name or ID
type Operand struct {
	Text   string // as typed
	PID    int
	Docker string // "" of a process
}

// dockerName is what Docker takes for a container's name
// (daemon/names/names.go), and an ID or the beginning of one too.
var dockerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// Parse reads an operand. ok is false if it is none of this machine.
func Parse(text string) (o Operand, ok bool, err error) {
	o.Text = text
	scheme, rest, found := strings.Cut(text, ":")
	invalid := func(said, remedy string) (Operand, bool, error) {
		return Operand{}, true, failure.New(ErrOperand, "operand "+failure.Quote(text), said, remedy)
	}
	switch {
	case found && scheme == "pid":
		o.PID, err = strconv.Atoi(rest)
		if err != nil || o.PID <= 0 || strconv.Itoa(o.PID) != rest {
			return invalid("what follows the colon is no process' number", "want pid:PID, such as pid:4711")
		}
	case found && scheme == "docker":
		if !dockerName.MatchString(rest) || len(rest) > maxName {
			return invalid("what follows the colon is no name or ID of a Docker container", "want docker:NAME")
		}
		o.Docker = rest
	default:
		return Operand{}, false, nil
	}
	return o, true, nil
}

// maxName is more than a container's name can have: it is part of a host name.
const maxName = 255

// A Target is what a report says of an operand.
type Target struct {
	// ID is that in the report: pid://PID or docker://ID.
	ID string
	// ContainerID and Image are what Docker calls them, "" of a process.
	ContainerID, Image string
}

// Find looks up what the operand names: a container's ID, of which Docker is asked.
func (o Operand) Find(ctx context.Context) (Target, error) {
	if o.Docker == "" {
		return Target{ID: "pid://" + strconv.Itoa(o.PID)}, nil
	}
	return newEngine().find(ctx, o)
}
