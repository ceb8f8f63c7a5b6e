//go:build !linux

package proc

import (
	"io"
	"os"
)

// readFile returns the contents of a file, of which maxFile bytes at most.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}
