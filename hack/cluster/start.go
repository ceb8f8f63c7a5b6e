package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
)

// startTimeout bounds how long a component may take until it is ready. On an
// idle machine each takes a few seconds.
const startTimeout = 90 * time.Second

// startAll starts components, records them, and waits until all are ready. The
// first that fails ends the waiting for the others.
func startAll(ctx context.Context, l Layout, rec *Record, cs ...Component) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, c := range cs {
		r, err := c.spawn(l)
		if err == nil {
			rec.Processes[c.Name] = r.Process
			err = rec.write()
		}
		if err != nil {
			cancel(err)
			break
		}
		wg.Go(func() {
			if err := c.wait(ctx, l, r); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// wait returns once the component is ready, has ended, or takes too long.
func (c Component) wait(ctx context.Context, l Layout, r *running) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready within %v", startTimeout))
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-r.ended:
			end(fmt.Errorf("ended by itself: %v", r.err))
		case <-ctx.Done():
		}
	}()
	if err := poll(ctx, c.Ready); err != nil {
		log, _ := os.ReadFile(l.log(c.Name))
		return fmt.Errorf("%s: %w; last lines of %s:\n%s", c.Name, err, l.log(c.Name), lastLines(log, 8))
	}
	step("%s is ready", c.Name)
	return nil
}

// stopComponent stops one component of this clone's cluster, for tests of what
// happens without it.
func stopComponent(l Layout, name string) error {
	rec, c, err := ownComponent(l, name)
	if err != nil {
		return err
	}
	if err := rec.Processes[c.Name].end(syscall.SIGTERM, 5*time.Second); err != nil {
		return fmt.Errorf("stop %s: %w", c.Name, err)
	}
	step("%s is gone", c.Name)
	return nil
}

// startComponent starts one component again. One that runs is left alone.
func startComponent(ctx context.Context, l Layout, name string) error {
	rec, c, err := ownComponent(l, name)
	if err != nil {
		return err
	}
	if rec.Processes[c.Name].alive() {
		step("%s already runs", c.Name)
		return nil
	}
	if err := enterCgroup(); err != nil {
		return err
	}
	if err := startAll(ctx, l, rec, c); err != nil {
		return err
	}
	return writeInfo(l, rec)
}

// ownComponent finds a component by name in this clone's cluster.
func ownComponent(l Layout, name string) (*Record, Component, error) {
	rec, err := ownRecord(l)
	if err != nil {
		return nil, Component{}, err
	}
	cs, err := components(l)
	if err != nil {
		return nil, Component{}, err
	}
	var names []string
	for _, c := range cs {
		if c.Name == name {
			return rec, c, nil
		}
		names = append(names, c.Name)
	}
	return nil, Component{}, fmt.Errorf("no component %q; there are %q", name, names)
}

// ownRecord is the record of a cluster that this clone has started.
func ownRecord(l Layout) (*Record, error) {
	rec, err := readRecord()
	switch {
	case err != nil:
		return nil, err
	case rec == nil || !rec.Complete:
		return nil, errors.New("the cluster is not up: run `cluster up`")
	case rec.Owner != l.Root:
		return nil, fmt.Errorf("the cluster that runs is that of the clone %s: run this there", rec.Owner)
	}
	return rec, nil
}
