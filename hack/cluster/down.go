package main

import (
	"fmt"
	"strings"
)

// down stops whatever cluster is on this machine, this clone's or another's,
// and checks that nothing is left of it.
func down() error {
	rec, err := readRecord()
	if err != nil {
		return err
	}
	found, err := leftovers(rec)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		step("no cluster is up")
		return nil
	}
	if err := clean(rec); err != nil {
		return err
	}
	if found, err = leftovers(rec); err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("still there after stopping: %s", strings.Join(found, "; "))
	}
	step("the cluster is down")
	return nil
}
