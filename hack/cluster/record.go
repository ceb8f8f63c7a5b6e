package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Record says who started the cluster on this machine and which processes it
// has. It lies in runDir, where every clone finds it, and where it outlives
// the clone's folder.
type Record struct {
	Owner     string             `json:"owner"`    // the clone's root
	BootID    string             `json:"bootID"`   // process IDs mean nothing after a reboot
	Complete  bool               `json:"complete"` // up came to its end
	Sysctls   map[string]string  `json:"sysctls"`
	Processes map[string]Process `json:"processes"` // by component
}

// Process is a process that will not be mistaken for a later one with the
// same ID.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after boot: field 22 of proc_pid_stat(5)
}

func recordPath() string { return filepath.Join(runDir, "record.json") }

// readRecord returns nil where there is none.
func readRecord() (*Record, error) {
	b, err := os.ReadFile(recordPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseRecord(b, bootID())
}

// parseRecord decodes a record. Of an earlier boot's, no process is left.
func parseRecord(b []byte, bootID string) (*Record, error) {
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s is damaged (%w): remove it and run `cluster down`", recordPath(), err)
	}
	if r.BootID != bootID {
		r.Processes, r.Sysctls = nil, nil
	}
	if r.Processes == nil {
		r.Processes = make(map[string]Process)
	}
	return &r, nil
}

func newRecord(owner string) *Record {
	return &Record{Owner: owner, BootID: bootID(), Sysctls: readSysctls(), Processes: make(map[string]Process)}
}

func (r *Record) write() error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return err
	}
	return replaceFile(recordPath(), append(b, '\n'), 0o644)
}

// inUse reports whether somebody's cluster runs, as opposed to what is left of
// one: an up that did not come to its end, a clone that is no longer there.
func (r *Record) inUse() bool {
	if r == nil || !r.Complete || len(r.alive()) == 0 {
		return false
	}
	_, err := os.Stat(r.Owner)
	return err == nil
}

// alive returns the recorded components whose process still runs.
func (r *Record) alive() []string {
	var names []string
	for name, p := range r.Processes {
		if p.alive() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
