package plugin

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/apis/v1alpha1"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/printer"
	"github.com/kubectl-seccomp/kubectl-seccomp/pkg/plugin/probepod"
)

// externalDiffEnv names the variable that says what shows differences to people, as
// for kubectl diff.
const externalDiffEnv = "KUBECTL_EXTERNAL_DIFF"

// externalDiff is a program that shows how two folders differ.
type externalDiff struct {
	program string
	args    []string
}

// safeArg is what kubectl diff passes on of a variable's words.
var safeArg = regexp.MustCompile(`^[a-zA-Z0-9-=]+$`)

// newExternalDiff returns the program that a variable's value names, nil for none. It
// is understood as kubectl diff does: there is no quoting, and an argument with other
// characters than letters, digits, "-" and "=" is left out.
func newExternalDiff(value string) *externalDiff {
	if value == "" {
		return nil
	}
	words := strings.Split(value, " ")
	d := &externalDiff{program: words[0]}
	for _, word := range words[1:] {
		if safeArg.MatchString(word) {
			d.args = append(d.args, word)
		}
	}
	return d
}

// show has the program show how the policies of two dumps differ, and reports
// whether there is anything to be seen. byName is for those of different
// architectures. What the program exits with says no more than diff(1): more than 1
// is an error.
func (d *externalDiff) show(dumps [2]*v1alpha1.Dump, byName bool, streams genericiooptions.IOStreams) (differ bool, err error) {
	args := d.args
	var texts [2]string
	for i, dump := range dumps {
		var text strings.Builder
		if err := printer.Policy(dump, byName, &text); err != nil {
			return false, err
		}
		texts[i] = text.String()
		dir, err := os.MkdirTemp("", "AB"[i:i+1]+"-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(texts[i]), 0o600)
		}
		if err != nil {
			return false, fmt.Errorf("write what $%s compares: %w", externalDiffEnv, err)
		}
		args = append(args[:len(args):len(args)], dir)
	}
	cmd := exec.Command(d.program, args...)
	cmd.Stdout, cmd.Stderr = streams.Out, streams.ErrOut
	err = runForeground(cmd)
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil, errors.As(err, &exit) && exit.ExitCode() == 1:
		return texts[0] != texts[1], nil
	case exit != nil && endedBy(exit, syscall.SIGPIPE):
		err = syscall.EPIPE
	case errors.Is(err, exec.ErrNotFound):
		err = exec.ErrNotFound
	}
	return false, fmt.Errorf("run %q of $%s: %w", d.program, externalDiffEnv, err)
}

// endedBy tells whether a signal ended a program.
func endedBy(exit *exec.ExitError, s syscall.Signal) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == s
}

// runForeground runs a program to its end, also if a signal ends this command, which
// is an error then. The terminal has sent an interrupt to the program as well, which
// may make of it what it likes; other signals are passed on.
func runForeground(cmd *exec.Cmd) error {
	signals := make(chan os.Signal, 2)
	probepod.NotifySignals(signals)
	defer signal.Stop(signals)
	if signal.Ignored(syscall.SIGPIPE) {
		// The program would inherit that, and complain where it should just end.
		signal.Reset(syscall.SIGPIPE)
		defer signal.Ignore(syscall.SIGPIPE)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var interrupted error
	for {
		select {
		case err := <-done:
			if interrupted != nil {
				return interrupted
			}
			return err
		case s := <-signals:
			again := interrupted != nil
			interrupted = &probepod.Interrupted{Signal: s}
			if (s != os.Interrupt || again) && cmd.Process.Signal(s) != nil {
				cmd.Process.Kill() // where there is no such signal
			}
		}
	}
}
