package limits

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// overloadedRetryAfter is when a request that was refused may come again. How long the others take is not known, so it is merely long
// enough for clients not to come back at once.
const overloadedRetryAfter = time.Second

// ConcurrencyOption changes what Concurrency does with a request too many.
type ConcurrencyOption func(*gate)

// WithQueue lets up to length requests wait, each for at most longest, before they are refused. The default is 0: none waits. A queue
// is for short bursts; one that is always full makes every answer later, and none more likely.
func WithQueue(length int, longest time.Duration) ConcurrencyOption {
	return func(g *gate) { g.length, g.longest = int64(length), longest }
}

// Concurrency lets at most n requests in at once and answers the others with 503 "overloaded" and Retry-After, 1 second. A request is
// inside until its handlers return, which for a stream is as long as the stream. One whose client goes away while it waits is answered
// as a client that is gone.
//
// n must be at least 1. A queue must have a length of at least 0, and a time to wait if the length is more than that.
func Concurrency(n int, opts ...ConcurrencyOption) (gin.HandlerFunc, error) {
	if n < 1 {
		return nil, fmt.Errorf("limits: %d requests at once: must be at least 1", n)
	}
	g := &gate{inside: make(chan struct{}, n)}
	for _, opt := range opts {
		opt(g)
	}
	if g.length < 0 || g.length > 0 && g.longest <= 0 {
		return nil, fmt.Errorf("limits: a queue of %d requests that wait for %s: must be at least 0, and a time above 0", g.length, g.longest)
	}
	return g.handle, nil
}

// gate holds a place for each request that is inside.
type gate struct {
	inside chan struct{}
	// length is how many requests may wait, and waiting how many do.
	length  int64
	waiting atomic.Int64
	longest time.Duration
}

func (g *gate) handle(c *gin.Context) {
	select {
	case g.inside <- struct{}{}:
	default:
		if !g.wait(c) {
			return
		}
	}
	// A panic leaves as well.
	defer func() { <-g.inside }()
	c.Next()
}

// wait reports whether the request got a place. If not, it has been answered. Places go to those who wait in the order they came: a
// channel that is full hands what becomes free to its first sender.
func (g *gate) wait(c *gin.Context) bool {
	if g.waiting.Add(1) > g.length {
		g.waiting.Add(-1)
		refuse(c)
		return false
	}
	defer g.waiting.Add(-1)
	timer := time.NewTimer(g.longest)
	defer timer.Stop()
	select {
	case g.inside <- struct{}{}:
		return true
	case <-timer.C:
		refuse(c)
	case <-c.Request.Context().Done():
		problem.Write(c, c.Request.Context().Err())
	}
	return false
}

func refuse(c *gin.Context) {
	problem.Write(c, problem.New(http.StatusServiceUnavailable, "overloaded", "the service has as much to do as it can").
		WithRetryAfter(overloadedRetryAfter))
}
