package main

import (
	"math"
	"slices"
	"time"
)

// percentile returns the smallest of some durations that at least a share of them does not exceed (the nearest rank), in seconds, or 0
// where there are none.
func percentile(durations []time.Duration, share float64) float64 {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1].Seconds()
}

// spans returns how long each thing took that began and ended.
func spans(began, ended map[string]time.Time) []time.Duration {
	var durations []time.Duration
	for name, end := range ended {
		if begin, known := began[name]; known {
			durations = append(durations, end.Sub(begin))
		}
	}
	return durations
}

// last returns the latest of some times.
func last(times map[string]time.Time) time.Time {
	var latest time.Time
	for _, t := range times {
		if t.After(latest) {
			latest = t
		}
	}
	return latest
}

// latest returns, for each thing that both have, the later of two times.
func latest(a, b map[string]time.Time) map[string]time.Time {
	later := map[string]time.Time{}
	for name, t := range a {
		other, both := b[name]
		switch {
		case both && other.After(t):
			later[name] = other
		case both:
			later[name] = t
		}
	}
	return later
}

// ratio returns a/b, or 0 where b was not measured.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
