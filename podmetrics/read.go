package podmetrics

import (
	"cmp"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Value is what was measured for a query.
type Value struct {
	// Value is the result, in the unit of the query: per second for a rate, from 0 to 1 for a ratio.
	Value float64
	// Count is how much was counted in the window: requests, or whatever the counter or the histogram counts. It is 0 for a gauge.
	Count float64
	// Time is when the scrape began that has the newest sample; of several pods, that of the oldest.
	Time time.Time
	// Window is the time between the samples that were compared; of several pods, the shortest. It is shorter than what was asked for while
	// a pod has not been scraped for that long, and 0 for a gauge.
	Window time.Duration
	// Pods is how many pods are in it.
	Pods int
	// Beyond says of a quantile that it is above the highest bucket, whose bound is the Value.
	Beyond bool
}

// Read returns what a pod says to a query, over a window that ends with the newest sample. A gauge has no window. It returns an *Error where
// there is no value; where nothing was counted of which a ratio or a quantile could be taken (ReasonNoRequests), the rest of the Value is set.
func (s *Scraper) Read(uid types.UID, query Query, window time.Duration) (Value, error) {
	value, problems := s.Sum([]types.UID{uid}, query, window)
	if len(problems) == 0 {
		return value, nil
	}
	if problem := problems[0]; problem.Pod == (Pod{}) {
		return value, problem.of(s.pod(uid))
	}
	return value, problems[0]
}

// Sum returns what several pods say to a query together: rates and gauges are added up, a ratio is that of all requests, and a quantile that
// of all observations. Pods without a value are left out, and each has an Error in the result. A last Error without a pod says why there is
// no value of the others; where Pods is 0 there are no others. Of no pods at all, a rate or a gauge is 0, and there is no ratio and no quantile.
func (s *Scraper) Sum(uids []types.UID, query Query, window time.Duration) (Value, []*Error) {
	p, err := query.plan()
	if err != nil {
		return Value{}, []*Error{failure(ReasonNotScraped, "%v", err)}
	}
	if len(uids) == 0 && p.shape != asMetric {
		return Value{}, []*Error{failure(ReasonNoRequests, "there are no pods that %s could be taken of", query)}
	}
	total := mix{plan: p}
	if p.group == byBound {
		total.buckets = map[float64]float64{}
	}
	var problems []*Error
	now, key := time.Now(), p.key()
	for _, uid := range uids {
		s.mu.RLock()
		t := s.targets[uid]
		s.mu.RUnlock()
		if t == nil {
			problems = append(problems, failure(ReasonNotScraped, "it is not scraped").of(Pod{UID: uid}))
			continue
		}
		if problem := t.addTo(&total, key, query, now, window, &s.options); problem != nil {
			problems = append(problems, problem)
		}
	}
	value, problem := total.value(query)
	if problem != nil {
		problems = append(problems, problem)
	}
	return value, problems
}

// Problem returns why the newest scrape of a pod failed, or nil where it didn't, or where there was none. Values may be there all the same, from
// the scrapes before.
func (s *Scraper) Problem(uid types.UID) *Error {
	s.mu.RLock()
	t := s.targets[uid]
	s.mu.RUnlock()
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.problem
}

func (s *Scraper) pod(uid types.UID) Pod {
	s.mu.RLock()
	t := s.targets[uid]
	s.mu.RUnlock()
	if t == nil {
		return Pod{UID: uid}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pod
}

// addTo adds what the pod says to what others do, or returns why it says nothing.
func (t *target) addTo(total *mix, key string, query Query, now time.Time, window time.Duration, o *Options) *Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.tracks[key]
	if k == nil {
		return failure(ReasonNotScraped, "it is not asked for %s", query).of(t.pod)
	}
	if k.ring.len() == 0 || now.Sub(k.ring.back(0).at) > o.gap() {
		return t.silence(k, now, o.gap()).of(t.pod)
	}
	if k.kind == kindGauge {
		total.addGauge(k.ring.back(0))
		return nil
	}
	newest, base, ok := k.ring.window(window, o.Interval, o.gap())
	if !ok {
		return t.silence(k, now, o.gap()).of(t.pod)
	}
	total.addIncrease(newest, base, k)
	return nil
}

// silence says why there is no fresh sample, or only one of the two that it takes to tell what was counted.
func (t *target) silence(k *track, now time.Time, gap time.Duration) *Error {
	switch {
	case t.problem != nil:
		return t.problem
	case k.problem != nil:
		return k.problem
	case k.ring.len() == 0:
		return failure(ReasonTooFewSamples, "it has not been scraped yet")
	}
	if age := now.Sub(k.ring.back(0).at); age > gap {
		return failure(ReasonStale, "its newest sample is %s old", age.Round(time.Second))
	}
	return failure(ReasonTooFewSamples, "it has been scraped only once in that time, and it takes two scrapes to tell what is counted between them")
}

// mix is what pods say together.
type mix struct {
	plan

	pods   int
	time   time.Time
	window time.Duration
	// sum is that of gauges and of rates, count what was counted, and failed what of it was a failure.
	sum, count, failed float64
	// buckets are what was counted up to each bound.
	buckets map[float64]float64
}

func (m *mix) add(at time.Time, window time.Duration) {
	if m.pods == 0 || at.Before(m.time) {
		m.time = at
	}
	if m.pods == 0 || window < m.window {
		m.window = window
	}
	m.pods++
}

func (m *mix) addGauge(newest *sample) {
	m.add(newest.at, 0)
	m.sum += newest.total(0)
}

func (m *mix) addIncrease(newest, base *sample, t *track) {
	length := newest.at.Sub(base.at)
	m.add(newest.at, length)
	if t.group == byBound {
		for slot, bound := range t.bounds {
			m.buckets[bound] += newest.total(slot) - base.total(slot)
		}
		return
	}
	grown := newest.total(0) - base.total(0)
	if t.group == byFailure {
		failed := newest.total(1) - base.total(1)
		m.failed += failed
		grown += failed
	}
	m.count += grown
	m.sum += grown / length.Seconds()
}

// value returns what comes of it, or why nothing does.
func (m *mix) value(query Query) (Value, *Error) {
	v := Value{Value: m.sum, Count: m.count, Time: m.time, Window: m.window, Pods: m.pods}
	if m.pods == 0 {
		return v, nil // each has its own problem
	}
	switch m.shape {
	case asMetric:
		return v, nil
	case asRatio:
		v.Value = 1 - m.failed/m.count
	case asQuantile:
		v.Value, v.Count, v.Beyond = quantile(m.quantile, m.buckets)
	}
	switch {
	case v.Count == 0:
		v.Value, v.Beyond = 0, false
		return v, failure(ReasonNoRequests, "nothing was counted in the last %s that %s could be taken of", m.window.Round(time.Second), query)
	case math.IsNaN(v.Value):
		v.Value, v.Beyond = 0, false
		return v, failure(ReasonWrongType, "%s has no buckets: a quantile can't be taken of a native histogram alone, so give it classic buckets too", m.sample)
	}
	return v, nil
}

// quantile returns the value that a share of what was counted does not exceed, and how much was counted. Within a bucket, values are taken to
// be evenly spread; beyond the highest bound there is nothing to go by, and that bound is the result. It is NaN where there are no bounds.
func quantile(share float64, buckets map[float64]float64) (value, count float64, beyond bool) {
	type bucket struct{ bound, count float64 }
	sorted := make([]bucket, 0, len(buckets))
	for bound, n := range buckets {
		sorted = append(sorted, bucket{bound, n})
	}
	slices.SortFunc(sorted, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
	for i := range sorted {
		// Where label sets have different buckets, or a scrape falls between two updates, a higher bound may have less.
		count = max(count, sorted[i].count)
		sorted[i].count = count
	}
	rank := share * count
	lower, below := math.NaN(), 0.0
	for _, b := range sorted {
		switch {
		case math.IsInf(b.bound, 1):
			return lower, count, true
		case b.count >= rank && math.IsNaN(lower) && b.bound <= 0:
			return b.bound, count, false
		case b.count >= rank:
			if math.IsNaN(lower) {
				lower = 0
			}
			return lower + (b.bound-lower)*(rank-below)/(b.count-below), count, false
		}
		lower, below = b.bound, b.count
	}
	return lower, count, true
}
