//go:build linux

// Package vm runs programs on a real Linux kernel of another architecture, or of
// another version, in a virtual machine that lasts for as long as they do.
//
// The machine is emulated by qemu, so that it needs neither that architecture nor
// KVM; it has a kernel of Debian's, no disk and no network. All that it has is an
// initramfs: the programs, and an init that runs them (folder init). What comes
// of them is told over the serial line (package plan). A kernel that panics, hangs
// or ends without having told it is an error, not a result.
package vm

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/kubectl-seccomp/kubectl-seccomp/internal/vm/plan"
)

// File is one that the machine has.
type File struct {
	Path    string // in the machine
	Perm    uint32
	Content []byte
}

// Config is what a machine has and does.
type Config struct {
	Arch   Arch
	Root   string // the clone, which init is compiled from
	Files  []File
	Steps  []plan.Step
	Output io.Writer // gets the console's lines
}

// Sizes of a machine. Two processors, so that what runs beside each other in tests
// really does.
const (
	memory     = "1024" // MiB; the initramfs is in there, too
	processors = "2"
)

// Run boots a machine, has it do all steps and returns what came of each. It
// returns when the machine is gone, at the latest soon after the context ends.
func Run(ctx context.Context, c Config) ([]plan.Event, error) {
	image, err := kernel(ctx, c.Arch, func(format string, args ...any) { fmt.Fprintf(c.Output, format+"\n", args...) })
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "vm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	nonce := "@" + rand.Text() + " "
	initramfs := filepath.Join(work, "initramfs")
	if err := c.pack(ctx, work, initramfs, nonce); err != nil {
		return nil, fmt.Errorf("pack the initramfs: %w", err)
	}
	args := append([]string{
		"-m", memory, "-smp", processors,
		"-nodefaults", "-no-user-config", "-no-reboot",
		"-display", "none", "-monitor", "none", "-net", "none", "-serial", "stdio",
		"-kernel", image, "-initrd", initramfs,
		// A kernel that has gone wrong must not go on: panic=-1 restarts at once,
		// which -no-reboot makes an end.
		"-append", "console=" + c.Arch.console + " quiet panic=-1 oops=panic",
	}, c.Arch.machine...)
	cmd := exec.CommandContext(ctx, c.Arch.qemu, args...)
	// Should this process be killed, the emulator goes, too. It is its parent's
	// thread that counts.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	console, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the emulator: %w: make deps installs it", err)
	}
	events, readErr := listen(console, nonce, len(c.Steps), c.Output)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return events, fmt.Errorf("the machine did not end in time: %w, %s", ctx.Err(), c.after(events))
	case readErr != nil:
		return events, readErr
	case err != nil:
		return events, fmt.Errorf("%s: %w: %s", c.Arch.qemu, err, strings.TrimSpace(stderr.String()))
	case len(events) <= len(c.Steps):
		return events, fmt.Errorf("the machine ended %s: its kernel or its init died", c.after(events))
	}
	return events[:len(c.Steps)], nil
}

// after says how far a machine came.
func (c Config) after(events []plan.Event) string {
	switch n := len(events); {
	case len(c.Steps) == 0 || n > len(c.Steps):
		return "after the last step"
	case n < len(c.Steps):
		return "before the end of " + c.Steps[n].Name
	}
	return "after " + c.Steps[len(events)-1].Name
}

// listen copies the console but for events, which it returns.
func listen(console io.Reader, nonce string, steps int, output io.Writer) ([]plan.Event, error) {
	var events []plan.Event
	var failure error
	r := bufio.NewReader(console)
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimRight(line, "\r\n")
		text, isEvent := strings.CutPrefix(line, nonce)
		switch {
		case isEvent:
			var e plan.Event
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				failure = errors.Join(failure, fmt.Errorf("event %d is garbled: %w", len(events), err))
			} else if e.Step != len(events) || e.Step > steps {
				failure = errors.Join(failure, fmt.Errorf("event of step %d where that of %d is due", e.Step, len(events)))
			}
			events = append(events, e)
		case line != "":
			fmt.Fprintln(output, line)
		}
		if err == io.EOF {
			return events, failure
		}
		if err != nil {
			return events, errors.Join(failure, fmt.Errorf("read the console: %w", err))
		}
	}
}

// pack compiles init and writes the initramfs.
func (c Config) pack(ctx context.Context, work, path, nonce string) error {
	program := filepath.Join(work, "init")
	if err := Go(ctx, c.Root, c.Arch.Name, "build", "-ldflags", "-s -w", "-o", program, "./internal/vm/init"); err != nil {
		return err
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	text, err := json.Marshal(plan.Plan{Nonce: nonce, Steps: c.Steps})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	a := archive{w: w}
	a.file("init", 0o755, binary)
	a.file(plan.Path, 0o644, text)
	for _, file := range c.Files {
		a.file(file.Path, file.Perm, file.Content)
	}
	// What the kernel opens for init before that has mounted anything.
	a.device("dev/console", 5, 1)
	return errors.Join(a.end(), w.Flush())
}

// Go runs the go command in a folder, for another architecture, as the Makefile
// does.
func Go(ctx context.Context, dir, goarch string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+goarch, "GOFLAGS=-trimpath -buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s for %s: %w:\n%s", args[0], goarch, err, bytes.TrimSpace(out))
	}
	return nil
}
