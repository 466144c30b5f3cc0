package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints a result.
func report(to io.Writer, opts options, so result) error {
	if !opts.jsonOnly {
		if err := printTable(to, so); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(to, "load: %s\n", encoded(so))
	return err
}

// encoded returns a result in JSON.
func encoded(so result) []byte {
	line, err := json.Marshal(so)
	if err != nil {
		// Only finite numbers, texts and times are in it: this can't depend on input.
		panic(err)
	}
	return line
}

func printTable(to io.Writer, so result) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "requests\t%d, %d failed, %d without an outcome\n", so.Requests, so.Failed, so.InFlight)
	fmt.Fprintf(table, "rate\t%.1f/s of %v/s wanted, over %.1f s\n", so.AchievedRate, so.Rate, so.ElapsedSeconds)
	fmt.Fprintf(table, "latency\t%s\n", so.LatencyMs)
	fmt.Fprintf(table, "own lag\t%s\n", so.LagMs)
	fmt.Fprintf(table, "connections\t%d opened, %d found closed by the server while idle\n", so.Connections.Opened, so.Connections.ClosedIdle)
	for _, status := range slices.Sorted(maps.Keys(so.Status)) {
		fmt.Fprintf(table, "status %s\t%d\n", status, so.Status[status])
	}
	printAppearances(table, "colour", so.Colors)
	printAppearances(table, "revision", so.Revisions)
	for _, kind := range slices.Sorted(maps.Keys(so.Failures)) {
		fmt.Fprintf(table, "failed: %s\t%d\n", kind, so.Failures[kind])
	}
	for _, e := range so.Errors {
		fmt.Fprintf(table, "error\t%s %s %s: %s\n", clockTime(e.Time), e.Kind, e.URL, e.Text)
	}
	for _, s := range so.Series {
		fmt.Fprintf(table, "from %.3f s\t%d requests, %d failed, p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", s.AtSeconds, s.Requests, s.Failed, s.P50Ms, s.P99Ms, s.MaxMs)
	}
	return table.Flush()
}

func printAppearances(to io.Writer, what string, seen map[string]appearance) {
	for _, value := range slices.Sorted(maps.Keys(seen)) {
		a := seen[value]
		fmt.Fprintf(to, "%s %s\t%d requests, %s to %s", what, value, a.Requests, clockTime(a.First), clockTime(a.Last))
		if fresh := a.NewConnections; fresh != nil {
			fmt.Fprintf(to, "; new connections %d, %s to %s", fresh.Requests, clockTime(fresh.First), clockTime(fresh.Last))
		}
		fmt.Fprintln(to)
	}
}

func (q quantiles) String() string {
	return fmt.Sprintf("p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, p99.9 %.1f ms, max %.1f ms", q.P50, q.P90, q.P99, q.P999, q.Max)
}

func clockTime(t time.Time) string { return t.Format("15:04:05.000") }

// reportProgress prints a line at each interval until the run is done.
func reportProgress(to io.Writer, interval time.Duration, results *results, done <-chan struct{}) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fmt.Fprintln(to, progressLine(results.snapshot()))
		case <-done:
			return
		}
	}
}

func progressLine(so result) string {
	var line strings.Builder
	fmt.Fprintf(&line, "%.0f s: %d requests, %d failed, p99 %.1f ms", so.ElapsedSeconds, so.Requests, so.Failed, so.LatencyMs.P99)
	for _, color := range slices.Sorted(maps.Keys(so.Colors)) {
		fmt.Fprintf(&line, ", %s %d", color, so.Colors[color].Requests)
	}
	return line.String()
}
