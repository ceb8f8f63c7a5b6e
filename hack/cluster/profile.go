package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// installProfiles copies seccomp profiles to where each kubelet looks for
// localhostProfile, under their own base names.
func installProfiles(l Layout, files []string) error {
	if _, err := ownRecord(l); err != nil {
		return err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var profile map[string]json.RawMessage
		if err := json.Unmarshal(b, &profile); err != nil {
			return fmt.Errorf("%s is no seccomp profile: %w", file, err)
		}
		for _, n := range l.Nodes {
			if err := replaceFile(filepath.Join(n.seccompDir(), filepath.Base(file)), b, 0o644); err != nil {
				return err
			}
		}
		fmt.Printf("localhostProfile: %s\n", filepath.Base(file))
	}
	return nil
}
