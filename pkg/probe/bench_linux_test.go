package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/kerneltest"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/bpf"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/probe/wire"
)

// BenchmarkNode reads a node with 110 containers of 10 processes each, with the
// probe's program as it is in its pod, and their configurations. All of them have
// one filter as long as a runtime's default, which is installed once and
// inherited. It reports what a run takes, and for how long threads were held.
func BenchmarkNode(b *testing.B) {
	const containers, processes = 110, 10
	refs := fullNode(b, containers, processes)
	program := filepath.Join(b.TempDir(), "probe")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "../../images/probe").CombinedOutput(); err != nil {
		b.Fatalf("build the probe: %v\n%s", err, out)
	}
	args := []string{"collect", "--run", "bench", "--config"}
	for _, ref := range refs {
		args = append(args, "--target", ref)
	}
	var took, cpu, held []time.Duration
	var rss, size int64
	for b.Loop() {
		cmd := exec.Command(program, args...)
		begin := time.Now()
		out, err := cmd.Output()
		took = append(took, time.Since(begin))
		if err != nil {
			b.Fatal(err)
		}
		cpu = append(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		rss = max(rss, int64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss))
		size = int64(len(out))
		held = append(held, checkFullNode(b, out, containers, processes)...)
	}
	for _, list := range [][]time.Duration{took, cpu, held} {
		slices.Sort(list)
	}
	b.ReportMetric(float64(took[len(took)/2])/1e6, "ms/run")
	b.ReportMetric(float64(cpu[len(cpu)/2])/1e6, "cpu-ms/run")
	b.ReportMetric(float64(rss)/1024, "MiB-RSS")
	b.ReportMetric(float64(size)/1024, "KiB-sent")
	b.ReportMetric(float64(len(held)/len(took)), "stops/run")
	b.ReportMetric(float64(held[len(held)/2])/1e3, "µs-held-median")
	b.ReportMetric(float64(held[len(held)*99/100])/1e3, "µs-held-p99")
	b.ReportMetric(float64(held[len(held)-1])/1e3, "µs-held-max")
	b.ReportMetric(0, "ns/op")
}

// checkFullNode checks that a run found everything, and returns for how long
// threads were held.
func checkFullNode(b *testing.B, out []byte, containers, processes int) (held []time.Duration) {
	b.Helper()
	targets, configs, stacks := 0, 0, 0
	r := wire.NewReader(bytes.NewReader(out), "bench")
	for {
		m, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		switch m := m.(type) {
		case *wire.Target:
			if targets++; m.Processes != processes {
				b.Fatalf("target %s has %d processes, want %d", m.ID, m.Processes, processes)
			}
		case *wire.Config:
			configs++
		case *wire.Stack:
			stacks++
		case *wire.State:
			for _, thread := range m.Read {
				held = append(held, time.Duration(thread.StoppedNS))
			}
		case *wire.Problem:
			b.Fatal(m)
		}
	}
	if targets != containers || configs != containers || stacks != 1 || len(held) != containers*processes {
		b.Fatalf("%d targets, %d configurations, %d stacks, %d stops", targets, configs, stacks, len(held))
	}
	return held
}

// likeDefault is a filter of the length and the form of runtimes' default ones:
// most system calls are allowed, one after the other, some denied, one depends on
// its arguments.
func likeDefault() bpf.Filter {
	denied := strings.Fields("acct add_key bpf clock_settime delete_module finit_module init_module ioperm iopl kcmp kexec_file_load kexec_load " +
		"keyctl mbind mount move_pages open_by_handle_at perf_event_open pivot_root quotactl reboot request_key set_mempolicy setns settimeofday " +
		"swapoff swapon umount2 unshare userfaultfd")
	const arch, nr, arg0 = 4, 0, 16
	allow, deny := uint32(bpf.Allow), uint32(bpf.Errno.With(1))
	f := bpf.Filter{
		{Op: bpf.LdAbsW, K: arch}, {Op: bpf.JeqK, K: native().AuditArch(), Jt: 1}, {Op: bpf.RetK, K: deny},
		{Op: bpf.LdAbsW, K: nr},
	}
	for _, call := range native().Table() {
		switch {
		case call.Name == "clone":
			const namespaces = 0x7e020000
			f = append(f, bpf.Instruction{Op: bpf.JeqK, K: call.Number, Jf: 4}, bpf.Instruction{Op: bpf.LdAbsW, K: arg0},
				bpf.Instruction{Op: bpf.JsetK, K: namespaces, Jf: 1}, bpf.Instruction{Op: bpf.RetK, K: deny}, bpf.Instruction{Op: bpf.RetK, K: allow})
		case !slices.Contains(denied, call.Name):
			f = append(f, bpf.Instruction{Op: bpf.JeqK, K: call.Number, Jf: 1}, bpf.Instruction{Op: bpf.RetK, K: allow})
		}
	}
	return append(f, bpf.Instruction{Op: bpf.RetK, K: deny})
}

// fullNode starts node.c and returns its containers.
func fullNode(b *testing.B, containers, processes int) (refs []string) {
	b.Helper()
	budget := kerneltest.New(b)
	dir := b.TempDir()
	program := filepath.Join(dir, "node")
	if out, err := exec.Command("gcc", "-O1", "-Wall", "-o", program, filepath.Join("testdata", "node.c")).CombinedOutput(); err != nil {
		b.Fatalf("compile: %v\n%s", err, out)
	}
	config, err := os.ReadFile(filepath.Join("oci", "testdata", "containerd.json"))
	if err != nil {
		b.Fatal(err)
	}
	filter, bundles := filepath.Join(dir, "filter"), filepath.Join(dir, "bundles")
	if err := os.WriteFile(filter, likeDefault().Encode(native().ByteOrder()), 0o644); err != nil {
		b.Fatal(err)
	}
	args := []string{filter, bundles, strconv.Itoa(processes)}
	var cgroups []string
	pods := filepath.Join(cgroupMount(b), fmt.Sprintf("kubepods-bench-%d", os.Getpid()))
	for i := range containers {
		id := fmt.Sprintf("%032x%032x", os.Getpid(), 1<<20+i)
		cgroup := filepath.Join(pods, "cri-containerd-"+id+".scope")
		bundle := filepath.Join(bundles, id)
		if err := errors.Join(os.MkdirAll(cgroup, 0o755), os.MkdirAll(bundle, 0o755), os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o644)); err != nil {
			b.Fatal(err)
		}
		cgroups = append(cgroups, cgroup)
		refs = append(refs, "containerd://"+id)
	}
	b.Cleanup(func() {
		for _, cgroup := range append(cgroups, pods) {
			if err := unix.Rmdir(cgroup); err != nil {
				b.Errorf("remove %s: %v", cgroup, err)
			}
		}
	})
	budget.Spend(1, 0)
	cmd := exec.Command(program, append(args, cgroups...)...)
	cmd.Stderr = os.Stderr
	// A thousand processes are not left behind, whatever ends this one. The signal
	// is for the death of the thread that starts them.
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, cgroup := range cgroups {
			text, err := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
			if err != nil {
				b.Error(err)
			}
			for _, field := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil {
					unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		b.Fatalf("node: said %q, %v", line, err)
	}
	return refs
}
