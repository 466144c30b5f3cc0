package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// clusterNote is what the reader of the targets has to know where they were not made for.
const clusterNote = "\nThe limits of times and of CPU are for the benchmark's own control plane on two cores, with pods that are ready at once: in a cluster\n" +
	"compare with its floor. Those of writes, events and reads hold anywhere, but for what real pods and their metrics add."

// report prints what a run measured, and reports whether the run counts as passed: every hard target is met, or, to be strict, all are.
func report(out io.Writer, r *result, strict bool) (bool, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("writing the report: %w", err)
	}
	list := targets(r)
	printPhases(out, r)
	printRequests(out, r)
	printTargets(out, list)
	if r.cluster {
		fmt.Fprintf(out, "%s\n\n", clusterNote)
	}
	failures := missed(list, strict)
	for _, failure := range failures {
		fmt.Fprintln(out, "missed:", failure)
	}
	_, err = fmt.Fprintf(out, "bench: %s\n", text)
	return len(failures) == 0, err
}

func printPhases(out io.Writer, r *result) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { _ = table.Flush() }()
	fmt.Fprintf(out, "\n%d GinServices; load average before the run %.2f\n\n", r.N, r.LoadAverage)
	row(table, "", "all, s", "a second", "p50, s", "p99, s", "writes", "events", "reads", "CPU, ms", "passes")
	n, c, u := float64(r.N), &r.Create, &r.Upgrade
	row(table, "floor, create", c.FloorSeconds, ratio(n, c.FloorSeconds), c.FloorReadyP50, c.FloorReadyP99, "", "", "", "", "")
	costRow(table, "create", c.Seconds, c.PerSecond, c.ReadyP50Seconds, c.ReadyP99Seconds, &c.cost)
	costRow(table, "settle", c.Settle.Seconds, "", "", "", &c.Settle.cost)
	row(table, "floor, upgrade", u.FloorSeconds, ratio(n, u.FloorSeconds), u.FloorSwitchP50, u.FloorSwitchP99, "", "", "", "", "")
	costRow(table, "upgrade", u.Seconds, u.PerSecond, u.SwitchP50Seconds, u.SwitchP99Seconds, &u.cost)
	row(table, "EndpointSlice ready to switch", "", "", u.EndpointsToSwitchP50Seconds, u.EndpointsToSwitchP99Seconds, "", "", "", "", "")
	row(table, "all ready to switch", "", "", "", u.PreparedToSwitchP99Seconds, "", "", "", "", "")
	row(table, "switch to confirmed", "", "", "", u.ConfirmP99Seconds, "", "", "", "", "")
	p := &r.Paced
	row(table, "paced floor, create", "", p.PerSecond, p.CreateFloorP50Seconds, "", "", "", "", "", "")
	row(table, "paced create", "", p.PerSecond, p.CreateP50Seconds, p.CreateP99Seconds, "", "", "", "", "")
	row(table, "paced floor, upgrade", "", p.PerSecond, p.UpgradeFloorP50Seconds, "", "", "", "", "", "")
	row(table, "paced upgrade, first pod", "", p.PerSecond, p.PodsP50Seconds, p.PodsP99Seconds, "", "", "", "", "")
	row(table, "paced upgrade", "", p.PerSecond, p.UpgradeP50Seconds, p.UpgradeP99Seconds, "", "", "", "", "")
	row(table, "idle, in all", r.Idle.Seconds, "", "", "", r.Idle.Writes, r.Idle.Events, r.Idle.Reads, 1000*r.Idle.CPUSeconds, "")
	row(table, "restart, in all", r.Restart.Seconds, "", "", "", r.Restart.Writes, r.Restart.Events, r.Restart.Reads, 1000*r.Restart.CPUSeconds, "")
}

func costRow(table io.Writer, name string, all, rate, p50, p99 any, c *cost) {
	row(table, name, all, rate, p50, p99, c.WritesPerService, c.EventsPerService, c.ReadsPerService, c.CPUMillisPerService, c.PassesPerService)
}

func row(table io.Writer, cells ...any) {
	for _, cell := range cells {
		if number, ok := cell.(float64); ok {
			cell = strconv.FormatFloat(number, 'f', 2, 64)
		}
		fmt.Fprintf(table, "%v\t", cell)
	}
	fmt.Fprintln(table)
}

func printRequests(out io.Writer, r *result) {
	for _, phase := range []struct {
		name string
		cost *cost
	}{{"creation", &r.Create.cost}, {"upgrade", &r.Upgrade.cost}} {
		fmt.Fprintf(out, "\nrequests a GinService, %s:\n", phase.name)
		for _, kind := range slices.Sorted(maps.Keys(phase.cost.Requests)) {
			fmt.Fprintf(out, "  %6.2f  %s\n", phase.cost.Requests[kind], kind)
		}
	}
	fmt.Fprintf(out, "\nmemory: %.1f MiB at most, %.1f MiB after the restart\n\n", r.RSSMiB, r.Restart.RSSMiB)
}

func printTargets(out io.Writer, list []target) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer func() { _ = table.Flush() }()
	fmt.Fprintln(table, "target\tat most\tmeasured\tmet")
	for _, t := range list {
		value, met := strconv.FormatFloat(t.value, 'f', 3, 64), "yes"
		switch {
		case t.unmeasured:
			value, met = "-", "-"
		case !t.met():
			met = "no"
		}
		fmt.Fprintf(table, "%s\t%g\t%s\t%s\n", t.what, t.limit, value, met)
	}
}

// loadAverage returns that of the last minute.
func loadAverage() (float64, error) {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, fmt.Errorf("reading the load average: %w: the benchmark needs Linux", err)
	}
	first, _, _ := strings.Cut(string(content), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the load average: %w", err)
	}
	return load, nil
}
