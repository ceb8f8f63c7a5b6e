package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Thread is what /proc says of a thread.
type Thread struct {
	PID   int    // thread group ID, in the PID namespace of the FS
	TID   int    // the same as PID for a process' main thread
	Start uint64 // when it was created, in clock ticks since boot; with TID, its identity

	Comm   string // its name, any bytes but 0: of the thread's own choosing
	State  byte   // R, S, D, T, t, Z, … (proc_pid_stat(5))
	Kernel bool   // a thread of the kernel's own
	NSPID  int    // TID in the innermost PID namespace it is in
	Tracer int    // PID of the process that traces it, 0 if none does

	Confinement
}

// Confinement is the part of a thread's state that is about what it may do. It
// can be compared.
type Confinement struct {
	Seccomp    int // mode: 0 disabled, 1 strict, 2 filter
	Filters    int // number of filters, Unknown before Linux 5.9
	NoNewPrivs bool

	Inheritable, Permitted, Effective, Bounding, Ambient uint64
}

// Unknown is Confinement.Filters where the kernel does not tell.
const Unknown = -1

// modeDead is SECCOMP_MODE_DEAD of kernel/seccomp.c: its own filters have the
// thread killed, and it is about to end. That can take long, with much memory to
// free or a core to dump.
const modeDead = 3

// Dead reports whether the thread has ended and waits to be reaped, or is about
// to, so that it will never run again.
func (t Thread) Dead() bool { return t.State == 'Z' || t.State == 'X' || t.Seccomp == modeDead }

// Threads returns the threads of a process, its main thread first. Where there
// are more than limit, more is true. Threads that end meanwhile are left out;
// ErrGone is for the process itself, also where another now has its PID.
func (fsys FS) Threads(p Process, limit int) (threads []Thread, more bool, err error) {
	tids, err := fsys.numbers(strconv.Itoa(p.PID), "task")
	if err != nil {
		return nil, false, fmt.Errorf("list threads of pid %d: %w", p.PID, err)
	}
	slices.SortFunc(tids, func(a, b int) int {
		if (a == p.PID) != (b == p.PID) {
			if a == p.PID {
				return -1
			}
			return 1
		}
		return a - b
	})
	if len(tids) > limit {
		tids, more = tids[:limit], true
	}
	var failed error
	for _, tid := range tids {
		t, err := fsys.Thread(p.PID, tid)
		switch {
		case err == nil:
			threads = append(threads, t)
		case !errors.Is(err, ErrGone):
			failed = err
		}
	}
	// If the process is still there, all of these were its threads.
	var start uint64
	text, err := fsys.readAccess(p.PID, "stat")
	if err == nil {
		start, err = ParseStart(text)
	}
	if err == nil && start != p.Start {
		err = ErrGone
	}
	if err != nil {
		return nil, false, fmt.Errorf("list threads of pid %d: %w", p.PID, err)
	}
	if len(threads) == 0 {
		if failed == nil {
			failed = ErrGone
		}
		return nil, false, failed
	}
	return threads, more, nil
}

// Thread returns what /proc says of one thread.
func (fsys FS) Thread(pid, tid int) (Thread, error) {
	p, t := strconv.Itoa(pid), strconv.Itoa(tid)
	text, err := fsys.readAccess(pid, "task", t, "stat")
	if err != nil {
		return Thread{}, fmt.Errorf("read thread %d: %w", tid, err)
	}
	stat, err := parseStat(text)
	if err != nil {
		return Thread{}, fmt.Errorf("read thread %d: %w", tid, err)
	}
	if text, err = fsys.read(p, "task", t, "status"); err != nil {
		return Thread{}, fmt.Errorf("read thread %d: %w", tid, err)
	}
	status, err := parseStatus(text)
	if err != nil {
		return Thread{}, fmt.Errorf("read thread %d: %w", tid, err)
	}
	return Thread{
		PID: pid, TID: tid, Start: stat.start,
		Comm: stat.comm, State: stat.state, Kernel: stat.flags&pfKthread != 0,
		NSPID: status.nspid, Tracer: status.tracer,
		Confinement: status.Confinement,
	}, nil
}

// Self returns what /proc says of this process' main thread.
func (fsys FS) Self() (Thread, error) {
	return fsys.Thread(os.Getpid(), os.Getpid())
}

// StatFile returns the name of a thread's stat file, which ParseStart is for.
func (fsys FS) StatFile(pid, tid int) string {
	return filepath.Join(string(fsys), strconv.Itoa(pid), "task", strconv.Itoa(tid), "stat")
}

// ParseStart returns the Thread.Start in the text of a thread's stat file.
func ParseStart(text []byte) (uint64, error) {
	stat, err := parseStat(text)
	return stat.start, err
}

// WaitChannel returns the kernel function that a thread sleeps in, "" if it runs
// or the kernel does not tell.
func (fsys FS) WaitChannel(pid, tid int) string {
	text, err := fsys.readAccess(pid, "task", strconv.Itoa(tid), "wchan")
	if err != nil || string(text) == "0" {
		return ""
	}
	return string(text)
}

// status is what is used of /proc/PID/task/TID/status (proc_pid_status(5)).
type status struct {
	tgid, ppid, nspid, tracer int
	Confinement
}

func parseStatus(text []byte) (status, error) {
	s := status{Confinement: Confinement{Filters: Unknown}}
	seccomp := false
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		var err error
		switch key {
		case "Tgid":
			s.tgid, err = strconv.Atoi(value)
		case "PPid":
			s.ppid, err = strconv.Atoi(value)
		case "TracerPid":
			s.tracer, err = strconv.Atoi(value)
		case "NSpid":
			// One number for each nested PID namespace, the innermost last.
			s.nspid, err = strconv.Atoi(value[strings.LastIndexByte(value, '\t')+1:])
		case "CapInh":
			s.Inheritable, err = strconv.ParseUint(value, 16, 64)
		case "CapPrm":
			s.Permitted, err = strconv.ParseUint(value, 16, 64)
		case "CapEff":
			s.Effective, err = strconv.ParseUint(value, 16, 64)
		case "CapBnd":
			s.Bounding, err = strconv.ParseUint(value, 16, 64)
		case "CapAmb":
			s.Ambient, err = strconv.ParseUint(value, 16, 64)
		case "NoNewPrivs":
			s.NoNewPrivs, err = strconv.ParseBool(value)
		case "Seccomp":
			s.Seccomp, err = strconv.Atoi(value)
			seccomp = true
		case "Seccomp_filters":
			s.Filters, err = strconv.Atoi(value)
		}
		if err != nil {
			return status{}, fmt.Errorf("status: %s: %w", key, err)
		}
	}
	if !seccomp {
		return status{}, errors.New("status: no Seccomp: the kernel is built without it")
	}
	return s, nil
}
