//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// cluster is the local cluster, as hack/cluster describes it.
type cluster struct {
	Kubeconfig string `json:"kubeconfig"`
	Kubectl    string `json:"kubectl"` // the programs' paths
	Cluster    string `json:"cluster"`

	path string    // folder that is searched for kubectl plugins before those of PATH
	out  io.Writer // where commands and their output go
}

func readCluster(path string) (*cluster, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the local cluster: %w: run `make cluster-up`", err)
	}
	c := new(cluster)
	if err := json.Unmarshal(content, c); err != nil {
		return nil, fmt.Errorf("the local cluster: %s: %w: run `make cluster-up`", path, err)
	}
	return c, nil
}
