package logs

import (
	"testing"
	"time"
)

func TestAFloodOfProblemsDoesNotDrownTheLog(t *testing.T) {
	var l limiter
	take := func(n int, at time.Duration) (lines, suppressed int) {
		for range n {
			if ok, left := l.take(at); ok {
				lines++
				suppressed += left
			}
		}
		return lines, suppressed
	}
	if lines, suppressed := take(5*perSecond, 0); lines != perSecond || suppressed != 0 {
		t.Errorf("the first second has %d lines and %d suppressed, want %d and 0", lines, suppressed, perSecond)
	}
	if lines, suppressed := take(1, time.Second); lines != 1 || suppressed != 4*perSecond {
		t.Errorf("the next second says %d lines, %d suppressed; want 1, %d", lines, suppressed, 4*perSecond)
	}
	if lines, suppressed := take(1, time.Second); lines != 1 || suppressed != 0 {
		t.Errorf("then %d lines, %d suppressed; want 1, 0: they have been told", lines, suppressed)
	}
}

// Requests don't end in the order of their times: going to and fro between two seconds must not open the gate.
func TestTheLimitHoldsAcrossTheEdgeOfASecond(t *testing.T) {
	var l limiter
	lines := 0
	for i := range 10 * perSecond {
		if ok, _ := l.take(time.Second - time.Millisecond + time.Duration(i%2)*2*time.Millisecond); ok {
			lines++
		}
	}
	if lines > 2*perSecond {
		t.Errorf("%d lines in two seconds, want %d at most", lines, 2*perSecond)
	}
}
