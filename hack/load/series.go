package main

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// seriesRecorder keeps one row for each stretch of time. A stretch needs a histogram only until its last request has its outcome, so what
// grows with the length of a run is small.
type seriesRecorder struct {
	length time.Duration // of a stretch
	newest int
	open   map[int]*openStretch
	closed []stretch
}

// openStretch is a stretch that may still change.
type openStretch struct {
	latency histogram
	sent    int
	failed  int
}

func (s *seriesRecorder) sent(due time.Duration) {
	number := int(due / s.length)
	if s.open[number] == nil {
		s.open[number] = &openStretch{}
	}
	s.open[number].sent++
	if number > s.newest {
		s.newest = number
		s.closeSettled()
	}
}

func (s *seriesRecorder) finished(due, latency time.Duration, failed bool) {
	o := s.open[int(due/s.length)]
	o.latency.add(latency)
	if failed {
		o.failed++
	}
}

// closeSettled turns stretches that are over, and in which every request has its outcome, into rows.
func (s *seriesRecorder) closeSettled() {
	for _, number := range slices.Sorted(maps.Keys(s.open)) {
		if o := s.open[number]; number < s.newest && o.latency.total == o.sent {
			s.closed = append(s.closed, s.row(number, o))
			delete(s.open, number)
		}
	}
	if extra := len(s.closed) - keptRows; extra > 0 {
		s.closed = slices.Delete(s.closed, 0, extra)
	}
}

func (s *seriesRecorder) row(number int, o *openStretch) stretch {
	return stretch{
		AtSeconds: seconds(time.Duration(number) * s.length), Requests: o.latency.total, Failed: o.failed, P50Ms: milliseconds(o.latency.quantile(0.5)),
		P99Ms: milliseconds(o.latency.quantile(0.99)), MaxMs: milliseconds(o.latency.max), Latencies: o.latency.filled(),
	}
}

// rows returns all stretches in order.
func (s *seriesRecorder) rows() []stretch {
	rows := slices.Clone(s.closed)
	for number, o := range s.open {
		rows = append(rows, s.row(number, o))
	}
	slices.SortFunc(rows, func(a, b stretch) int { return cmp.Compare(a.AtSeconds, b.AtSeconds) })
	return rows
}
