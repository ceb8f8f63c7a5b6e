package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
)

// Info is what .cluster/cluster.json tells tests about the running cluster.
type Info struct {
	Kubeconfig string     `json:"kubeconfig"`
	Kubectl    string     `json:"kubectl"`
	Cluster    string     `json:"cluster"` // this program, for start, stop and load
	Components []InfoComp `json:"components"`
	Nodes      []InfoNode `json:"nodes"`
}

// InfoComp is one component; its name is what start and stop take.
type InfoComp struct {
	Name string   `json:"name"`
	PID  int      `json:"pid"`
	Argv []string `json:"argv"`
	Log  string   `json:"log"`
}

// InfoNode is one node.
type InfoNode struct {
	Name       string            `json:"name"`
	KubeletDir string            `json:"kubeletDir"`
	SeccompDir string            `json:"seccompDir"` // of Localhost profiles
	PodLogs    string            `json:"podLogs"`
	Socket     string            `json:"containerdSocket"`
	Ctr        string            `json:"ctr"`
	Versions   map[string]string `json:"versions"` // by program: containerd, runc, crun
}

func (l Layout) infoPath() string { return filepath.Join(l.State, "cluster.json") }

// writeInfo writes cluster.json.
func writeInfo(l Layout, rec *Record) error {
	info := Info{Kubeconfig: l.kubeconfig(), Kubectl: l.bin("kubectl"), Cluster: l.bin("cluster")}
	cs, err := components(l)
	if err != nil {
		return err
	}
	for _, c := range cs {
		info.Components = append(info.Components, InfoComp{Name: c.Name, PID: rec.Processes[c.Name].PID, Argv: c.Argv, Log: l.log(c.Name)})
	}
	for _, n := range l.Nodes {
		node := InfoNode{
			Name: n.Name, KubeletDir: n.kubeletDir(), SeccompDir: n.seccompDir(), PodLogs: n.podLogs(),
			Socket: n.socket(), Ctr: n.ctrBin, Versions: make(map[string]string),
		}
		for name, bin := range map[string]string{"containerd": n.containerdBin, "runc": n.runcBin, "crun": n.crunBin} {
			if node.Versions[name], err = programVersion(bin); err != nil {
				return err
			}
		}
		info.Nodes = append(info.Nodes, node)
	}
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(l.infoPath(), append(b, '\n'), 0o644)
}

var versionNumber = regexp.MustCompile(`\bv?(\d+\.\d+\.\d+\S*)`)

// programVersion is the first version number that a program prints of itself.
func programVersion(bin string) (string, error) {
	out, err := exec.Command(bin, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", bin, err)
	}
	m := versionNumber.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s --version prints no version number", bin)
	}
	return string(m[1]), nil
}
