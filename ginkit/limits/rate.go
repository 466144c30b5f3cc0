package limits

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// longestRetryAfter bounds what a client is told, so that a rate of one in a million years is a number of seconds, too.
const longestRetryAfter = 24 * time.Hour

// Rate lets perSecond requests in each second in, for the whole process, and burst of them at once after a pause. The others are
// answered with 429 "rate_limited"; Retry-After says when the next one would be let in, in whole seconds and at most a day, which only
// the first of those who wait will find true. None is queued.
//
// perSecond must be above 0, and may be a fraction: 0.5 is a request every two seconds. burst must be at least 1.
func Rate(perSecond float64, burst int) (gin.HandlerFunc, error) {
	if err := validRate(perSecond, burst); err != nil {
		return nil, err
	}
	l := &limiter{now: time.Now, tokens: rate.NewLimiter(rate.Limit(perSecond), burst)}
	return func(c *gin.Context) {
		if allowed, after := l.take(); !allowed {
			tooMany(c, after)
		}
	}, nil
}

// limiter is a rate.Limiter that keeps its limit under contention.
type limiter struct {
	now    func() time.Time
	mu     sync.Mutex
	tokens *rate.Limiter
}

func (l *limiter) take() (allowed bool, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return take(l.tokens, l.now())
}

func validRate(perSecond float64, burst int) error {
	// The comparison is false for what is not a number.
	if !(perSecond > 0) || math.IsInf(perSecond, 1) {
		return fmt.Errorf("limits: %v requests per second: must be a number above 0", perSecond)
	}
	if burst < 1 {
		return fmt.Errorf("limits: a burst of %d requests: must be at least 1", burst)
	}
	return nil
}

// take takes one token, or says after how long there will be one. The caller holds a lock, under which it read the time: a rate.Limiter
// that is given a time before the last one goes back to it and hands out the time since then twice, which under contention leaves no
// limit at all (https://go.dev/issue/65508).
func take(tokens *rate.Limiter, now time.Time) (allowed bool, after time.Duration) {
	if tokens.AllowN(now, 1) {
		return true, 0
	}
	// To reserve a token and give it back would say the same, and make others wait meanwhile.
	seconds := (1 - tokens.TokensAt(now)) / float64(tokens.Limit())
	if seconds >= longestRetryAfter.Seconds() {
		return false, longestRetryAfter
	}
	// 0 would leave the header out.
	return false, max(time.Duration(seconds*float64(time.Second)), 1)
}

func tooMany(c *gin.Context, after time.Duration) {
	problem.Write(c, problem.New(http.StatusTooManyRequests, "rate_limited", "there are too many requests").WithRetryAfter(after))
}
