//go:build linux

// Package kerneltest keeps tests that install seccomp filters from freeing more
// of them than a kernel can stand.
//
// The kernel frees a filter's program later, from a work queue. Some kernels
// (seen: Linux 6.18) deadlock when a thousand of them are waiting, and then no
// filter can be installed until the machine boots again. So a test takes part in
// a [Budget]: it says what it is about to install, and when that would be too
// much, the Budget first waits until all that is freed has gone.
//
// It also says what [Share] of many cases is tried where that takes long.
package kerneltest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What may be installed between two waits. A program that the kernel refuses is
// freed through the same queue, though it was never compiled.
const (
	MaxInstalled = 48
	MaxRefused   = 240
)

// A program's share of the budget.
const (
	costRefused   = 1
	costInstalled = MaxRefused / MaxInstalled
)

// statRefresh, when read, queues work for every CPU behind what is queued there
// and waits for it. Only root can.
const statRefresh = "/proc/sys/vm/stat_refresh"

// Budget counts the filters of one test. No two exist at a time on a machine, be
// it in different test binaries.
type Budget struct {
	t    testing.TB
	used int
}

// New waits for other tests that install filters to end, and then for what they
// have left behind.
func New(t testing.TB) *Budget {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "kubectl-seccomp-kerneltest.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatalf("lock out other tests that install filters: %v", err)
	}
	for {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		t.Fatalf("lock out other tests that install filters: flock %s: %v", lock.Name(), err)
	}
	b := &Budget{t: t}
	b.sync()
	t.Cleanup(func() {
		b.sync()
		lock.Close()
	})
	return b
}

// Spend is called before programs are installed, or offered and refused. It may
// wait for the ones before: the processes that held those must have been reaped
// by now.
func (b *Budget) Spend(installed, refused int) {
	b.t.Helper()
	cost := installed*costInstalled + refused*costRefused
	if cost > MaxRefused {
		b.t.Fatalf("a test wants to install %d filters and have %d refused at once: %d and %d are the most",
			installed, refused, MaxInstalled, MaxRefused)
	}
	if b.used+cost > MaxRefused {
		b.sync()
	}
	b.used += cost
}

func (b *Budget) sync() {
	b.t.Helper()
	f, err := os.Open(statRefresh)
	if err == nil {
		_, err = io.ReadAll(f)
		f.Close()
	}
	if err != nil {
		b.t.Fatalf("wait for the kernel to free filters: %v: tests that install filters run as root", err)
	}
	b.used = 0
}
