//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// probeImage is the image that the plugin of this tree starts.
const probeImage = "localhost/kubectl-seccomp/probe:dev"

// BenchmarkDump times `dump POD`, from the start of the plugin's process to its
// end, against the least that any tool could do that starts a pod of the same
// image on the same node: create it, ask for its log every 50 ms until there is
// a line, delete it. They take turns. Medians.
func BenchmarkDump(b *testing.B) {
	for _, pod := range []string{"a", "b"} {
		b.Run("node-"+pod, func(b *testing.B) {
			var dump, bare []time.Duration
			for b.Loop() {
				start := time.Now()
				if out, err := exec.Command(plugin, "--kubeconfig", cluster.Kubeconfig, "-n", ns, "dump", pod).CombinedOutput(); err != nil {
					b.Fatalf("dump %s: %v\n%s", pod, err, out)
				}
				dump = append(dump, time.Since(start))

				start = time.Now()
				if err := barePod(b.Context(), "node-"+pod); err != nil {
					b.Fatal(err)
				}
				bare = append(bare, time.Since(start))
			}
			compare(b, dump, bare, "dump", "bare-pod")
		})
	}
}

// BenchmarkDiff times `diff` of two pods on two nodes against one `dump`, and
// beside that bare pods on both nodes at once against one: the nodes share this
// machine's processors, and no tool can do better than those on it.
func BenchmarkDiff(b *testing.B) {
	var diff, dump, both, one []time.Duration
	for b.Loop() {
		start := time.Now()
		out, err := exec.Command(plugin, "--kubeconfig", cluster.Kubeconfig, "-n", ns, "diff", "a", "b").CombinedOutput()
		if code := exitCode(err); code > 1 {
			b.Fatalf("diff a b: %v\n%s", err, out)
		}
		diff = append(diff, time.Since(start))

		start = time.Now()
		if out, err := exec.Command(plugin, "--kubeconfig", cluster.Kubeconfig, "-n", ns, "dump", "b").CombinedOutput(); err != nil {
			b.Fatalf("dump b: %v\n%s", err, out)
		}
		dump = append(dump, time.Since(start))

		start = time.Now()
		var g errgroup.Group
		for _, node := range []string{"node-a", "node-b"} {
			g.Go(func() error { return barePod(b.Context(), node) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		both = append(both, time.Since(start))

		start = time.Now()
		if err := barePod(b.Context(), "node-b"); err != nil {
			b.Fatal(err)
		}
		one = append(one, time.Since(start))
	}
	compare(b, diff, dump, "diff", "dump")
	compare(b, both, one, "two-bare-pods", "bare-pod")
}

// BenchmarkProbe runs the probe's program by itself, for every container of the
// cluster at once, and reports its peak of resident memory, what it took, and
// the size of the program and of its image.
func BenchmarkProbe(b *testing.B) {
	program := filepath.Join(b.TempDir(), "probe")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./images/probe")
	build.Dir, build.Env = root(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the probe: %v\n%s", err, out)
	}
	args := []string{"collect", "--run", "bench"}
	for _, id := range containerIDs(b) {
		args = append(args, "--target", id)
	}
	var took []time.Duration
	var peak int64
	for b.Loop() {
		cmd := exec.Command(program, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		start := time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatalf("probe: %v\n%s", err, &stderr)
		}
		took = append(took, time.Since(start))
		peak = max(peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) // KiB
	}
	b.ReportMetric(float64(len(args)-3)/2, "containers")
	b.ReportMetric(median(took).Seconds()*1e3, "ms")
	b.ReportMetric(float64(peak)/1024, "MiB-peak")
	b.ReportMetric(size(b, program)/(1<<20), "MiB-program")
	b.ReportMetric(size(b, filepath.Join(root(), "dist", "native", "probe.tar"))/(1<<20), "MiB-image")
	b.ReportMetric(0, "ns/op")
}

// barePod creates a pod, waits for a line of its log, and deletes it.
func barePod(ctx context.Context, node string) error {
	pods := client.CoreV1().Pods(probepod.DefaultNamespace)
	made, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "bare-" + node + "-" + rand.String(5)},
		Spec: corev1.PodSpec{
			NodeName:                      node,
			HostPID:                       true,
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: ptr.To(int64(2)),
			AutomountServiceAccountToken:  ptr.To(false),
			Containers: []corev1.Container{{
				Name: "probe", Image: probeImage, Command: []string{"/probe", "version"},
				SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true)},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	for {
		log, err := pods.GetLogs(made.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err == nil && bytes.ContainsRune(log, '\n') { // an error: not started yet
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return pods.Delete(ctx, made.Name, metav1.DeleteOptions{})
}

// containerIDs returns the ID of every container that runs in the cluster.
func containerIDs(b *testing.B) (ids []string) {
	list, err := client.CoreV1().Pods("").List(b.Context(), metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range list.Items {
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Running != nil {
				ids = append(ids, c.ContainerID)
			}
		}
	}
	return ids
}

// compare reports the medians of two series that were taken in turns, and their
// ratio.
func compare(b *testing.B, x, y []time.Duration, xName, yName string) {
	mx, my := median(x), median(y)
	b.ReportMetric(mx.Seconds()*1e3, "ms-"+xName)
	b.ReportMetric(my.Seconds()*1e3, "ms-"+yName)
	b.ReportMetric(float64(mx)/float64(my), xName+"/"+yName)
	b.ReportMetric(0, "ns/op")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func size(b *testing.B, path string) float64 {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size())
}

func exitCode(err error) int {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}
