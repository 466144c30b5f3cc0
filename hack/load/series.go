package main

import (
	"maps"
	"slices"
	"time"
)

// seriesRecorder keeps one row for each second. A second needs a histogram only until its last request has its outcome, so what
// grows with the length of a run is small.
type seriesRecorder struct {
	newest int
	open   map[int]*openSecond
	closed []second
}

// openSecond is a second that may still change.
type openSecond struct {
	latency histogram
	sent    int
	failed  int
}

func (s *seriesRecorder) sent(second int) {
	if s.open[second] == nil {
		s.open[second] = &openSecond{}
	}
	s.open[second].sent++
	if second > s.newest {
		s.newest = second
		s.closeSettled()
	}
}

func (s *seriesRecorder) finished(second int, latency time.Duration, failed bool) {
	o := s.open[second]
	o.latency.add(latency)
	if failed {
		o.failed++
	}
}

// closeSettled turns seconds that are over, and in which every request has its outcome, into rows.
func (s *seriesRecorder) closeSettled() {
	for _, number := range slices.Sorted(maps.Keys(s.open)) {
		if o := s.open[number]; number < s.newest && o.latency.total == o.sent {
			s.closed = append(s.closed, o.row(number))
			delete(s.open, number)
		}
	}
	if extra := len(s.closed) - keptSeconds; extra > 0 {
		s.closed = slices.Delete(s.closed, 0, extra)
	}
}

func (o *openSecond) row(number int) second {
	return second{
		Second: number, Requests: o.latency.total, Failed: o.failed, P50Ms: milliseconds(o.latency.quantile(0.5)),
		P99Ms: milliseconds(o.latency.quantile(0.99)), MaxMs: milliseconds(o.latency.max), Latencies: o.latency.filled(),
	}
}

// rows returns all seconds in order.
func (s *seriesRecorder) rows() []second {
	rows := slices.Clone(s.closed)
	for number, o := range s.open {
		rows = append(rows, o.row(number))
	}
	slices.SortFunc(rows, func(a, b second) int { return a.Second - b.Second })
	return rows
}
