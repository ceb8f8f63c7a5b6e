// Package proc reads from a Linux /proc which processes make up a container, and
// what it says about their threads without disturbing them.
//
// Everything in /proc may be gone the moment after it was listed, and all of it
// but the numbers is the container's own word. So what is gone is left out, what
// cannot be read is one thread's or one process' error and never the whole
// walk's, and nothing is recognised by a name that a container can choose.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// FS is the directory that a proc filesystem is mounted at.
type FS string

// Host is where it is mounted everywhere.
const Host FS = "/proc"

var (
	// ErrGone is the error for a process or thread that has ended, or was never.
	ErrGone = errors.New("no such process or thread")
	// ErrNotProcess is the error for a thread where a process is wanted.
	ErrNotProcess = errors.New("not a process")
	// ErrHangs is the error for what could not be read in time.
	ErrHangs = errors.New("the kernel keeps the reader waiting")
)

// maxFile bounds what is read of one file. The largest here is a status with the
// groups of a process that is in the most there can be, 65536; what is asked of
// it comes in a few lines after them.
const maxFile = 1 << 20

// read returns the contents of a file under /proc.
func (fsys FS) read(elem ...string) ([]byte, error) {
	text, err := readFile(filepath.Join(append([]string{string(fsys)}, elem...)...))
	if err != nil {
		return nil, gone(err)
	}
	return text, nil
}

// link returns what a symbolic link in a process' directory says.
func (fsys FS) link(pid int, elem ...string) (string, error) {
	text, err := patiently(pid, func() ([]byte, error) {
		s, err := os.Readlink(fsys.Path(pid, elem...))
		return []byte(s), gone(err)
	})
	return string(text), err
}

// readAccess is read for a file of a process that the process can keep who reads
// it waiting for: see patiently.
func (fsys FS) readAccess(pid int, elem ...string) ([]byte, error) {
	return patiently(pid, func() ([]byte, error) {
		return fsys.read(append([]string{strconv.Itoa(pid)}, elem...)...)
	})
}

// gone turns the errors that mean an ended process into ErrGone: there is no
// directory any more, or an open file in it can no longer be read.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return ErrGone
	}
	return err
}

// numbers returns the entries of a directory under /proc that are numbers.
func (fsys FS) numbers(elem ...string) ([]int, error) {
	dir, err := os.Open(filepath.Join(append([]string{string(fsys)}, elem...)...))
	if err != nil {
		return nil, gone(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, gone(err)
	}
	var ns []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil && n > 0 {
			ns = append(ns, n)
		}
	}
	return ns, nil
}

// stat is what is used of /proc/PID/stat and /proc/PID/task/TID/stat
// (proc_pid_stat(5)).
type stat struct {
	comm  string
	state byte
	ppid  int
	flags uint64
	start uint64
	stack uint64 // address of its bottom, 0 if it may not be known
}

// pfKthread is PF_KTHREAD of include/linux/sched.h.
const pfKthread = 0x00200000

func parseStat(text []byte) (stat, error) {
	// The name may hold anything, parentheses, blanks and newlines included; all
	// that follows it is numbers and the state.
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, errors.New("stat: no name")
	}
	fields := strings.Fields(string(text[end+1:]))
	// Fields are counted from 1, and the third is the first here.
	const stateField, ppidField, flagsField, startField, stackField = 3 - 3, 4 - 3, 9 - 3, 22 - 3, 28 - 3
	if len(fields) <= startField || len(fields[stateField]) != 1 {
		return stat{}, errors.New("stat: too few fields")
	}
	ppid, err1 := strconv.Atoi(fields[ppidField])
	flags, err2 := strconv.ParseUint(fields[flagsField], 10, 64)
	start, err3 := strconv.ParseUint(fields[startField], 10, 64)
	var stack uint64
	var err4 error
	if len(fields) > stackField {
		stack, err4 = strconv.ParseUint(fields[stackField], 10, 64)
	}
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return stat{}, fmt.Errorf("stat: %w", err)
	}
	return stat{
		comm:  string(text[open+1 : end]),
		state: fields[stateField][0],
		ppid:  ppid,
		flags: flags,
		start: start,
		stack: stack,
	}, nil
}
