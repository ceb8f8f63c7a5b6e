package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStartup runs the plugin as a release has it for its help and for its
// version, which is what every command pays at start: the time from the start of the
// process to its end, the processor's time of it, and the peak of resident memory.
// Medians. It is to be below 50 ms and 60 MiB, and the program below 60 MiB.
func BenchmarkStartup(b *testing.B) {
	plugin := filepath.Join(b.TempDir(), "kubectl-seccomp")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", plugin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the plugin: %v\n%s", err, out)
	}
	info, err := os.Stat(plugin)
	if err != nil {
		b.Fatal(err)
	}
	for _, arg := range []string{"--help", "version"} {
		b.Run(arg, func(b *testing.B) {
			var wall, cpu []time.Duration
			var peak int64 // KiB
			for b.Loop() {
				cmd := exec.Command(plugin, arg)
				start := time.Now()
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				wall = append(wall, time.Since(start))
				cpu = append(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
				peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
			}
			b.ReportMetric(median(wall).Seconds()*1e3, "ms")
			b.ReportMetric(median(cpu).Seconds()*1e3, "ms-cpu")
			b.ReportMetric(float64(peak)/1024, "MiB-peak")
			b.ReportMetric(float64(info.Size())/(1<<20), "MiB-program")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
