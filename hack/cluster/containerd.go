package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"text/template"
)

// The two forms of containerd's configuration file. In version 3, which
// containerd 2 reads, the CRI plugin is split into images and runtime.
//
// restrict_oom_score_adj works without CAP_SYS_RESOURCE, which a confined root
// may lack. Network namespaces and sockets would else lie in folders that are
// not the cluster's own.
var containerdConfigs = map[int]*template.Template{
	2: template.Must(template.New("2").Parse(`version = 2
{{template "common" .}}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{{.Pause}}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{{.CNIConf}}"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{{.Snapshotter}}"
  default_runtime_name = "runc"
{{range .Runtimes}}
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{{.Name}}]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{{.Name}}.options]
  BinaryName = "{{.Program}}"
  Root = "{{.Root}}"
{{end}}` + containerdCommon)),

	3: template.Must(template.New("3").Parse(`version = 3
{{template "common" .}}
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{{.Snapshotter}}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{{.Pause}}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "{{.CNIConf}}"
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
{{range .Runtimes}}
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{{.Name}}]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{{.Name}}.options]
  BinaryName = "{{.Program}}"
  Root = "{{.Root}}"
{{end}}` + containerdCommon)),
}

const containerdCommon = `{{define "common"}}root = "{{.Dir}}/containerd"
state = "{{.State}}"
[grpc]
  address = "{{.Socket}}"
[ttrpc]
  address = "{{.Socket}}.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{{.Dir}}/opt"{{end}}`

// containerdConfig is a node's containerd configuration. checkMachine has seen
// to it that no path needs escaping.
func containerdConfig(n Node, snapshotter string) ([]byte, error) {
	t, ok := containerdConfigs[n.configVersion]
	if !ok {
		return nil, fmt.Errorf("no template for version %d of containerd's configuration", n.configVersion)
	}
	type runtime struct{ Name, Program, Root string }
	data := struct {
		Dir, State, Socket, Pause, CNIConf, Snapshotter string
		Runtimes                                        []runtime
	}{
		Dir: n.dir, State: n.stateDir(), Socket: n.socket(), Pause: pauseImage, CNIConf: n.cniConfDir(), Snapshotter: snapshotter,
		Runtimes: []runtime{
			{Name: "runc", Program: n.runcBin, Root: filepath.Join(n.run, "runc")},
			{Name: "crun", Program: n.crunBin, Root: filepath.Join(n.run, "crun")},
		},
	}
	var b bytes.Buffer
	err := t.Execute(&b, data)
	return b.Bytes(), err
}
