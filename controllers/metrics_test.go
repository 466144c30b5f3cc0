package controllers

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// labelValues returns the values that a label of a metric has, over all of its series.
func labelValues(t *testing.T, metric, label string) []string {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, family := range families {
		if family.GetName() != metric {
			continue
		}
		for _, series := range family.GetMetric() {
			for _, pair := range series.GetLabel() {
				if pair.GetName() == label {
					values = append(values, pair.GetValue())
				}
			}
		}
	}
	return values
}

// The planner is another package, and its reasons are words where they are used.
func TestEachTransitionIsCountedFromTheStart(t *testing.T) {
	counted := labelValues(t, "gin_operator_rollout_transitions_total", "reason")
	told := regexp.MustCompile(`\.tell\([^,"]+, (?:"(\w+)"|(PreviewReady|PreviewNotReady)),`)
	files, err := filepath.Glob(filepath.Join("rollout", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range told.FindAllStringSubmatch(string(source), -1) {
			found++
			if reason := match[1] + match[2]; !slices.Contains(counted, reason) {
				t.Errorf("%s tells of %s, which transitionReasons has not: its first time would not show as an increase", file, reason)
			}
		}
	}
	if found < 10 {
		t.Errorf("found only %d transitions in %v", found, files)
	}
	for _, result := range []string{"promoted", "failed", "aborted", "cancelled"} {
		if !slices.Contains(labelValues(t, "gin_operator_rollout_duration_seconds", "result"), result) {
			t.Errorf("there is no duration of rollouts that were %s from the start", result)
		}
	}
}
