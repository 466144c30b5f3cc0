package podmetrics

import "time"

// sample is what had been counted at one time, or what a gauge was.
type sample struct {
	at time.Time
	// totals are by slot. A slot that turned up later is missing at the end, and was zero.
	totals []float64
}

func (s *sample) total(slot int) float64 {
	if slot < len(s.totals) {
		return s.totals[slot]
	}
	return 0
}

// ring holds the newest samples.
type ring struct {
	samples []sample
	next    int
	size    int
}

func (r *ring) len() int { return len(r.samples) }

// back returns a sample, counted back from the newest, which is 0.
func (r *ring) back(i int) *sample {
	n := len(r.samples)
	return &r.samples[(r.next+n-1-i)%n]
}

// fit makes it one of another size, with the newest samples that fit.
func (r *ring) fit(size int) {
	newest := make([]sample, 0, min(size, r.len()))
	for i := cap(newest) - 1; i >= 0; i-- {
		newest = append(newest, *r.back(i))
	}
	r.samples, r.next, r.size = newest, len(newest)%size, size
}

// push adds a sample, which takes the place of the oldest once there are as many as fit.
func (r *ring) push(at time.Time, totals []float64, size int) {
	if r.size != size {
		r.fit(size)
	}
	if len(r.samples) < size {
		r.samples = append(r.samples, sample{at: at, totals: append(make([]float64, 0, len(totals)), totals...)})
		r.next = len(r.samples) % size
		return
	}
	oldest := &r.samples[r.next]
	oldest.at, oldest.totals = at, append(oldest.totals[:0], totals...)
	r.next = (r.next + 1) % size
}

// window returns the newest sample and the one that a window before it begins with, or false where there is no such sample. A sample counts as
// old enough from half an interval before the window's beginning, because scrapes are not to the millisecond; one that is older than a gap
// that samples go stale in says nothing of the window, and is passed over for the next. So is one less than half an interval before the
// newest, as where a scrape had to wait for its turn: there may be no request by chance in so short a time, or one that makes a high rate.
func (r *ring) window(length, interval, gap time.Duration) (newest, base *sample, ok bool) {
	if r.len() < 2 {
		return nil, nil, false
	}
	newest = r.back(0)
	for i := 1; i < r.len(); i++ {
		s := r.back(i)
		age := newest.at.Sub(s.at)
		if age > length+gap {
			break
		}
		if age < interval/2 {
			continue
		}
		base = s
		if age >= length-interval/2 {
			break
		}
	}
	return newest, base, base != nil
}
