//go:build linux

package main

import (
	"os"
	"time"
)

// exit ends by itself.
func exit(args []string, end <-chan os.Signal) error {
	flags := newFlags("exit")
	after := flags.Duration("after", time.Second, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	timer := time.After(*after)
	ready()
	select {
	case <-end:
	case <-timer:
	}
	return nil
}
