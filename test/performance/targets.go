package main

import (
	"fmt"
	"slices"
)

// target is a figure that a run is held to: at most its limit.
type target struct {
	what  string
	value float64
	limit float64
	// hard says that missing it fails every run: it does not depend on the machine.
	hard bool
	// unmeasured says that this run left it out.
	unmeasured bool
}

func (t target) met() bool { return t.unmeasured || t.value <= t.limit }

// targets returns what a run is held to. Times and CPU are for a machine of two cores with nothing else to do, on which the whole control
// plane runs beside the operator; docs/benchmarks.md has the figures of runs, and with them the margins.
func targets(r *result) []target {
	list := []target{
		{what: "creation, times the floor", value: r.Create.Ratio, limit: 1.5, unmeasured: r.Create.FloorSeconds == 0},
		{what: "writes a creation (children + 3)", value: r.Create.WritesPerService, limit: r.Create.ChildrenPerService + 3},
		{what: "events a creation", value: r.Create.EventsPerService + r.Create.Settle.EventsPerService, limit: 3},
		{what: "uncached reads a creation", value: r.Create.ReadsPerService, limit: 0},
		{what: "CPU a creation, ms", value: r.Create.CPUMillisPerService, limit: 15},
		{what: "EndpointSlice ready to switch, p99, s", value: r.Upgrade.EndpointsToSwitchP99Seconds, limit: 0.5},
		{what: "writes an upgrade", value: r.Upgrade.WritesPerService, limit: 10},
		{what: "events an upgrade", value: r.Upgrade.EventsPerService, limit: 5},
		{what: "uncached reads an upgrade", value: r.Upgrade.ReadsPerService, limit: 0},
		{what: "CPU an upgrade, ms", value: r.Upgrade.CPUMillisPerService, limit: 25},
		{what: "writes at rest", value: float64(r.Idle.Writes), hard: true},
		{what: "uncached reads at rest", value: float64(r.Idle.Reads)},
		{what: "writes after a restart", value: float64(r.Restart.Writes), hard: true},
		{what: "uncached reads after a restart", value: float64(r.Restart.Reads)},
		{what: "paced: apply to Ready, p50, s", value: r.Paced.CreateP50Seconds, limit: 0.25, unmeasured: r.Paced.N == 0},
		{what: "paced: image change to switch, p50, s", value: r.Paced.UpgradeP50Seconds, limit: 0.25, unmeasured: r.Paced.N == 0},
		{what: "paced: image change to the first pod, p99, s", value: r.Paced.PodsP99Seconds, limit: 0.25, unmeasured: r.Paced.N == 0},
	}
	switch {
	case r.N <= 200:
		list = append(list, target{what: "peak RSS, MiB", value: max(r.RSSMiB, r.Restart.RSSMiB), limit: 60})
	case r.N <= 1000:
		list = append(list, target{what: "peak RSS, MiB", value: max(r.RSSMiB, r.Restart.RSSMiB), limit: 100})
	}
	return list
}

// missed returns what is wrong with a run: the targets that it missed, of the hard ones or of all.
func missed(list []target, all bool) []string {
	var names []string
	for _, t := range list {
		if !t.met() && (t.hard || all) {
			names = append(names, fmt.Sprintf("%s: %.4g, and at most %.4g is wanted", t.what, t.value, t.limit))
		}
	}
	return slices.Clip(names)
}
