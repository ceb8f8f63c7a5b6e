package hostfile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links are followed, the kernel's MAXSYMLINKS.
const maxLinks = 40

// ReadBelow reads the file that is reached from a directory by names, the last
// of which is the file's. None of them may be a symbolic link; the directory's
// own name may.
func ReadBelow(dir string, limit int64, names ...string) (File, error) {
	name := filepath.Join(append([]string{dir}, names...)...)
	fd, err := open(unix.AT_FDCWD, dir, unix.O_DIRECTORY)
	if err != nil {
		return File{}, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	for _, element := range names {
		next, err := open(fd, element, unix.O_NOFOLLOW)
		unix.Close(fd)
		if err != nil {
			return File{}, &os.PathError{Op: "open", Path: name, Err: err}
		}
		fd = next
	}
	defer unix.Close(fd)
	return read(fd, name, limit)
}

// ReadIn reads a file by the name that it has for a process whose root directory
// is root. Symbolic links are followed as for that process, so that none leads
// out of there.
func ReadIn(root, name string, limit int64) (File, error) {
	fd, err := resolve(root, name)
	if err != nil {
		return File{}, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	return read(fd, name, limit)
}

// NamesIn returns the names in a directory, sorted; after that, those of
// directories get a slash. The directory's own is resolved as by ReadIn.
func NamesIn(root, name string) ([]string, error) {
	fd, err := resolve(root, name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	entries, err := os.ReadDir(self(fd))
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: name, Err: unwrap(err)}
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name()+"/")
		} else {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// open opens something for nothing but being looked at, and gone through if it
// is a directory. That has no effect on devices and pipes, and does not wait.
func open(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// resolve opens, as open does, what a name means to a process with that root.
func resolve(root, name string) (int, error) {
	top, err := open(unix.AT_FDCWD, root, unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	// The directories from the root to where the rest of the name is looked up.
	at := []int{top}
	defer func() {
		for _, fd := range at {
			unix.Close(fd)
		}
	}()
	up := func(to int) {
		for _, fd := range at[to:] {
			unix.Close(fd)
		}
		at = at[:to]
	}
	links := 0
	rest := strings.Split(name, "/")
	for len(rest) > 0 {
		element := rest[0]
		rest = rest[1:]
		switch element {
		case "", ".":
			continue
		case "..":
			up(max(len(at)-1, 1))
			continue
		}
		fd, err := open(at[len(at)-1], element, unix.O_NOFOLLOW)
		if err != nil {
			return -1, err
		}
		at = append(at, fd)
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return -1, err
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFLNK {
			continue
		}
		if links++; links > maxLinks {
			return -1, unix.ELOOP
		}
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", target)
		if err != nil {
			return -1, err
		}
		up(len(at) - 1)
		if target[0] == '/' {
			up(1)
		}
		rest = append(strings.Split(string(target[:n]), "/"), rest...)
	}
	return unix.FcntlInt(uintptr(at[len(at)-1]), unix.F_DUPFD_CLOEXEC, 0)
}

// read reads what is open as by open.
func read(fd int, name string, limit int64) (File, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return File{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return File{}, fmt.Errorf("read %s: %w", name, ErrNotRegular)
	}
	f, err := os.OpenFile(self(fd), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return File{}, &os.PathError{Op: "open", Path: name, Err: unwrap(err)}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return File{}, &os.PathError{Op: "read", Path: name, Err: unwrap(err)}
	}
	if int64(len(text)) > limit {
		return File{}, fmt.Errorf("read %s, of more than %d bytes: %w", name, limit, ErrTooLong)
	}
	return File{Text: text, Modified: time.Unix(stat.Mtim.Unix())}, nil
}

// self is the name of an open file by which it is opened anew.
func self(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// unwrap takes the name that nobody knows out of an error of os.
func unwrap(err error) error {
	if p, ok := err.(*os.PathError); ok {
		return p.Err
	}
	return err
}
