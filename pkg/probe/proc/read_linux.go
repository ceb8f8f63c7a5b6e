package proc

import (
	"os"
	"syscall"
)

// readFile returns the contents of a file, of which maxFile bytes at most. It is
// os.ReadFile without what that does for files that can be waited for: a node has
// thousands to be read.
func readFile(name string) ([]byte, error) {
	fd, err := retry(func() (int, error) { return syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer syscall.Close(fd)
	const usual = 2048
	text := make([]byte, 0, usual)
	for len(text) < maxFile {
		if len(text) == cap(text) {
			text = append(text, make([]byte, cap(text))...)[:len(text)]
		}
		room := text[len(text):min(cap(text), maxFile)]
		n, err := retry(func() (int, error) { return syscall.Read(fd, room) })
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: name, Err: err}
		}
		if n == 0 {
			break
		}
		text = text[:len(text)+n]
	}
	return text, nil
}

// retry calls f again as long as a signal interrupts it.
func retry(f func() (int, error)) (n int, err error) {
	for {
		if n, err = f(); err != syscall.EINTR {
			return n, err
		}
	}
}
