package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// reference waits, for the probe to read under which filters a container of its
// pod runs. Its number is for the probe to know it by, and is not used here.
func reference(args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	if n, err := strconv.ParseUint(args[0], 10, 16); err != nil || strconv.FormatUint(n, 10) != args[0] {
		return fmt.Errorf("reference container %q: want a number of at most 65535", args[0])
	}
	flags := flag.NewFlagSet("probe reference", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	duration := flags.Duration("for", 5*time.Minute, "how long at most")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: %s", flags.Arg(0), usage)
	case *duration <= 0:
		return fmt.Errorf("--for %v: want more than 0", *duration)
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(told)
	select {
	case <-told:
	case <-time.After(*duration):
	}
	return nil
}
