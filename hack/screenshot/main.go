// Command screenshot runs a command and draws what it prints, in its colours, as an
// SVG picture of a terminal:
//
//	go run ./hack/screenshot --output docs/img/diff.svg [--columns 100] COMMAND [ARG...]
//
// `make screenshot` takes those of the documentation. The command's exit code is not
// looked at: 1 is an answer of diff.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "screenshot:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("screenshot", flag.ContinueOnError)
	output := flags.String("output", "", "the picture's file")
	columns := flags.Int("columns", 100, "width of the terminal")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *output == "" || flags.NArg() == 0 {
		return errors.New("want --output FILE COMMAND [ARG...]")
	}
	command := flags.Args()
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], "--color=always")...)
	cmd.Env = append(os.Environ(), "COLUMNS="+strconv.Itoa(*columns))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return err
	}
	if stdout.Len() == 0 {
		return fmt.Errorf("%s printed nothing: %s", strings.Join(command, " "), strings.TrimSpace(stderr.String()))
	}
	picture, err := draw("$ "+strings.Join(command, " ")+"\n"+stdout.String(), *columns)
	if err != nil {
		return err
	}
	return os.WriteFile(*output, picture, 0o644)
}
