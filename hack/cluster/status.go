package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

const (
	exitDamaged    = exitCode(1)
	exitNotRunning = exitCode(3)
)

func statusCommand(ctx context.Context, l layout, _ []string) error {
	if err := requireRoot(); err != nil {
		return err
	}
	s, exists, err := l.loadSettings()
	if err != nil {
		return err
	}
	if _, alive := namespaceHolder(l); !exists || !alive {
		fmt.Println("not running")
		return exitNotRunning
	}
	if !s.Complete {
		fmt.Println("not started completely: `up` is at work, or it was cut short and the next `up` starts anew")
		return exitDamaged
	}
	damaged := printParts(l, s)
	client, err := newAPI(l, s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	checks := []struct {
		name  string
		check func() error
	}{
		{"API server ready", func() error { return client.ready(ctx) }},
		{"node Ready", func() error { return client.nodeReady(ctx, s.Name) }},
		{"metrics served", func() error { return client.metricsServed(ctx) }},
	}
	for _, c := range checks {
		if err := c.check(); err != nil {
			damaged = true
			fmt.Printf("%s: no: %v\n", c.name, err)
			continue
		}
		fmt.Printf("%s: yes\n", c.name)
	}
	fmt.Printf("kubeconfig: %s (%s)\nlogs: %s\n", l.kubeconfig(), s.server(), l.logs())
	if damaged {
		fmt.Println("damaged: `bin/cluster up` restarts what is missing")
		return exitDamaged
	}
	return nil
}

// printParts lists the processes and tells whether any is missing.
func printParts(l layout, s settings) (missing bool) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PART\tPID\tSTATE")
	names := []string{partForwarder}
	for _, p := range allParts(l, s) {
		names = append(names, p.name)
	}
	for _, name := range names {
		p, alive := l.recorded(name)
		if !alive {
			missing = true
			fmt.Fprintf(table, "%s\t-\tnot running\n", name)
			continue
		}
		fmt.Fprintf(table, "%s\t%d\trunning\n", name, p.PID)
	}
	if err := table.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return missing
}

func kubeconfigCommand(_ context.Context, l layout, _ []string) error {
	if _, err := os.Stat(l.kubeconfig()); err != nil {
		return errNotRunning
	}
	fmt.Println(l.kubeconfig())
	return nil
}
