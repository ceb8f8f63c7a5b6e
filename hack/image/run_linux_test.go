package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// checkRuns runs a program of this machine's architecture.
func checkRuns(t *testing.T, program []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command(path).CombinedOutput()
	if err != nil || string(got) != "hello from v1.2.3\n" {
		t.Errorf("the program printed %q (%v)", got, err)
	}
}
