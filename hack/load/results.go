package main

import (
	"fmt"
	"maps"
	"math"
	"sync"
	"time"
)

const (
	// keptErrors is how many failures are reported with their text and time.
	keptErrors = 20
	// keptValues is how many different colours, revisions and status codes are told apart; the others count as "other".
	keptValues = 64
	// keptRows is how many rows -series keeps, the latest: a day's, with one a second.
	keptRows = 86_400
)

// result is what a run has come to. Times in milliseconds count from when a request was due.
type result struct {
	URLs           []string  `json:"urls"`
	Rate           float64   `json:"rate"`
	Start          time.Time `json:"start"`
	ElapsedSeconds float64   `json:"elapsedSeconds"`
	// Done says that no outcome is missing.
	Done bool `json:"done"`
	// Requests are those that have an outcome; InFlight those that have none yet.
	Requests int `json:"requests"`
	InFlight int `json:"inFlight"`
	Failed   int `json:"failed"`
	// AchievedRate is requests per second from the start to the latest outcome.
	AchievedRate float64 `json:"achievedRate"`
	// LatencyMs covers all requests, failed ones too.
	LatencyMs quantiles `json:"latencyMs"`
	// LagMs is how much of that is the generator's own: from when a request was due to when it was taken up.
	LagMs    quantiles             `json:"lagMs"`
	Status   map[string]int        `json:"status"`
	Failures map[failureKind]int   `json:"failures"`
	Errors   []failedRequest       `json:"errors"`
	Colors   map[string]appearance `json:"colors"`
	// Revisions are told apart by the header X-App-Revision as colours are by X-App-Color.
	Revisions   map[string]appearance `json:"revisions"`
	Connections connections           `json:"connections"`
	Series      []stretch             `json:"series,omitempty"`
}

// quantiles describe a distribution of durations in milliseconds.
type quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// failedRequest is one failure.
type failedRequest struct {
	Time time.Time   `json:"time"`
	Kind failureKind `json:"kind"`
	URL  string      `json:"url"`
	Text string      `json:"text"`
}

// appearance is when, and how often, a value came up in complete answers.
type appearance struct {
	sighting
	// NewConnections covers only the first answer on each connection: where connections went, while others stay where they are.
	NewConnections *sighting `json:"newConnections,omitempty"`
}

// sighting is how often something was seen, and when first and last.
type sighting struct {
	Requests int       `json:"requests"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// connections say what became of the connections.
type connections struct {
	Opened int `json:"opened"`
	// ClosedIdle are those that the server had closed before they were used again.
	ClosedIdle int `json:"closedIdle"`
}

// stretch is what became of the requests that were due in one stretch of time.
type stretch struct {
	// AtSeconds is when it began, counted from the start.
	AtSeconds float64 `json:"atSeconds"`
	Requests  int     `json:"requests"`
	Failed    int     `json:"failed"`
	P50Ms     float64 `json:"p50Ms"`
	P99Ms     float64 `json:"p99Ms"`
	MaxMs     float64 `json:"maxMs"`
	// Latencies are how many requests took up to so many microseconds, for quantiles of several stretches together.
	Latencies []latencyCount `json:"latencies,omitempty"`
}

// latencyCount is a bucket of a histogram: its upper bound in microseconds, and how many requests are in it.
type latencyCount [2]int

// results gathers outcomes. It is safe for concurrent use.
type results struct {
	start time.Time

	mu      sync.Mutex
	opts    options
	so      result
	latest  time.Time
	latency histogram
	lag     histogram
	series  seriesRecorder
}

func newResults(opts options, start time.Time) *results {
	r := &results{start: start, opts: opts, latest: start, series: seriesRecorder{length: opts.series, open: map[int]*openStretch{}}}
	r.so = result{
		Rate: opts.rate, Start: start.UTC(), Status: map[string]int{}, Failures: map[failureKind]int{}, Errors: []failedRequest{},
		Colors: map[string]appearance{}, Revisions: map[string]appearance{},
	}
	for _, t := range opts.targets {
		r.so.URLs = append(r.so.URLs, t.url)
	}
	return r
}

// sent notes that a request of the schedule is on its way.
func (r *results) sent(due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.so.InFlight++
	if r.opts.series > 0 {
		r.series.sent(due.Sub(r.start))
	}
}

// finished notes what became of a request.
func (r *results) finished(due time.Time, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	latency := o.finished.Sub(due)
	r.so.InFlight--
	r.so.Requests++
	if o.finished.After(r.latest) {
		r.latest = o.finished
	}
	r.latency.add(latency)
	r.lag.add(o.lag)
	if o.opened {
		r.so.Connections.Opened++
	}
	if o.closedIdle {
		r.so.Connections.ClosedIdle++
	}
	if o.status != 0 {
		r.so.Status[known(r.so.Status, fmt.Sprint(o.status))]++
		see(r.so.Colors, o.color, o)
		see(r.so.Revisions, o.revision, o)
	}
	if o.failure != "" {
		r.so.Failed++
		r.so.Failures[o.failure]++
		if len(r.so.Errors) < keptErrors {
			r.so.Errors = append(r.so.Errors, failedRequest{Time: o.finished.UTC(), Kind: o.failure, URL: o.url, Text: o.err.Error()})
		}
	}
	if r.opts.series > 0 {
		r.series.finished(due.Sub(r.start), latency, o.failure != "")
	}
}

// end notes that every request has its outcome.
func (r *results) end(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.so.Done = true
	r.so.ElapsedSeconds = seconds(now.Sub(r.start))
}

// snapshot returns the state so far.
func (r *results) snapshot() result {
	r.mu.Lock()
	defer r.mu.Unlock()
	so := r.so
	elapsed := r.latest.Sub(r.start)
	if !so.Done {
		elapsed = time.Since(r.start)
		so.ElapsedSeconds = seconds(elapsed)
	}
	if elapsed > 0 {
		so.AchievedRate = math.Round(float64(so.Requests)/elapsed.Seconds()*10) / 10
	}
	so.LatencyMs, so.LagMs = r.latency.quantiles(), r.lag.quantiles()
	so.Status, so.Failures = copied(so.Status), copied(so.Failures)
	so.Colors, so.Revisions = copiedAppearances(so.Colors), copiedAppearances(so.Revisions)
	so.Errors = append([]failedRequest{}, so.Errors...)
	so.Series = r.series.rows()
	return so
}

// known returns a key of the map, or "other" once there are too many.
func known[V any](seen map[string]V, key string) string {
	if _, ok := seen[key]; !ok && len(seen) >= keptValues {
		return "other"
	}
	return key
}

// see counts an answer that has a value; an empty one counts as "none".
func see(seen map[string]appearance, value string, o outcome) {
	if value == "" {
		value = "none"
	}
	key := known(seen, value)
	a := seen[key]
	a.add(o.finished)
	if o.opened {
		if a.NewConnections == nil {
			a.NewConnections = &sighting{}
		}
		a.NewConnections.add(o.finished)
	}
	seen[key] = a
}

// add counts one more. Outcomes don't come in the order of their times.
func (s *sighting) add(at time.Time) {
	at = at.UTC()
	if s.Requests == 0 || at.Before(s.First) {
		s.First = at
	}
	if at.After(s.Last) {
		s.Last = at
	}
	s.Requests++
}

func (h *histogram) quantiles() quantiles {
	return quantiles{
		P50: milliseconds(h.quantile(0.5)), P90: milliseconds(h.quantile(0.9)), P99: milliseconds(h.quantile(0.99)),
		P999: milliseconds(h.quantile(0.999)), Max: milliseconds(h.max),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

func copied[K comparable, V any](from map[K]V) map[K]V {
	to := make(map[K]V, len(from))
	maps.Copy(to, from)
	return to
}

func copiedAppearances(from map[string]appearance) map[string]appearance {
	to := copied(from)
	for key, a := range to {
		if a.NewConnections != nil {
			fresh := *a.NewConnections
			a.NewConnections = &fresh
			to[key] = a
		}
	}
	return to
}
