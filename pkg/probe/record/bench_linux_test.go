package record

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/cprogram"
	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/proc"
)

// BenchmarkRecord has a container make calls on two threads (see load.c) without
// anything, while they are recorded, under strace -c -f and under perf trace -s, in
// turn. It reports how many it made in each way, by second of two processors, and by how
// much each is slower than bare in the median; what a call costs before anything is done
// about it, with programs at the kernel's tracepoints that do nothing, as "outside": the
// load is in no recorded container then; and events lost, and the memory of a process
// that records.
func BenchmarkRecord(b *testing.B) {
	program, err := cprogram.Build(b.TempDir(), "testdata/load.c")
	if err != nil {
		b.Fatal(err)
	}
	for _, load := range []string{"getpgid", "pread", "pipe", "pread 0"} {
		b.Run(strings.ReplaceAll(load, " 0", "-filtered"), func(b *testing.B) {
			budget := kerneltest.New(b)
			container, outside := benchCgroup(b), benchCgroup(b)
			run := func(cgroup string, wrap ...string) (rate, wall float64) {
				b.Helper()
				if strings.Contains(load, " ") {
					budget.Spend(1, 0)
				}
				script := `echo $$ >"$1/cgroup.procs"; shift; exec "$@"`
				args := append([]string{"-c", script, "sh", cgroup}, wrap...)
				cmd := exec.Command("sh", append(append(args, program), strings.Fields(load)...)...)
				var said strings.Builder
				cmd.Stderr = &said
				out, err := cmd.Output()
				if err != nil {
					b.Fatalf("%v: %v: %s", cmd.Args, err, said.String())
				}
				if _, err := fmt.Sscan(string(out), &rate, &wall); err != nil {
					b.Fatalf("%q: %v", out, err)
				}
				return rate, wall
			}
			var lost Lost
			recorded := func(cgroup string) (rate, wall float64) {
				b.Helper()
				r := benchRecorder(b, container)
				defer r.Close()
				if err := r.Begin(); err != nil {
					b.Fatal(err)
				}
				rate, wall = run(cgroup)
				result, err := r.End()
				if err != nil {
					b.Fatal(err)
				}
				if l := result.Counts[0].Lost; l.Any() {
					lost = l
				}
				return rate, wall
			}
			ways := map[string]func() (rate, wall float64){
				"bare":     func() (float64, float64) { return run(container) },
				"outside":  func() (float64, float64) { return recorded(outside) },
				"recorded": func() (float64, float64) { return recorded(container) },
			}
			order := []string{"bare", "outside", "recorded"}
			for name, wrap := range map[string][]string{"strace": {"strace", "-c", "-f", "-o", os.DevNull}, "perf": {"perf", "trace", "-s", "-o", os.DevNull, "--"}} {
				// What cannot run here is not compared with.
				if err := exec.Command(wrap[0], append(slices.Clone(wrap[1:]), "true")...).Run(); err != nil {
					b.Logf("not compared with %s, which does not run here: %v", strings.Join(wrap, " "), err)
					continue
				}
				ways[name] = func() (float64, float64) { return run(container, wrap...) }
				order = append(order, name)
			}
			rates, slower := make(map[string][]float64), make(map[string][]float64)
			for b.Loop() {
				bare, bareWall := 0.0, 0.0
				for _, way := range order {
					rate, wall := ways[way]()
					switch way {
					case "bare":
						bare, bareWall = rate, wall
					case "strace", "perf":
						// These do their work in a process of their own, which the
						// load waits for.
						rate, bare = wall, bareWall
					}
					rates[way] = append(rates[way], rate)
					slower[way] = append(slower[way], 100*(bare/rate-1))
				}
			}
			median := func(list []float64) float64 {
				slices.Sort(list)
				return list[len(list)/2]
			}
			for _, way := range order {
				b.ReportMetric(median(rates[way]), way+"-calls/s")
				if way != "bare" {
					b.ReportMetric(median(slower[way]), "%-slower-"+way)
				}
			}
			b.ReportMetric(float64(lost.Calls+lost.Values+lost.Refusals+lost.Origins+lost.Runs), "lost")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkRecorderMemory reports what a process that does nothing but record takes, of
// its own and in the kernel, with as many containers as a node has and the most of new
// ones.
func BenchmarkRecorderMemory(b *testing.B) {
	cgroup := benchCgroup(b)
	for b.Loop() {
		r := benchRecorder(b, cgroup)
		if err := r.Begin(); err != nil {
			b.Fatal(err)
		}
		kernel, err := r.memory()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Read(); err != nil {
			b.Fatal(err)
		}
		r.Close()
		debug.FreeOSMemory()
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			b.Fatal(err)
		}
		_, peak, _ := strings.Cut(string(status), "VmHWM:")
		var kib float64
		if _, err := fmt.Sscan(peak, &kib); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(kib/1024, "MiB-RSS")
		b.ReportMetric(float64(kernel)/(1<<20), "MiB-kernel")
	}
	b.ReportMetric(0, "ns/op")
}

// memory is what the kernel has for the recorder's maps, in bytes.
func (r *Recorder) memory() (sum uint64, err error) {
	o := &r.objects
	for _, m := range []*ebpf.Map{
		o.Slots, o.Containers, o.Newcomers, o.Cgroups, o.Processes, o.Threads,
		o.Recents, o.Usual, o.Counts, o.Values, o.Refused,
	} {
		info, err := m.Info()
		if err != nil {
			return 0, err
		}
		n, _ := info.Memlock()
		sum += n
	}
	return sum, nil
}

// benchRecorder is loaded for the one container, as in a run with most others.
func benchRecorder(b *testing.B, cgroup string) *Recorder {
	b.Helper()
	// Someone must be in it for it to be found.
	holder := exec.Command("sleep", "60")
	if err := holder.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		holder.Process.Kill()
		holder.Wait()
	}()
	if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte(strconv.Itoa(holder.Process.Pid)), 0); err != nil {
		b.Fatal(err)
	}
	id, err := proc.Host.ContainerOf(holder.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	places, err := proc.Host.Places(holder.Process.Pid, id)
	if err != nil {
		b.Fatal(err)
	}
	r, err := Load(Options{Controllers: places[0].Controllers, Containers: 110, New: maxNew})
	if err != nil {
		b.Fatal(err)
	}
	if found, err := r.Add([]Process{{holder.Process.Pid, places[0].Up}}); err != nil || !found[0] {
		b.Fatalf("found %v, %v", found, err)
	}
	return r
}

func benchCgroup(b *testing.B) string {
	b.Helper()
	for _, dir := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil {
			continue
		}
		cgroup := filepath.Join(dir, newID())
		if err := os.Mkdir(cgroup, 0o755); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			// A process that has ended may still be on its way out.
			for end := time.Now().Add(5 * time.Second); os.Remove(cgroup) != nil && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			}
		})
		return cgroup
	}
	b.Fatal("no cgroups at /sys/fs/cgroup")
	return ""
}
