// Package oci finds, on a node, the configuration that a container was started
// with: the OCI runtime specification's config.json, as the container runtime
// handed it to runc, crun or another.
//
// Where a runtime keeps it is a matter of its settings. But each container has a
// process beside it, outside of its cgroup, that looks after it and was told: see
// [Finder].
package oci

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxConfig is how long a config.json may be, in bytes. Its environment and its
// mounts are the longest things in it, and those of the largest pods come to
// some 100 KiB.
const MaxConfig = 4 << 20

// Config is what is used of a container's configuration. The rest, such as its
// environment, is dropped as it is read.
type Config struct {
	Path     string    // as the process sees it that looks after the container
	Modified time.Time // of that file
	Runtime  string    // path or name of the OCI runtime's program, "" if that cannot be told
	Manager  Manager   // the process that looks after the container

	Seccomp         json.RawMessage // linux.seccomp without needless blanks; nil if there is none
	Bounding        []string        // process.capabilities.bounding
	NoNewPrivileges bool
	CgroupsPath     string  // linux.cgroupsPath
	Mounts          []Mount // in their order
	Sandbox         string  // ID of the pod's sandbox, as containerd and CRI-O annotate it; "" if there is none
}

// Manager is a process of the node's that looks after containers: a shim, conmon.
type Manager struct {
	PID     int
	Program string // base name of its first argument
}

// Mount is what is mounted where.
type Mount struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// ErrNotConfig is the error for a file that is no configuration.
var ErrNotConfig = errors.New("not an OCI runtime configuration")

// parse reads a config.json.
func parse(text []byte) (Config, error) {
	var file struct {
		Version string `json:"ociVersion"`
		Process struct {
			NoNewPrivileges bool `json:"noNewPrivileges"`
			Capabilities    struct {
				Bounding []string `json:"bounding"`
			} `json:"capabilities"`
		} `json:"process"`
		Mounts      []Mount           `json:"mounts"`
		Annotations map[string]string `json:"annotations"`
		Linux       struct {
			CgroupsPath string          `json:"cgroupsPath"`
			Seccomp     json.RawMessage `json:"seccomp"`
		} `json:"linux"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return Config{}, fmt.Errorf("%w: %v", ErrNotConfig, err)
	}
	if file.Version == "" {
		return Config{}, fmt.Errorf("%w: it has no ociVersion", ErrNotConfig)
	}
	c := Config{
		Bounding: file.Process.Capabilities.Bounding, NoNewPrivileges: file.Process.NoNewPrivileges,
		CgroupsPath: file.Linux.CgroupsPath, Mounts: file.Mounts,
		Sandbox: cmp.Or(file.Annotations["io.kubernetes.cri.sandbox-id"], file.Annotations["io.kubernetes.cri-o.SandboxID"]),
	}
	if s := file.Linux.Seccomp; s != nil && !bytes.Equal(s, []byte("null")) {
		var compact bytes.Buffer
		if err := json.Compact(&compact, s); err != nil {
			return Config{}, fmt.Errorf("%w: %v", ErrNotConfig, err)
		}
		c.Seccomp = compact.Bytes()
	}
	return c, nil
}
