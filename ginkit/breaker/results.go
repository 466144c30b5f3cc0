package breaker

import (
	"fmt"
	"time"
)

// slots is how many pieces the window has. What is counted is as old as the window or up to a piece less.
const slots = 10

// results are those of calls since the circuit got into its state.
type results struct {
	window time.Duration
	began  time.Time
	ring   [slots]slot
	// inARow is how many calls have failed since one did not.
	inARow int
	last   error
	// reason is set once there are too many failures.
	reason string
}

// slot counts the results of a piece of the window, which is known by its number since results began.
type slot struct {
	number          int64
	total, failures int
}

// add counts a result for the moment when it is known, and reports whether it is a failure.
func (r *results) add(now time.Time, err error) bool {
	number := int64(now.Sub(r.began) / r.piece())
	at := &r.ring[number%slots]
	if at.number != number {
		*at = slot{number: number}
	}
	at.total++
	if err == nil {
		r.inARow = 0
		return false
	}
	at.failures++
	r.inARow++
	r.last = err
	return true
}

func (r *results) piece() time.Duration { return max(r.window/slots, 1) }

// tooMany reports whether the failures are enough to open the circuit. The last result was added just before, so the newest piece is
// that of now.
func (r *results) tooMany(o *options) bool {
	newest := int64(0)
	for _, at := range r.ring {
		newest = max(newest, at.number)
	}
	total, failures := 0, 0
	for _, at := range r.ring {
		if at.number > newest-slots {
			total += at.total
			failures += at.failures
		}
	}
	switch {
	case o.consecutive > 0 && r.inARow >= o.consecutive:
		r.reason = fmt.Sprintf("%d calls in a row failed", r.inARow)
	case o.ratio > 0 && total >= o.minimum && float64(failures) >= o.ratio*float64(total):
		r.reason = fmt.Sprintf("%d of %d calls in %s failed", failures, total, r.window)
	default:
		return false
	}
	return true
}
