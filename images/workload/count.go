//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// count makes one system call many times, and ends with the number of those that
// were made and of those that failed.
func count(args []string, _ <-chan os.Signal) error {
	flags := newFlags("count")
	n := flags.Int("n", 1000, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *n < 1 {
		return errors.New("count: want one call, NR,ARG,…, and one time or more")
	}
	words, err := parseCall(flags.Arg(0))
	if err != nil {
		return err
	}
	failed := 0
	for range *n {
		if _, _, errno := unix.RawSyscall6(words[0], words[1], words[2], words[3], words[4], words[5], words[6]); errno != 0 {
			failed++
		}
	}
	_, err = fmt.Printf("%d calls, %d failed\n", *n, failed)
	return err
}
