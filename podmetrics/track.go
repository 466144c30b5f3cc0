package podmetrics

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// forgetAfter is for how many answers a series that is gone is remembered where there is no room for another.
	forgetAfter = 12
	// maxBounds is how many different buckets the histograms of a metric may have in all.
	maxBounds = 128
	// searchEvery is how long names that come or go may take to show in what a missing one may have meant.
	searchEvery = time.Minute
	// maxValue is the largest value that counts: sums of any number of them are finite.
	maxValue = 1e100
)

// series is one set of labels of a metric. A thousand pods have hundreds of thousands of them: so it is packed.
type series struct {
	// key is the hash of the labels.
	key uint64
	// last is the value of the newest scrape that counted, if known, and next that of the one that is under way, if it was seen in it.
	last, next float64
	seen       uint32
	slot       uint16
	// missed is in how many answers in a row it was not there, counted up to a little more than matters.
	missed uint8
	known  bool
}

// room is how many series there may be.
type room struct {
	// perTrack bounds those of one track.
	perTrack int
	// left is how many more all tracks of a scraper may have.
	left atomic.Int64
}

func newRoom(perTrack, total int) *room {
	r := &room{perTrack: perTrack}
	r.left.Store(int64(total))
	return r
}

// take takes a place, and reports whether there was one.
func (r *room) take() bool {
	if r.left.Add(-1) >= 0 {
		return true
	}
	r.left.Add(1)
	return false
}

// track follows what one source says of one pod. What is not under the heading is for the goroutine that scrapes alone.
type track struct {
	source

	// series are sorted by their keys: a map would take twice the memory.
	series []series
	room   *room
	// newBounds are those of the slots, where these are buckets, in the order that they turned up.
	newBounds []float64

	// The scrape that is under way: its number, whether there was any line, how many counted, what they are, and what is wrong.
	scrape  uint32
	present bool
	matched int
	found   kind
	bad     *Error

	// For readers too, under the lock of the target.
	kind   kind
	bounds []float64 // newBounds, up to the newest sample
	totals []float64
	ring   ring
	// problem is why the newest scrape gave no sample.
	problem *Error
	// namesSeen is how much there was to choose from when a name was last searched for that people may have meant, and searched is when.
	namesSeen int
	searched  time.Time
}

func newTrack(s source, r *room) *track {
	t := &track{source: s, room: r}
	switch s.group {
	case byNothing:
		t.totals = make([]float64, 1)
	case byFailure:
		t.totals = make([]float64, 2)
	case byBound:
	}
	return t
}

// begin forgets the scrape before.
func (t *track) begin() {
	t.scrape++
	t.present, t.matched, t.found, t.bad = false, 0, kindUnknown, nil
}

// take takes the value of a line.
func (t *track) take(k kind, key uint64, labels labelSet, value float64) {
	t.present = true
	at, found := slices.BinarySearchFunc(t.series, key, func(s series, key uint64) int { return cmp.Compare(s.key, key) })
	if t.bad == nil {
		t.bad = t.checkKind(k)
	}
	if t.bad != nil {
		if found {
			t.series[at].seen = t.scrape // it has not gone
		}
		return
	}
	if !found && (!t.selector.Matches(labels) || !t.add(at, key, labels)) {
		return
	}
	s := &t.series[at]
	switch {
	case s.seen == t.scrape:
		t.bad = failure(ReasonBadValue, "%s has the same labels twice in one answer", t.sample)
	case math.IsNaN(value) || math.IsInf(value, 0):
		t.bad = failure(ReasonBadValue, "%s is %v, which nothing can be worked out of: take that series out with a selector, or mend it", t.sample, value)
	case math.Abs(value) > maxValue:
		t.bad = failure(ReasonBadValue, "%s is %v, which is more than can be reckoned with", t.sample, value)
	case k != kindGauge && value < 0:
		t.bad = failure(ReasonBadValue, "%s is a counter and yet negative (%v)", t.sample, value)
	}
	s.next, s.seen, t.found = value, t.scrape, k
	t.matched++
}

// checkKind returns what is wrong with a kind of values, if anything is.
func (t *track) checkKind(k kind) *Error {
	switch {
	case t.group == byBound && k != kindBucket:
		return failure(ReasonWrongType, "%s are no buckets of a histogram", t.sample)
	case t.group != byBound && (k == kindBucket || k == kindOther):
		return failure(ReasonWrongType, "%s is neither a counter nor a gauge: of a histogram or a summary, ask for the name with _count", t.sample)
	case t.group == byFailure && k != kindCounter:
		return failure(ReasonWrongType, "%s is no counter", t.sample)
	case t.found != kindUnknown && k != t.found, t.kind != kindUnknown && k != t.kind:
		return failure(ReasonWrongType, "%s is a counter in one place and a gauge in another", t.sample)
	}
	return nil
}

// add makes room for a series at its place, or notes what is wrong.
func (t *track) add(at int, key uint64, labels labelSet) bool {
	if len(t.series) >= t.room.perTrack {
		t.bad = failure(ReasonTooManySeries, "%s has more than %d series: narrow it down with a selector, or give it fewer labels", t.sample, t.room.perTrack)
		return false
	}
	slot := 0
	switch t.group {
	case byNothing:
	case byFailure:
		if strings.HasPrefix(labels.Get(statusLabel), "5") {
			slot = 1
		}
	case byBound:
		if slot = t.boundSlot(labels); slot < 0 {
			return false
		}
	}
	if !t.room.take() {
		t.bad = failure(ReasonTooManySeries, "there is no room for all series of %s beside those of all other pods: narrow it down with a selector, "+
			"or give it fewer labels", t.sample)
		return false
	}
	t.series = slices.Insert(t.series, at, series{key: key, slot: uint16(slot)})
	return true
}

// boundSlot returns the slot of a bucket, or a negative number where there is something wrong with it.
func (t *track) boundSlot(labels labelSet) int {
	text := labels.Get(boundLabel)
	bound, ok := parseNumber([]byte(text))
	if !ok || math.IsNaN(bound) {
		t.bad = failure(ReasonBadValue, "%s has a bucket with the bound %.60q, which is no number", t.sample, text)
		return -1
	}
	slot := slices.Index(t.newBounds, bound)
	if slot >= 0 {
		return slot
	}
	if len(t.newBounds) >= maxBounds {
		t.bad = failure(ReasonTooManySeries, "%s has more than %d different buckets", t.sample, maxBounds)
		return -1
	}
	t.newBounds = append(t.newBounds, bound)
	return len(t.newBounds) - 1
}

// forget makes room, if there is none, where series have been gone for long. Only after an answer that was read to its end is it known which
// have: one that is dropped too soon would come back as a new one, and all that it ever counted as just counted.
func (t *track) forget() {
	full := len(t.series) >= t.room.perTrack || t.room.left.Load() <= 0
	for i := range t.series {
		if s := &t.series[i]; s.seen == t.scrape {
			s.missed = 0
		} else if s.missed <= forgetAfter {
			s.missed++
		}
	}
	if full {
		before := len(t.series)
		t.series = slices.DeleteFunc(t.series, func(s series) bool { return s.missed > forgetAfter })
		t.room.left.Add(int64(before - len(t.series)))
	}
	// A slice grows by more than it takes, and next time there will hardly be others.
	if len(t.series) < cap(t.series)*3/4 {
		t.series = append(make([]series, 0, len(t.series)), t.series...)
	}
}

// end forgets all series, and gives their places back.
func (t *track) end() {
	t.room.left.Add(int64(len(t.series)))
	t.series = nil
}

// commit counts the scrape that was under way. The lock of the target is held. Restarted says that the process is another one than in the
// scrape before; witnessed that no series means that nothing was counted; names are those that the pod has.
func (t *track) commit(at time.Time, size int, restarted, witnessed bool, names []byte) {
	if restarted {
		for i := range t.series {
			t.series[i].last = 0
		}
	}
	t.forget()
	t.problem = t.judge(at, witnessed, names)
	if t.problem != nil {
		if t.problem.Reason == ReasonTooManySeries && t.ring.len() == 0 {
			t.end() // which counted nothing yet, and others may have room for theirs
		}
		return
	}
	if t.matched > 0 {
		t.kind = t.found
	}
	t.bounds = t.newBounds
	for len(t.totals) < len(t.bounds) {
		t.totals = append(t.totals, 0)
	}
	if t.kind == kindGauge {
		clear(t.totals)
	}
	first := t.ring.len() == 0
	for i := range t.series {
		s := &t.series[i]
		if s.seen != t.scrape {
			continue
		}
		switch {
		case t.kind == kindGauge:
			t.totals[s.slot] += s.next
		case first:
		case s.known && s.next >= s.last:
			t.totals[s.slot] += s.next - s.last
		default:
			t.totals[s.slot] += s.next
		}
		s.last, s.known = s.next, true
	}
	t.ring.push(at, t.totals, size)
}

// judge returns why the scrape that was under way gives no sample, if it doesn't.
func (t *track) judge(at time.Time, witnessed bool, names []byte) *Error {
	switch {
	case t.bad != nil:
		return t.bad
	case t.matched > 0, witnessed:
		return nil
	case t.present:
		return failure(ReasonNoSeries, "no series of %s has the labels %s", t.sample, t.selector)
	}
	// The search for what was meant takes longer than the scrape. The answer is the same each time, unless a pod has other names each time.
	if t.problem != nil && t.problem.Reason == ReasonNoMetric && (t.namesSeen == len(names) || at.Sub(t.searched) < searchEvery) {
		return t.problem
	}
	t.namesSeen, t.searched = len(names), at
	likely := nearest(t.sample, string(names))
	if len(likely) == 0 {
		return failure(ReasonNoMetric, "it exposes no metric at all, and so no %s", t.sample)
	}
	return failure(ReasonNoMetric, "it exposes no metric named %s; it has: %s", t.sample, strings.Join(likely, ", "))
}
