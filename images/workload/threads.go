//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// threads gives single threads a filter that the others lack. Each of them is
// named in its comm: "one-more", or "left" and "right".
func threads(args []string, end <-chan os.Signal) error {
	flags := newFlags("threads")
	sameCount := flags.Bool("same-count", false, "")
	if err := parse(flags, args); err != nil {
		return err
	}
	names := []string{"one-more"}
	if *sameCount {
		names = []string{"left", "right"}
	}
	for i, name := range names {
		installed := make(chan error)
		go func() {
			runtime.LockOSThread()
			installed <- confineThread(name, i+1)
			select {}
		}()
		if err := <-installed; err != nil {
			return fmt.Errorf("thread %s: %w", name, err)
		}
	}
	ready()
	<-end
	return nil
}

// confineThread names the calling thread and installs one filter on it.
func confineThread(name string, ordinal int) error {
	comm, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(comm)), 0, 0, 0); err != nil {
		return fmt.Errorf("set its name: %w", err)
	}
	f, err := ownFilter(native, ordinal)
	if err != nil {
		return err
	}
	return install(f, 0)
}
