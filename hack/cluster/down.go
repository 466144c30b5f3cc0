package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const killTimeout = 20 * time.Second

func downCommand(ctx context.Context, l layout, arguments []string) error {
	flags := flag.NewFlagSet("down", flag.ContinueOnError)
	keepLogs := flags.Bool("keep-logs", false, "leave .cluster/logs")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if err := requireRoot(); err != nil {
		return err
	}
	release, err := lockCluster(ctx, l)
	if err != nil {
		return err
	}
	defer release()
	start := time.Now()
	if err := cleanUp(l, *keepLogs); err != nil {
		return err
	}
	fmt.Printf("the cluster is gone (%.1f s)\n", time.Since(start).Seconds())
	return nil
}

// cleanUp removes all that a cluster of this project has left on the machine, however it ended. Mounts, sockets and network
// devices need no word here: they are in namespaces that end with the last process.
func cleanUp(l layout, keepLogs bool) error {
	if err := killAll(func() []process { return clusterProcesses(l) }, killTimeout); err != nil {
		return err
	}
	if err := removeCgroups(l); err != nil {
		return err
	}
	return removeState(l, keepLogs)
}

// clusterProcesses returns every process that belongs to the cluster: the recorded parts, whatever carries the marker (parts
// that a crashed run did not record, containerd's shims) and what is in the cluster's cgroups (the pods).
func clusterProcesses(l layout) []process {
	var all []process
	seen := map[int]bool{}
	for _, found := range [][]process{l.allRecorded(), l.marked(), cgroupProcesses(l)} {
		for _, p := range found {
			if !seen[p.PID] {
				seen[p.PID] = true
				all = append(all, p)
			}
		}
	}
	return all
}

// removeState removes .cluster, or all of it but the logs.
func removeState(l layout, keepLogs bool) error {
	entries, err := os.ReadDir(l.state())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if keepLogs && entry.Name() == filepath.Base(l.logs()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(l.state(), entry.Name())); err != nil {
			return fmt.Errorf("removing the cluster's data: %w", err)
		}
	}
	if keepLogs {
		return nil
	}
	return os.RemoveAll(l.state())
}
