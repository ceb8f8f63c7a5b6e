package ptrace

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
)

// BenchmarkStop measures for how long a thread is held, ours against the bare
// sequence in C, in turns, so that what else the machine does meets both: in C in
// a tight loop, and paced as whoever reads one thread after another is (see
// testdata/bare.c). It reports medians. Most of the time goes into the two waking each other, which
// costs much less on one processor than from one to the other: where each runs
// is not left to chance.
func BenchmarkStop(b *testing.B) {
	for _, bm := range []struct {
		name, mode         string
		tracerOn, targetOn int
	}{
		{"futex/same-cpu", "futex", 0, 0},
		{"futex/other-cpu", "futex", 0, 1},
		{"running/same-cpu", "spin", 0, 0},
		{"running/other-cpu", "spin", 0, 1},
	} {
		b.Run(bm.name, func(b *testing.B) {
			budget := kerneltest.New(b)
			p := start(b, budget, 1, 1, bm.mode)
			pin(b, p.pid, bm.targetOn)
			pin(b, os.Getpid(), bm.tracerOn)
			tracer := newTracer(b, time.Second)
			thread := p.thread(p.pid)
			const turn = 20
			var ours, bare, paced []time.Duration
			for b.Loop() {
				for range turn {
					r, err := tracer.Read(b.Context(), thread)
					if err != nil {
						b.Fatal(err)
					}
					ours = append(ours, r.Stopped)
				}
				bare = append(bare, bareTimes(b, "time", p.pid, turn)...)
				paced = append(paced, bareTimes(b, "paced", p.pid, turn)...)
			}
			b.ReportMetric(float64(median(ours)), "ns-ours")
			b.ReportMetric(float64(median(bare)), "ns-C")
			b.ReportMetric(float64(median(paced)), "ns-C-paced")
			b.ReportMetric(float64(median(ours))/float64(median(bare)), "ours/C")
			b.ReportMetric(float64(median(ours))/float64(median(paced)), "ours/C-paced")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// bareTimes runs testdata/bare.c and returns for how long each stop held.
func bareTimes(b *testing.B, mode string, tid, n int) []time.Duration {
	b.Helper()
	out, err := exec.Command(bareProgram, mode, strconv.Itoa(tid), strconv.Itoa(n)).Output()
	if err != nil {
		b.Fatal(err)
	}
	var times []time.Duration
	for line := range bytes.Lines(out) {
		ns, err := strconv.Atoi(string(bytes.TrimSpace(line)))
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Duration(ns))
	}
	return times
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// pin has all threads of a process run on one processor until the benchmark
// ends. Those that it starts meanwhile do, too.
func pin(b *testing.B, pid, cpu int) {
	b.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			b.Fatal(err)
		}
		var before, set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedGetaffinity(tid, &before); err != nil {
			b.Fatal(err)
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { unix.SchedSetaffinity(tid, &before) })
	}
}
