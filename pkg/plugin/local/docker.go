package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/internal/failure"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// hostVariable is what Docker's own client goes by. Its contexts are not looked at.
const hostVariable = "DOCKER_HOST"

const (
	defaultHost = "unix:///var/run/docker.sock"

	// dockerTimeout bounds one answer, maxAnswer its size in bytes: a container's
	// description has tens of kilobytes.
	dockerTimeout = 10 * time.Second
	maxAnswer     = 4 << 20
)

// engine is Docker's API on a Unix socket (docs.docker.com, Engine API: GET
// /containers/{id}/json). What is used of it is in every version.
type engine struct {
	host    string // as DOCKER_HOST has it
	timeout time.Duration
}

func newEngine() *engine {
	host := os.Getenv(hostVariable)
	if host == "" {
		host = defaultHost
	}
	return &engine{host, dockerTimeout}
}

// find asks for the ID of a container that runs.
func (e *engine) find(ctx context.Context, o Operand) (Target, error) {
	op := "find " + o.Text
	socket, ok := strings.CutPrefix(e.host, "unix://")
	if !ok || socket == "" {
		return Target{}, failure.New(ErrDocker, op, hostVariable+" is "+failure.Quote(e.host)+", which is no socket of this machine",
			"only containers of this machine can be read: set it to unix://PATH, or unset it")
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	status, answer, err := get(ctx, socket, "/containers/"+url.PathEscape(o.Docker)+"/json")
	if err != nil {
		return Target{}, unanswered(op, socket, err)
	}
	if status != http.StatusOK {
		return Target{}, refused(op, o, status, answer)
	}
	return described(op, o, socket, answer)
}

// described takes what is needed out of a container's description.
func described(op string, o Operand, socket string, answer []byte) (Target, error) {
	var container struct {
		ID    string `json:"Id"`
		State struct {
			Running bool
			Status  string
		}
		Config struct{ Image string }
	}
	strange := func(what string) (Target, error) {
		return Target{}, failure.New(ErrDocker, op, what, "see whether it is Docker that answers at "+socket)
	}
	if err := json.Unmarshal(answer, &container); err != nil {
		return strange("the answer is not a container's description: " + failure.Clip(err.Error()))
	}
	ref := "docker://" + container.ID
	if _, err := proc.ParseContainerID(ref); err != nil {
		return strange("the answer has " + failure.Quote(container.ID) + " for its ID")
	}
	if !container.State.Running {
		said := "it does not run"
		if s := container.State.Status; s != "" {
			said += " (" + failure.Clip(s) + ")"
		}
		return Target{}, failure.New(ErrNotRunning, op, said, "`docker start "+o.Docker+"` starts it")
	}
	return Target{ID: ref, ContainerID: ref, Image: failure.Clip(container.Config.Image)}, nil
}

// errLarge is an answer that does not end.
var errLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// get makes one request over a Unix socket.
func get(ctx context.Context, socket, path string) (status int, answer []byte, err error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 1 << 16,
	}
	client := http.Client{
		Transport: transport,
		// There is nowhere else to go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// The host is in no use, but HTTP wants one.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(answer) > maxAnswer {
		err = errLarge
	}
	return resp.StatusCode, answer, err
}

// unanswered says why there is no answer.
func unanswered(op, socket string, err error) error {
	e := &failure.Error{Kind: ErrDocker, Op: op, Err: err}
	var urlError *url.Error
	if errors.As(err, &urlError) {
		err = urlError.Err // the URL tells nothing
	}
	e.Said = "ask Docker at " + socket + ": " + failure.Clip(err.Error())
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Said = "ask Docker at " + socket + ": it does not answer"
		e.Remedy = "see `docker info`"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		e.Remedy = "see whether Docker runs; if its socket is elsewhere, say so with " + hostVariable + "=unix://PATH"
	case errors.Is(err, fs.ErrPermission):
		e.Kind = ErrPermission
		e.Remedy = asRoot
	}
	return e
}

// refused says what Docker has against a request.
func refused(op string, o Operand, status int, answer []byte) error {
	var body struct{ Message string }
	if json.Unmarshal(answer, &body) != nil || body.Message == "" {
		body.Message = string(bytes.TrimSpace(answer))
	}
	said := failure.Clip(body.Message)
	if said == "" {
		said = fmt.Sprintf("Docker answers with status %d", status)
	}
	if status == http.StatusNotFound {
		return failure.New(ErrNotFound, op, said, "`docker ps` lists those that run")
	}
	return failure.New(ErrDocker, op, said, "")
}
