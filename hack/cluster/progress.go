package main

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

var started = time.Now()

// step prints one line of progress, with the time since the command began.
func step(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(started).Seconds(), fmt.Sprintf(format, args...))
}

// lastLines returns the last n lines of b, without a final newline.
func lastLines(b []byte, n int) []byte {
	b = bytes.TrimRight(b, "\n")
	i := len(b)
	for ; n > 0 && i >= 0; n-- {
		i = bytes.LastIndexByte(b[:i], '\n')
	}
	return b[i+1:]
}
