//go:build linux

// Command guest runs in a virtual machine. It starts the workloads that its
// arguments name, each "PROGRAM ARGUMENT…", and has the probe collect them, whose
// output is its own.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func run(probe, name string, workloads []string) error {
	args := []string{"collect", "--run", name}
	for _, w := range workloads {
		words := strings.Fields(w)
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			return fmt.Errorf("%s said %q, %v", w, line, err)
		}
		args = append(args, "--target", fmt.Sprintf("pid://%d", cmd.Process.Pid))
	}
	cmd := exec.Command(probe, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
