package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Second
	}
	for name, tc := range map[string]struct {
		durations []time.Duration
		share     float64
		want      float64
	}{
		"nothing was measured":                {share: 0.5, want: 0},
		"a single one is every percentile":    {durations: hundred[:1], share: 0.01, want: 100},
		"the median, of an even number":       {durations: hundred, share: 0.5, want: 50},
		"99 of 100 are no more than the p99":  {durations: hundred, share: 0.99, want: 99},
		"the whole share is the greatest one": {durations: hundred, share: 1, want: 100},
	} {
		t.Run(name, func(t *testing.T) {
			if got := percentile(tc.durations, tc.share); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestSpansAreThoseThatBeganAndEnded(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	began := map[string]time.Time{"a": noon, "unfinished": noon}
	ended := map[string]time.Time{"a": noon.Add(time.Second), "unknown": noon}
	if diff := cmp.Diff([]time.Duration{time.Second}, spans(began, ended)); diff != "" {
		t.Error(diff)
	}
	if got := last(ended); !got.Equal(noon.Add(time.Second)) {
		t.Errorf("the last one ended at %v", got)
	}
	both := latest(map[string]time.Time{"a": noon, "b": noon.Add(time.Minute), "c": noon},
		map[string]time.Time{"a": noon.Add(time.Second), "b": noon})
	want := map[string]time.Time{"a": noon.Add(time.Second), "b": noon.Add(time.Minute)}
	if diff := cmp.Diff(want, both); diff != "" {
		t.Error(diff)
	}
}
