package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/hostfile"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/kubelet"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/oci"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// configuration reads what the targets of a run were started with, and what the
// node's kubelet was told.
type configuration struct {
	*collector
	kubelets []kubelet.Kubelet
	err      error // of listing those

	own   string   // root directory of the kubelet that started the probe, "" if not known
	roots []string // of those that started the targets, each once
}

// configured writes what was asked for of the configuration of targets and node.
func (c *collector) configured(targets []*target) error {
	if !c.req.Config && len(c.req.Localhost) == 0 {
		return nil
	}
	conf := &configuration{collector: c}
	conf.kubelets, conf.err = kubelet.Find(c.fs)
	conf.own = conf.rootOfSelf()
	for _, t := range targets {
		if !t.reported {
			continue
		}
		if err := conf.target(t); err != nil {
			return err
		}
	}
	if !c.req.Config {
		return nil
	}
	err := c.sink.Write(conf.node())
	if errors.Is(err, wire.ErrTooLarge) {
		return c.sink.Write(&wire.Problem{Code: wire.CodeOutputFull, Op: "write what kubelet was told", Detail: "the output is as long as a log can safely be"})
	}
	return err
}

// rootOfSelf returns the root directory of the kubelet that started the probe.
func (conf *configuration) rootOfSelf() string {
	self, err := conf.fs.Process(os.Getpid())
	if err != nil {
		return ""
	}
	id, err := conf.fs.ContainerOf(self.PID)
	if err != nil || id == "" {
		return ""
	}
	return conf.origins.of(id, self).kubelet
}

// target writes a target's configuration and the profile that it declares.
func (conf *configuration) target(t *target) error {
	declared, declares := conf.req.Localhost[t.ref]
	if !declares && (!conf.req.Config || t.container == "") {
		return nil
	}
	if root := t.origin.kubelet; root != "" && !slices.Contains(conf.roots, root) {
		conf.roots = append(conf.roots, root)
	}
	if conf.req.Config && t.container != "" {
		if err := conf.config(t); err != nil {
			return err
		}
	}
	if !declares {
		return nil
	}
	return conf.localhost(t, declared)
}

// config writes a target's configuration, or why there is none.
func (conf *configuration) config(t *target) error {
	config, err := t.origin.config, t.origin.err
	p := &wire.Problem{Code: wire.CodeNoConfig, Op: "read the OCI configuration"}
	if err != nil {
		p.Detail = err.Error()
		if errors.Is(err, oci.ErrNotFound) {
			p.Remedy = "the runtime keeps it where the probe does not know to look"
		}
		return t.problem(p)
	}
	_, err = t.write(&wire.Config{
		Target: t.ref, Path: config.Path, ModifiedNS: config.Modified.UnixNano(), Runtime: config.Runtime,
		Bounding: config.Bounding, NoNewPrivileges: config.NoNewPrivileges, Gzip: t.origin.profile,
	}, p.Op)
	return err
}

// localhost writes the profile that a target declares, or why there is none. It
// is read as by the process that looks after the container, in whose mount
// namespace the runtime reads it; if there is none, by kubelet.
func (conf *configuration) localhost(t *target, declared string) error {
	p := &wire.Problem{Code: wire.CodeNoFile, Op: "read the Localhost profile"}
	// Kubelet refuses these, too (ValidateSeccompProfile).
	if !filepath.IsLocal(declared) || declared == "." {
		p.Detail = fmt.Sprintf("%q is not a path below kubelet's folder for profiles", declared)
		return t.problem(p)
	}
	root, via := t.origin.kubelet, t.origin.config.Manager.PID
	k, err := kubelet.Choose(conf.kubelets, root)
	if err == nil {
		root = k.RootDir
		if via == 0 {
			via = k.PID
		}
	}
	if root == "" {
		root = kubelet.DefaultRoot
	}
	if via == 0 {
		via = 1
	}
	name := path.Join(root, "seccomp", declared)
	file, err := hostfile.ReadIn(conf.fs.Path(via, "root"), name, wire.MaxFile)
	if err != nil {
		p.Detail = err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			p.Remedy = "put it there: containers that declare it will not start again without"
		}
		return t.problem(p)
	}
	_, err = t.write(&wire.File{Target: t.ref, Path: name, ModifiedNS: file.Modified.UnixNano(), Gzip: wire.Compress(file.Text)}, p.Op)
	return err
}

// node returns what the node's kubelet was told: of several, the one that
// started the probe, or else the targets.
func (conf *configuration) node() *wire.Node {
	n := &wire.Node{KubeletRoot: conf.own}
	switch {
	case conf.err != nil:
		n.Detail = conf.err.Error()
		return n
	case n.KubeletRoot == "" && len(conf.roots) == 1:
		n.KubeletRoot = conf.roots[0]
	case n.KubeletRoot == "" && len(conf.roots) > 1:
		n.Detail = "the containers were started by different kubelets"
		return n
	}
	k, err := kubelet.Choose(conf.kubelets, n.KubeletRoot)
	if err != nil {
		n.Detail = err.Error()
		return n
	}
	n.KubeletRoot = k.RootDir
	is, err := k.SeccompDefault(conf.fs)
	if err != nil {
		n.Detail = err.Error()
		return n
	}
	n.SeccompDefault = &is
	return n
}
