package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
)

// Targets. docs/ginkit/benchmarks.md has the figures of runs, and with them the margins.
const (
	mostMetricsNanos = 250
	leastTimesOurs   = 2
	leastRatio       = 0.85
	mostReadyMillis  = 100
	mostImageBytes   = 20_000_000
)

// printResult prints tables, targets and the JSON line, and reports whether every target that was measured is met.
func printResult(out io.Writer, r *result) (met bool, err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("writing the result: %w", err)
	}
	fmt.Fprintf(out, "\n%s, %d CPUs, %s; load average before the run %.2f\n", r.Machine.CPU, r.Machine.CPUs, r.Machine.Go, r.Machine.LoadAverage)
	if r.Metrics != nil {
		printMetrics(out, r.Metrics)
	}
	if r.Throughput != nil {
		printThroughput(out, r.Throughput)
	}
	met = printTargets(out, r)
	_, err = fmt.Fprintf(out, "bench-ginkit: %s\n", text)
	return met, err
}

func printMetrics(out io.Writer, m *metricsResult) {
	fmt.Fprintf(out, "\nwhat metrics add to a request, on top of %.0f ns and %.1f allocations\n\n", m.Bare.Nanos, m.Bare.Allocs)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { _ = table.Flush() }()
	row(table, "", "version", "ns", "allocations", "bytes", "times ginkit's")
	names := slices.SortedFunc(maps.Keys(m.Middlewares), func(a, b string) int {
		return cmp.Compare(m.Middlewares[a].Nanos, m.Middlewares[b].Nanos)
	})
	for _, name := range names {
		c := m.Middlewares[name]
		row(table, name, c.Version, decimal(c.Nanos, 0), decimal(c.Allocs, 1), decimal(c.Bytes, 0), decimal(c.Ratio, 1))
	}
}

func printThroughput(out io.Writer, t *throughputResult) {
	fmt.Fprintf(out, "\nserver on one core, wrk on another with %s connections: median of %d rounds of %g s\n\n", connections, t.Rounds, t.Seconds)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { _ = table.Flush() }()
	row(table, "", "requests/s", "p99, ms", "CPU a request, µs", "of bare Gin", "by CPU")
	names := slices.SortedFunc(maps.Keys(t.Servers), func(a, b string) int {
		return cmp.Compare(t.Servers[b].RequestsPerSecond, t.Servers[a].RequestsPerSecond)
	})
	for _, name := range names {
		s := t.Servers[name]
		row(table, name, decimal(s.RequestsPerSecond, 0), decimal(s.P99Micros/1000, 2), decimal(s.CPUMicros, 1), decimal(s.Ratio, 2), decimal(s.CPURatio, 2))
	}
}

// printTargets prints what was measured of what there is a target for, and reports whether all of that is met.
func printTargets(out io.Writer, r *result) bool {
	all := true
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer func() {
		_ = table.Flush()
		fmt.Fprintln(out)
	}()
	fmt.Fprintln(out)
	line := func(what, wanted, measured string, met bool) {
		verdict := "yes"
		if !met {
			verdict, all = "no", false
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", what, wanted, measured, verdict)
	}
	fmt.Fprintln(table, "target\twanted\tmeasured\tmet")
	if m := r.Metrics; m != nil {
		own, there := m.Middlewares[ours]
		line("metrics, ns a request", "at most "+decimal(mostMetricsNanos, 0), decimal(own.Nanos, 0), there && own.Nanos <= mostMetricsNanos)
		line("metrics, allocations a request", "0", decimal(own.Allocs, 2), there && own.Allocs < 0.01)
		next, least := "", math.Inf(1)
		for name, other := range m.Middlewares {
			if name != ours && other.Ratio < least {
				next, least = name, other.Ratio
			}
		}
		line("metrics, times ginkit's of the next, "+next, "at least "+decimal(leastTimesOurs, 0), decimal(least, 2), next != "" && least >= leastTimesOurs)
	}
	if t := r.Throughput; t != nil {
		ratio := t.Servers["sampleapp"].Ratio
		line("sampleapp, requests/s of bare Gin's", "at least "+decimal(leastRatio, 2), decimal(ratio, 2), ratio >= leastRatio)
	}
	if s := r.Ready; s != nil {
		line(fmt.Sprintf("sampleapp, start to ready, p99 of %d, ms", s.Starts), "at most "+decimal(mostReadyMillis, 0),
			fmt.Sprintf("%.1f (p50 %.1f)", s.P99Millis, s.P50Millis), s.P99Millis <= mostReadyMillis)
	}
	if i := r.Image; i != nil {
		line("sampleapp, image, MB", "at most "+decimal(mostImageBytes/1e6, 0),
			fmt.Sprintf("%.1f (binary %.1f)", float64(i.Image)/1e6, float64(i.Binary)/1e6), i.Image <= mostImageBytes)
	}
	return all
}

func row(table io.Writer, cells ...string) {
	for _, cell := range cells {
		fmt.Fprintf(table, "%s\t", cell)
	}
	fmt.Fprintln(table)
}

func decimal(f float64, places int) string { return strconv.FormatFloat(f, 'f', places, 64) }
