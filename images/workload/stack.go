//go:build linux

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stack installs filters of its own, one on top of the other, on every thread.
func stack(args []string, end <-chan os.Signal) error {
	flags := newFlags("stack")
	n := flags.Int("n", 3, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *n < 1 || *n > len(uncommon) {
		return fmt.Errorf("stack: -n %d: want 1 to %d", *n, len(uncommon))
	}
	for ordinal := 1; ordinal <= *n; ordinal++ {
		f, err := ownFilter(native, ordinal)
		if err != nil {
			return err
		}
		if err := install(f, unix.SECCOMP_FILTER_FLAG_TSYNC); err != nil {
			return err
		}
	}
	ready()
	<-end
	return nil
}

// arguments installs one filter that looks at arguments, on every thread.
func arguments(args []string, end <-chan os.Signal) error {
	if err := parse(newFlags("args"), args); err != nil {
		return err
	}
	f, err := argsFilter(native)
	if err != nil {
		return err
	}
	if err := install(f, unix.SECCOMP_FILTER_FLAG_TSYNC); err != nil {
		return err
	}
	ready()
	<-end
	return nil
}
