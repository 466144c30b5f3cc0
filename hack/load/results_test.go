package main

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMemoryIsBoundedWhateverServersAnswer(t *testing.T) {
	start := time.Unix(1000, 0)
	r := newResults(options{rate: 1}, start)
	for i := range 10_000 {
		r.sent(start)
		r.finished(start, outcome{
			finished: start, status: 200 + i%700, color: fmt.Sprint("color", i), revision: fmt.Sprint("revision", i),
			failure: failedStatus5xx, err: errors.New("status"),
		})
	}
	so := r.snapshot()
	if len(so.Colors) != keptValues+1 || len(so.Revisions) != keptValues+1 || len(so.Status) != keptValues+1 || len(so.Errors) != keptErrors {
		t.Errorf("%d colours, %d revisions, %d status codes, %d errors are kept", len(so.Colors), len(so.Revisions), len(so.Status), len(so.Errors))
	}
	if so.Colors["other"].Requests != 10_000-keptValues || so.Failed != 10_000 {
		t.Errorf("%d other colours, %d failed; want every request counted", so.Colors["other"].Requests, so.Failed)
	}
}

func TestSeriesWaitsForLateAnswers(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	r := newResults(options{rate: 1, series: 500 * time.Millisecond}, start)
	finish := func(due, finished int, kind failureKind) {
		r.finished(at(due), outcome{finished: at(finished), failure: kind, err: errors.New("late")})
	}
	for _, due := range []int{0, 400, 500, 1000, 1500} {
		r.sent(at(due))
	}
	finish(0, 10, "")
	finish(500, 520, "")
	finish(1000, 1001, "")
	// Due in the first stretch, known in the seventh.
	finish(400, 3400, failedTimeout)
	r.sent(at(2000))
	want := []stretch{
		{AtSeconds: 0, Requests: 2, Failed: 1, P50Ms: 10.111, P99Ms: 3000, MaxMs: 3000, Latencies: []latencyCount{{10_111, 1}, {3_000_000, 1}}},
		{AtSeconds: 0.5, Requests: 1, P50Ms: 20, P99Ms: 20, MaxMs: 20, Latencies: []latencyCount{{20_000, 1}}},
		{AtSeconds: 1, Requests: 1, P50Ms: 1, P99Ms: 1, MaxMs: 1, Latencies: []latencyCount{{1_000, 1}}},
		{AtSeconds: 1.5},
		{AtSeconds: 2},
	}
	if diff := cmp.Diff(want, r.snapshot().Series); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if len(r.series.open) != 2 {
		t.Errorf("%d stretches are kept open, want those 2 that lack an outcome", len(r.series.open))
	}
}

func TestSnapshotDoesNotChangeLater(t *testing.T) {
	start := time.Unix(1000, 0)
	r := newResults(options{rate: 1}, start)
	add := func() {
		r.sent(start)
		r.finished(start, outcome{finished: start, opened: true, status: 200, color: "blue"})
	}
	add()
	before := r.snapshot()
	add()
	if got := before.Colors["blue"]; got.Requests != 1 || got.NewConnections.Requests != 1 || before.Status["200"] != 1 {
		t.Errorf("an earlier snapshot changed: %+v, new connections %+v, status %v", got, got.NewConnections, before.Status)
	}
}
