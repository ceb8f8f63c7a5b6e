package proc

import (
	"sync"
	"time"
)

// To find out whether one may trace a process, which stat, wchan, syscall and the
// symbolic links of /proc are about, kernels take a lock that the process holds
// while it executes another program (exec_update_lock). Within that, files are
// closed; and if one of them is of a FUSE server of the process' friends, that
// can take as long as they like. Nothing but a fatal signal ends the wait.
//
// The arguments, in cmdline, are read out of the process' memory. That has a lock,
// too, which the process holds while it maps a file; and such a server can draw
// that out as well (fuse_file_mmap in the kernel's fs/fuse/file.c).
//
// So such reads are done on the side. One that does not come back in time is
// given up, which costs a thread until this program ends, and nothing of that
// process is read any more.

const (
	// patience is how long a read may take. It takes some 10 µs.
	patience = 250 * time.Millisecond
	// With more processes than a few that hang, less will have to do.
	fewHanging  = 4
	littleFaith = 20 * time.Millisecond
)

// hanging are the processes of which a read has not come back.
var hanging struct {
	sync.Mutex
	pids map[int]bool
}

// reader is a goroutine that reads, one thing at a time.
type reader struct {
	work chan func() ([]byte, error)
	done chan result
}

type result struct {
	text []byte
	err  error
}

// idle are readers that wait for work.
var idle = make(chan *reader, 2)

func takeReader() *reader {
	select {
	case r := <-idle:
		return r
	default:
	}
	r := &reader{work: make(chan func() ([]byte, error)), done: make(chan result, 1)}
	go func() {
		for f := range r.work {
			text, err := f()
			r.done <- result{text, err}
		}
	}()
	return r
}

// patiently returns what f reads of a process, or ErrHangs.
func patiently(pid int, f func() ([]byte, error)) ([]byte, error) {
	hanging.Lock()
	hangs, most := hanging.pids[pid], patience
	if len(hanging.pids) >= fewHanging {
		most = littleFaith
	}
	hanging.Unlock()
	if hangs {
		return nil, ErrHangs
	}
	r := takeReader()
	r.work <- f
	timeout := time.NewTimer(most)
	defer timeout.Stop()
	finish := func(got result) ([]byte, error) {
		select {
		case idle <- r:
		default:
			close(r.work)
		}
		return got.text, got.err
	}
	select {
	case got := <-r.done:
		return finish(got)
	case <-timeout.C:
	}
	// On a busy machine it may have come back all the same.
	select {
	case got := <-r.done:
		return finish(got)
	default:
	}
	hanging.Lock()
	if hanging.pids == nil {
		hanging.pids = make(map[int]bool)
	}
	hanging.pids[pid] = true
	hanging.Unlock()
	go func() {
		// Should it come back all the same, the process can be read again.
		<-r.done
		close(r.work)
		hanging.Lock()
		delete(hanging.pids, pid)
		hanging.Unlock()
	}()
	return nil, ErrHangs
}
