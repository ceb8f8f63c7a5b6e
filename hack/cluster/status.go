package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

// status prints how each component is.
func status(ctx context.Context, l Layout) error {
	rec, err := ownRecord(l)
	if err != nil {
		fmt.Println(err)
		return errNotRunning
	}
	cs, err := components(l)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var problems []error
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COMPONENT\tPID\tSTATE\tLOG")
	for _, c := range cs {
		p := rec.Processes[c.Name]
		state := "ready"
		if !p.alive() {
			state = "gone"
		} else if c.Ready(ctx) != nil {
			state = "not ready"
		}
		if state != "ready" {
			problems = append(problems, errNotRunning)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", c.Name, p.PID, state, l.log(c.Name))
	}
	return errors.Join(w.Flush(), errors.Join(problems...))
}
