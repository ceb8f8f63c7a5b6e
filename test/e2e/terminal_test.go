//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"
)

// TestPipeClosedEarly has the reader go after the first line.
func TestPipeClosedEarly(t *testing.T) {
	for _, args := range []string{"dump a -o json", "dump a -o wide", "list -o json"} {
		script := fmt.Sprintf("%s --kubeconfig %s -n %s %s | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}", plugin, cluster.Kubeconfig, ns, args)
		cmd := exec.Command("bash", "-c", script)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		code := exitCode(cmd.Run())
		// A pipe takes 64 KiB at once, read or not, which only the first has.
		if code != 141 && (code != 0 || args == "dump a -o json") || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, stderr %s", args, code, &stderr)
		}
	}
	nothingLeft(t, "kube-system")
}

// TestNarrowTerminal has a terminal of 40 columns: whatever is told elsewhere is told
// there, and on stderr what is waited for.
func TestNarrowTerminal(t *testing.T) {
	for _, args := range [][]string{{"diff", "a", "b"}, {"verify", "a", "b"}, {"list", "a", "b"}, {"dump", "a"}} {
		got := words(onTerminal(t, 40, args...))
		want := words(seccomp(t, append(args, "--color=never")...).stdout)
		for word := range want {
			if !got[word] {
				t.Errorf("%q: %q is not on a terminal of 40 columns", args, word)
			}
		}
	}
}

// words are what is between spaces and the places where tables break lines.
func words(text string) map[string]bool {
	set := make(map[string]bool)
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '|' }) {
		set[word] = true
	}
	return set
}

// onTerminal runs the plugin on a terminal, and returns what it wrote there.
func onTerminal(t *testing.T, columns uint16, args ...string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(plugin, append(args, "--kubeconfig", cluster.Kubeconfig, "-n", ns, "--color=never")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	text, _ := io.ReadAll(master) // EIO when the last has closed the other end
	if code := exitCode(cmd.Wait()); code > 1 {
		t.Errorf("%q: exit code %d: %s", args, code, text)
	}
	return string(text)
}
