package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// up starts the cluster, after removing what is left of an earlier one. Its
// state begins empty each time; only built programs are kept.
func up(ctx context.Context, l Layout, replace bool) error {
	rec, err := readRecord()
	if err != nil {
		return err
	}
	switch {
	case !rec.inUse():
	case rec.Owner == l.Root:
		if err := healthy(ctx, l, rec); err == nil {
			step("the cluster is up already")
			printEnv(l)
			return nil
		} else {
			step("restarting the cluster: %v", err)
		}
	case !replace:
		return fmt.Errorf("the cluster of another clone is running: stop it with `%s/.cluster/bin/cluster down`, or use `up --replace`", rec.Owner)
	default:
		step("stopping the cluster of %s", rec.Owner)
	}
	found, err := leftovers(rec)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		step("removing what an earlier run has left (%d things)", len(found))
		if err := clean(rec); err != nil {
			return err
		}
	}
	if err := checkFree(l); err != nil {
		return err
	}

	if err := installPackages(ctx); err != nil {
		return err
	}
	step("compiling etcd, Kubernetes, containerd and runc (minutes, the first time)")
	if err := build(ctx, l); err != nil {
		return err
	}
	step("compiled")
	if err := linkPrograms(l); err != nil {
		return err
	}

	rec = newRecord(l.Root)
	if err := bringUp(ctx, l, rec); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; what had been started is stopped again")
		}
		if cleanErr := clean(rec); cleanErr != nil {
			err = fmt.Errorf("%w\nand then, stopping: %w", err, cleanErr)
		}
		return err
	}
	step("the cluster is up")
	printEnv(l)
	return nil
}

// bringUp starts everything. On an error the caller cleans up.
func bringUp(ctx context.Context, l Layout, rec *Record) error {
	if err := rec.write(); err != nil {
		return err
	}
	if err := prepareState(l); err != nil {
		return err
	}
	if err := makeBridge(); err != nil {
		return err
	}
	if err := makeCgroups(l.Nodes); err != nil {
		return err
	}
	if err := enterCgroup(); err != nil {
		return err
	}
	st, err := stages(l)
	if err != nil {
		return err
	}
	if err := startAll(ctx, l, rec, st[0]...); err != nil {
		return err
	}
	pause, err := writePauseImage(l)
	if err != nil {
		return err
	}
	for _, n := range l.Nodes {
		if err := n.importImage(ctx, pause, []string{pauseImage}); err != nil {
			return err
		}
	}
	if err := startAll(ctx, l, rec, st[1]...); err != nil {
		return err
	}
	if err := startAll(ctx, l, rec, st[2]...); err != nil {
		return err
	}
	api, err := newAPI(l)
	if err != nil {
		return err
	}
	if err := api.createRuntimeClass(ctx); err != nil {
		return fmt.Errorf("create the RuntimeClass crun: %w", err)
	}
	if err := writeInfo(l, rec); err != nil {
		return err
	}
	rec.Complete = true
	return rec.write()
}

// prepareState empties the state folder, all but the programs, and fills it
// with new credentials and configuration.
func prepareState(l Layout) error {
	stale := []string{l.kubeconfig(), l.infoPath()}
	for _, dir := range []string{"etcd", "kubeconfigs", "pki", "log"} {
		stale = append(stale, filepath.Join(l.State, dir))
	}
	for _, n := range l.Nodes {
		stale = append(stale, n.dir)
	}
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	for _, n := range l.Nodes {
		for _, dir := range []string{n.seccompDir(), n.podLogs()} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
	}
	if err := writeCredentials(l); err != nil {
		return err
	}
	return writeConfigs(l)
}

// makeBridge makes the pods' bridge, with the nodes' address on it.
func makeBridge() error {
	return errors.Join(
		ip("link", "add", bridge, "type", "bridge"),
		ip("address", "add", bridgeIP+"/16", "dev", bridge),
		ip("link", "set", bridge, "up"),
	)
}

// healthy says what is wrong with a cluster that was once up.
func healthy(ctx context.Context, l Layout, rec *Record) error {
	cs, err := components(l)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, c := range cs {
		if !rec.Processes[c.Name].alive() {
			return fmt.Errorf("%s does not run", c.Name)
		}
		if err := c.Ready(ctx); err != nil {
			return fmt.Errorf("%s is not ready: %w", c.Name, err)
		}
	}
	return nil
}

// printEnv prints what a shell needs, so that its output can be evaluated.
func printEnv(l Layout) {
	fmt.Printf("export KUBECONFIG=%s\n", l.kubeconfig())
	fmt.Printf("export PATH=%s:$PATH\n", l.bin(""))
}
