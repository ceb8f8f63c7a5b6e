package proc

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestHangs reads files that keep the reader waiting: pipes that nobody writes
// to.
func TestHangs(t *testing.T) {
	for name, read := range map[string]func(FS, int) error{
		"cmdline": func(fsys FS, pid int) error { _, err := fsys.Arguments(pid); return err },
		"stat":    func(fsys FS, pid int) error { _, err := fsys.Parent(pid); return err },
	} {
		// Hanging processes are known by PID: none of a number that another test has.
		fsys := fakeProc(t, map[string]string{"4711/comm": "a\n", "4712/comm": "b\n"})
		pid := map[string]int{"cmdline": 4711, "stat": 4712}[name]
		fifo := fsys.Path(pid, name)
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := read(fsys, pid); !errors.Is(err, ErrHangs) {
			t.Errorf("%s: error %v, want %v", name, err, ErrHangs)
		}
		if comm, err := fsys.Comm(pid); err != nil || !strings.Contains("ab", comm) {
			t.Errorf("%s: comm %q, %v", name, comm, err)
		}
		// Let go who still reads.
		w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
}
