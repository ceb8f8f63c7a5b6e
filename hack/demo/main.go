//go:build linux

// Command demo runs demo pods on the local cluster, compares and verifies them, as a
// user does: kubectl finds the plugin in PATH. The cluster must be up, the images
// loaded and the plugin built; `make demo` sees to that. It runs in the
// repository's root, and starts the pods afresh each time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	dir       = "hack/demo"
	profile   = "demo-web.json"
	namespace = "demo"
)

// diffs are the pairs of pods that the demo compares.
var diffs = [][2]string{
	{"web-a", "web-b"},     // two runtimes' defaults
	{"web-a", "web-free"},  // default and unconfined
	{"web-a", "web-local"}, // default and a profile of the application's own
}

// verified are the pods that the demo verifies.
var verified = []string{"web-a", "web-b", "web-crun", "web-local", "web-free", "stack", "web-privileged"}

func main() {
	noDiff := flag.Bool("no-diff", false, "only start the pods")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *noDiff); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, noDiff bool) error {
	if _, err := os.Stat(filepath.Join(dir, profile)); err != nil {
		return fmt.Errorf("%w: run this in the repository's root", err)
	}
	c, err := readCluster(".cluster/cluster.json")
	if err != nil {
		return err
	}
	c.out = os.Stdout
	if noDiff {
		return c.startPods(ctx)
	}

	if c.path, err = filepath.Abs("bin"); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.path, "kubectl-seccomp")); err != nil {
		return fmt.Errorf("the plugin: %w: run `make build`", err)
	}
	if err := c.startPods(ctx); err != nil {
		return err
	}
	for _, pair := range diffs {
		if err := c.seccomp(ctx, append([]string{"diff"}, pair[:]...)...); err != nil {
			return err
		}
	}
	return c.seccomp(ctx, append([]string{"verify"}, verified...)...)
}

// startPods replaces the demo's pods by new ones and waits until each does what
// it is for.
func (c *cluster) startPods(ctx context.Context) error {
	if err := c.command(ctx, c.Cluster, "profile", filepath.Join(dir, profile)); err != nil {
		return err
	}
	manifests := filepath.Join(dir, "manifests")
	pods := []string{"-f", filepath.Join(manifests, "web.yaml"), "-f", filepath.Join(manifests, "behaviours.yaml")}
	selector := "ends=never"
	for _, args := range [][]string{
		{"apply", "-f", filepath.Join(manifests, "namespace.yaml")},
		// A pod's image and profile are read once, when it starts.
		append([]string{"delete", "--ignore-not-found", "--timeout=60s"}, pods...),
		append([]string{"apply"}, pods...),
		{"wait", "-n", namespace, "pod", "-l", selector, "--for=condition=Ready", "--timeout=120s"},
		{"wait", "-n", namespace, "pod/exit", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s"},
	} {
		if err := c.command(ctx, c.Kubectl, args...); err != nil {
			return err
		}
	}
	return c.awaitBehaviours(ctx, selector)
}

// awaitBehaviours waits until every pod has printed that its behaviour is in
// place: a container that runs may not have got that far. An API to wait for a
// line of a log there is not, so it asks again until all are there.
func (c *cluster) awaitBehaviours(ctx context.Context, selector string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	names, err := c.output(ctx, "get", "pods", "-n", namespace, "-l", selector, "-o", "name")
	if err != nil {
		return err
	}
	pods := strings.Fields(names)
	for {
		logs, err := c.output(ctx, "logs", "-n", namespace, "-l", selector, "--prefix", "--tail=-1", fmt.Sprintf("--max-log-requests=%d", len(pods)))
		if err != nil {
			return err
		}
		waiting := slices.DeleteFunc(slices.Clone(pods), func(pod string) bool {
			return strings.Contains("\n"+logs, "\n["+pod+"/main] ready\n")
		})
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready in time", strings.Join(waiting, ", "))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// seccomp runs the plugin on pods. That they differ, or are not confined as they
// declare, is no failure, and exit code 1.
func (c *cluster) seccomp(ctx context.Context, args ...string) error {
	fmt.Fprintln(c.out)
	err := c.command(ctx, c.Kubectl, slices.Concat([]string{"seccomp", args[0], "-n", namespace}, args[1:])...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil
	}
	return err
}

// command prints a command and runs it.
func (c *cluster) command(ctx context.Context, program string, args ...string) error {
	fmt.Fprintln(c.out, "$", filepath.Base(program), strings.Join(args, " "))
	cmd := c.prepare(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = c.out, os.Stderr
	return named(cmd, cmd.Run())
}

// output runs kubectl for what it prints.
func (c *cluster) output(ctx context.Context, args ...string) (string, error) {
	cmd := c.prepare(ctx, c.Kubectl, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return string(out), named(cmd, err)
}

// prepare makes a command that ends as by Ctrl-C when the demo is told to end.
// It is in a process group of its own, or it would hear of Ctrl-C twice.
func (c *cluster) prepare(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	if c.path != "" {
		cmd.Env = append(cmd.Env, "PATH="+c.path+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func named(cmd *exec.Cmd, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err)
}
