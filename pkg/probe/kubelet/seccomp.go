package kubelet

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/hostfile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

const (
	// maxConfig is how long a configuration may be, in bytes.
	maxConfig = 1 << 20
	// maxDropIns and maxDepth bound what is read of --config-dir.
	maxDropIns = 256
	maxDepth   = 8
)

// SeccompDefault returns whether containers that declare no profile get the
// runtime's default: what --seccomp-default says, else the last of the files in
// --config-dir that says something, else the file of --config, else no.
//
// These are the files as they are now. Kubelet has read them when it started.
func (k Kubelet) SeccompDefault(fs proc.FS) (bool, error) {
	if k.flags.seccompDefault != nil {
		return *k.flags.seccompDefault, nil
	}
	root := fs.Path(k.PID, "root")
	var names []string
	if k.flags.config != "" {
		name, err := absolute(fs, k.PID, k.flags.config)
		if err != nil {
			return false, err
		}
		names = append(names, name)
	}
	if k.flags.configDir != "" {
		dir, err := absolute(fs, k.PID, k.flags.configDir)
		if err != nil {
			return false, err
		}
		dropIns, err := dropIns(root, dir, maxDepth)
		if err != nil {
			return false, fmt.Errorf("list kubelet's configuration: %w", err)
		}
		names = append(names, dropIns...)
	}
	is := false
	for _, name := range names {
		file, err := hostfile.ReadIn(root, name, maxConfig)
		if err != nil {
			return false, fmt.Errorf("read kubelet's configuration: %w", err)
		}
		said, err := seccompDefault(file.Text)
		if err != nil {
			return false, fmt.Errorf("read kubelet's configuration %s: %w", name, err)
		}
		if said != nil {
			is = *said
		}
	}
	return is, nil
}

// dropIns returns the files of a folder in the order in which kubelet reads
// them: those whose name ends in .conf, by name, folders where theirs comes.
func dropIns(root, dir string, depth int) (found []string, err error) {
	names, err := hostfile.NamesIn(root, dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		switch full := path.Join(dir, name); {
		case strings.HasSuffix(name, "/") && depth > 1:
			below, err := dropIns(root, full, depth-1)
			if err != nil {
				return nil, err
			}
			found = append(found, below...)
		case path.Ext(name) == ".conf":
			found = append(found, full)
		}
		if len(found) > maxDropIns {
			return nil, fmt.Errorf("%s has more than %d files", dir, maxDropIns)
		}
	}
	return found, nil
}

// seccompDefault returns what a configuration, in YAML or JSON, says, nil if
// nothing.
func seccompDefault(text []byte) (*bool, error) {
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		// Its text quotes from the file, of which no more than this leaves the node.
		return nil, errors.New("it is neither YAML nor JSON")
	}
	switch value := all["seccompDefault"].(type) {
	case nil:
		return nil, nil
	case bool:
		return &value, nil
	}
	return nil, errors.New("seccompDefault is neither true nor false")
}
