package proc

import (
	"errors"
	"os"
	"testing"
)

// TestThreads reads this process and compares with what it knows of itself.
func TestThreads(t *testing.T) {
	pid := os.Getpid()
	p, err := Host.Process(pid)
	if err != nil {
		t.Fatal(err)
	}
	if p.PPID != os.Getppid() {
		t.Errorf("parent %d, want %d", p.PPID, os.Getppid())
	}
	threads, more, err := Host.Threads(p, 1000)
	if err != nil || more || threads[0].TID != pid {
		t.Fatal(threads, more, err)
	}
	if threads, more, err = Host.Threads(p, 1); err != nil || !more || len(threads) != 1 {
		t.Errorf("at most 1: %d, %v, %v", len(threads), more, err)
	}
	p.Start--
	if _, _, err = Host.Threads(p, 1); !errors.Is(err, ErrGone) {
		t.Errorf("another process with that PID: %v", err)
	}
	if _, err = Host.Thread(pid, 1); !errors.Is(err, ErrGone) {
		t.Errorf("another process' thread: %v", err)
	}
	self, err := Host.Self()
	if err != nil {
		t.Fatal(err)
	}
	if self.PID != pid || self.NSPID == 0 || self.Kernel || self.Dead() || self.Comm == "" {
		t.Errorf("self: %+v", self)
	}
}
