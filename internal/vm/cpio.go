//go:build linux

package vm

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// archive writes an initramfs: a cpio archive in the newc format
// (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel's).
type archive struct {
	w     io.Writer
	inode int
	dirs  []string // written
	err   error
}

const (
	modeDevice = 0o020000
	modeDir    = 0o040000
	modeFile   = 0o100000
)

// file writes a file, after the folders that it lies in.
func (a *archive) file(name string, perm uint32, content []byte) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	a.dir(path.Dir(name))
	a.entry(name, modeFile|perm, 0, 0, content)
}

// device writes a character device.
func (a *archive) device(name string, major, minor int) {
	a.dir(path.Dir(name))
	a.entry(name, modeDevice|0o600, major, minor, nil)
}

// dir writes a folder and those that it lies in, each once.
func (a *archive) dir(name string) {
	if name == "." || slices.Contains(a.dirs, name) {
		return
	}
	a.dir(path.Dir(name))
	a.dirs = append(a.dirs, name)
	a.entry(name, modeDir|0o755, 0, 0, nil)
}

func (a *archive) end() error {
	a.entry("TRAILER!!!", 0, 0, 0, nil)
	return a.err
}

func (a *archive) entry(name string, mode uint32, major, minor int, content []byte) {
	a.inode++
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0, name), headerSize+len(name)+1)
	a.write(content, len(content))
}

const headerSize = 6 + 13*8

// write writes b, whose length is n, and fills up to a multiple of four.
func (a *archive) write(b []byte, n int) {
	if a.err == nil {
		_, a.err = a.w.Write(b)
	}
	if a.err == nil {
		_, a.err = a.w.Write(make([]byte, -n&3))
	}
}
