package proc

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLabel tells a process without a label from one whose label is not to be had.
func TestLabel(t *testing.T) {
	label := func(make func(path string) error) (string, error) {
		t.Helper()
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "7", "attr"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := make(filepath.Join(dir, "7", "attr", "current")); err != nil {
			t.Fatal(err)
		}
		return FS(dir).Label(7)
	}
	for text, want := range map[string]string{
		"unconfined\n":                               "unconfined",
		"cri-containerd.apparmor.d (enforce)\n":      "cri-containerd.apparmor.d (enforce)",
		"system_u:system_r:spc_t:s0-s0:c0.c1023\x00": "system_u:system_r:spc_t:s0-s0:c0.c1023",
	} {
		if got, err := label(func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if got, err := label(func(string) error { return nil }); got != "" || err != nil {
		t.Errorf("a kernel without labels: %q, %v", got, err)
	}
	// A folder: it is there, and reading it is an error even for root.
	if got, err := label(func(path string) error { return os.Mkdir(path, 0o755) }); got != "" || err == nil {
		t.Errorf("what cannot be read is %q, without an error", got)
	}
	// The real thing, with the answer that the kernel gives a shell.
	text, want := os.ReadFile("/proc/self/attr/current")
	got, err := FS("/proc").Label(os.Getpid())
	if (want == nil) != (got != "") || err != nil {
		t.Errorf("%q, %v; the kernel says %q, %v", got, err, text, want)
	}
}
