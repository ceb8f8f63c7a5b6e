//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// call makes system calls, "NR,ARG,…" each, and prints what came of them: "ok" or
// the name of the error, a line each.
func call(args []string, end <-chan os.Signal) error {
	flags := newFlags("call")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("call: no call: want NR,ARG,…")
	}
	var results strings.Builder
	for _, text := range flags.Args() {
		words, err := parseCall(text)
		if err != nil {
			return err
		}
		result := "ok"
		if _, _, errno := unix.RawSyscall6(words[0], words[1], words[2], words[3], words[4], words[5], words[6]); errno != 0 {
			if result = unix.ErrnoName(errno); result == "" {
				result = strconv.Itoa(int(errno))
			}
		}
		fmt.Fprintln(&results, result)
	}
	ready()
	fmt.Print(results.String())
	<-end
	return nil
}

// parseCall returns a call's number and arguments from "NR,ARG,…".
func parseCall(text string) (words [7]uintptr, err error) {
	fields := strings.Split(text, ",")
	if len(fields) > len(words) {
		return words, fmt.Errorf("call %q: more than six arguments", text)
	}
	for i, field := range fields {
		word, err := strconv.ParseUint(field, 0, 64)
		if err != nil {
			return words, fmt.Errorf("call %q: %w", text, err)
		}
		words[i] = uintptr(word)
	}
	return words, nil
}
