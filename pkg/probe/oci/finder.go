package oci

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/hostfile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// ErrNotFound is the error for a container beside which there is no process that
// knows its bundle.
var ErrNotFound = errors.New("no process on the node is known to look after the container")

// Finder finds configurations.
//
// What is beside a container is one of two things. containerd and Docker have a
// shim per pod or container. It works in the directory of the bundle (the
// configuration and what goes with it) of the container that it was first
// started for, and those of all that it looks after are side by side. CRI-O and
// Podman have conmon, whose arguments name the container and its bundle.
//
// A shim or conmon is an ancestor of the container's init and not in the
// container. Where it is none (it ended, or another adopted the init), others on
// the node are asked. A process that is in a container is never asked.
type Finder struct {
	fs     proc.FS
	others []int // PIDs of what may be a shim or conmon by its name; nil if not looked for
}

// NewFinder returns a finder for the processes in fs.
func NewFinder(fs proc.FS) *Finder { return &Finder{fs: fs} }

const (
	// maxDepth is how many ancestors a process may have inside its container.
	maxDepth = 64
	// maxOutside is how many outside of it are asked.
	maxOutside = 4
)

// Find returns the configuration of a container, given a process of it; and, in
// any case, those ancestors of the process that are outside of its container and
// of any other, the nearest first: what looks after the container, and what
// started that. The error says what was looked at.
func (f *Finder) Find(id proc.ContainerID, process proc.Process) (Config, []Manager, error) {
	ancestors := f.ancestors(id, process)
	managers := f.managersOf(ancestors)
	c, err := f.find(id, ancestors)
	return c, managers, err
}

func (f *Finder) find(id proc.ContainerID, ancestors []int) (Config, error) {
	var looked []string
	var failed error
	for i, list := range [][]int{ancestors, nil} {
		if i == 1 {
			list = f.managers()
		}
		for _, pid := range list {
			if i == 1 && slices.Contains(ancestors, pid) {
				continue
			}
			c, err := Ask(f.fs, pid, id)
			switch {
			case err == nil:
				return c, nil
			case errors.Is(err, errOther), errors.Is(err, proc.ErrGone):
			case errors.Is(err, os.ErrNotExist):
				looked = append(looked, c.Path)
			case failed == nil:
				failed = err
			}
		}
	}
	switch {
	case failed != nil:
		// It is there, and cannot be read.
		return Config{}, failed
	case len(looked) == 0:
		return Config{}, ErrNotFound
	}
	const most = 3
	more := ""
	if n := len(looked) - most; n > 0 {
		looked, more = looked[:most], fmt.Sprintf(" and %d more", n)
	}
	return Config{}, fmt.Errorf("%w: there is no %s%s", ErrNotFound, strings.Join(looked, ", no "), more)
}

// ancestors returns those of a process that are outside of its container and of
// any other, the nearest first.
func (f *Finder) ancestors(id proc.ContainerID, process proc.Process) (pids []int) {
	pid := process.PPID
	for range maxDepth {
		if pid <= 1 || len(pids) == maxOutside {
			break
		}
		in, err := f.fs.ContainerOf(pid)
		if err != nil || in != "" && in != id {
			break
		}
		if in == "" {
			pids = append(pids, pid)
		}
		if pid, err = f.fs.Parent(pid); err != nil {
			break
		}
	}
	return pids
}

// managersOf looks up programs. A shim looks after all containers of a pod.
func (f *Finder) managersOf(pids []int) (ms []Manager) {
	for _, pid := range pids {
		if args, err := f.fs.Arguments(pid); err == nil && len(args) > 0 {
			ms = append(ms, Manager{pid, path.Base(args[0])})
		}
	}
	return ms
}

// managers returns what may be a shim or conmon by its name, and is in no
// container.
func (f *Finder) managers() []int {
	if f.others != nil {
		return f.others
	}
	f.others = []int{}
	pids, err := f.fs.PIDs()
	if err != nil {
		return nil
	}
	slices.Sort(pids)
	for _, pid := range pids {
		comm, err := f.fs.Comm(pid)
		if err != nil || comm != "conmon" && !strings.HasPrefix(comm, "containerd-shim") {
			continue
		}
		if in, err := f.fs.ContainerOf(pid); err == nil && in == "" {
			f.others = append(f.others, pid)
		}
	}
	return f.others
}

// errOther is the error for a process that does not look after the container.
var errOther = errors.New("looks after something else")

// Ask reads the configuration of a container if the process pid knows where it
// is. With an error, its Path is where that would be.
func Ask(fs proc.FS, pid int, id proc.ContainerID) (Config, error) {
	args, err := fs.Arguments(pid)
	if err != nil {
		return Config{}, err
	}
	if len(args) == 0 {
		return Config{}, errOther
	}
	var c Config
	m := Manager{pid, path.Base(args[0])}
	if m.Program == "conmon" {
		c, err = askConmon(fs, pid, args, id)
	} else {
		c, err = askShim(fs, pid, id)
	}
	c.Manager = m
	return c, err
}

func askConmon(fs proc.FS, pid int, args []string, id proc.ContainerID) (Config, error) {
	bundle := flag(args, "-b", "--bundle")
	if flag(args, "-c", "--cid") != string(id) || !path.IsAbs(bundle) {
		return Config{}, errOther
	}
	name := path.Join(bundle, configName)
	file, err := hostfile.ReadIn(fs.Path(pid, "root"), name, MaxConfig)
	c, err := read(name, file, err)
	c.Runtime = flag(args, "-r", "--runtime")
	return c, err
}

func askShim(fs proc.FS, pid int, id proc.ContainerID) (Config, error) {
	cwd, err := fs.WorkingDirectory(pid)
	if err != nil {
		return Config{}, err
	}
	// From one bundle to another.
	to := []string{"..", string(id)}
	if path.Base(cwd) == crioBundle {
		to = []string{"..", "..", string(id), crioBundle}
	}
	below := func(limit int64, name string) (hostfile.File, error) {
		return hostfile.ReadBelow(fs.Path(pid, "cwd"), limit, append(to[:len(to):len(to)], name)...)
	}
	file, err := below(MaxConfig, configName)
	c, err := read(path.Join(cwd, path.Join(to...), configName), file, err)
	if err != nil {
		return c, err
	}
	c.Runtime = shimRuntime(func(name string) ([]byte, error) {
		file, err := below(maxOptions, name)
		return file.Text, err
	})
	return c, nil
}

// read makes a configuration of a file with that name, or of the error that it
// could not be read for.
func read(name string, file hostfile.File, err error) (Config, error) {
	if err != nil {
		return Config{Path: name}, err
	}
	c, err := parse(file.Text)
	c.Path, c.Modified = name, file.Modified
	if err != nil {
		err = fmt.Errorf("read %s: %w", name, err)
	}
	return c, err
}

const (
	configName = "config.json"
	// crioBundle is what CRI-O calls bundles, each in a folder named by ID.
	crioBundle = "userdata"
)

// flag returns the last value that arguments give to a flag with a value.
func flag(args []string, short, long string) (value string) {
	for i, arg := range args {
		switch {
		case (arg == short || arg == long) && i+1 < len(args):
			value = args[i+1]
		case strings.HasPrefix(arg, long+"="):
			value = strings.TrimPrefix(arg, long+"=")
		}
	}
	return value
}
