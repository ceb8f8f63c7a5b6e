package probe

import (
	"crypto/sha256"
	"fmt"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/kubelet"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/oci"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// origin is what is kept of the configuration with which a container was
// started. A node has many containers, with long configurations.
type origin struct {
	config   oci.Config // without Seccomp and Mounts
	profile  []byte     // what Seccomp was, compressed
	kubelet  string     // root directory of the kubelet that had it started, "" if not known
	err      error      // why there is none
	managers []oci.Manager
}

// origins finds those of containers.
type origins struct {
	finder   *oci.Finder
	profiles map[[sha256.Size]byte][]byte // compressed, by hash: they are few
}

func newOrigins(fs proc.FS) *origins {
	return &origins{oci.NewFinder(fs), make(map[[sha256.Size]byte][]byte)}
}

// of returns the origin of a process' container.
func (o *origins) of(id proc.ContainerID, process proc.Process) origin {
	config, managers, err := o.finder.Find(id, process)
	from := origin{config: config, err: err, kubelet: kubelet.RootOf(config), managers: managers}
	if len(config.Seccomp) > wire.MaxFile {
		from.err = fmt.Errorf("linux.seccomp in %s is longer than %d bytes", config.Path, wire.MaxFile)
	} else if config.Seccomp != nil {
		sum := sha256.Sum256(config.Seccomp)
		if o.profiles[sum] == nil {
			o.profiles[sum] = wire.Compress(config.Seccomp)
		}
		from.profile = o.profiles[sum]
	}
	from.config.Seccomp, from.config.Mounts = nil, nil
	return from
}
