// Package hostfile reads files of the node by way of the directories that /proc
// has for its processes, /proc/PID/root and /proc/PID/cwd. They lead into the
// mount namespace of that process, wherever this one is.
//
// What is read lies in folders of the node's, but those of containers may be
// beside it. So no symbolic link leads out of where it was looked for, what is
// not a regular file is not even opened, and what is longer than a limit is not
// read.
package hostfile

import (
	"errors"
	"time"
)

// File is the content of a file.
type File struct {
	Text     []byte
	Modified time.Time // when its content last changed
}

var (
	// ErrNotRegular is the error for a directory, a device, a pipe and the like
	// where a file is wanted.
	ErrNotRegular = errors.New("not a regular file")
	// ErrTooLong is the error for a file of more bytes than asked for.
	ErrTooLong = errors.New("file is too long")
)
