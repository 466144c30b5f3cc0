package logs

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/metrics"
	"github.com/gin-operator/gin-operator/ginkit/problem"
	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

// Mode says which requests are logged.
type Mode string

const (
	// Problems are requests that failed with a status of 500 or above, or were slow: what somebody should look at.
	Problems Mode = "problems"
	// All logs each request.
	All Mode = "all"
	// None logs no request.
	None Mode = "none"
)

// UnmarshalText reads the name of a mode.
func (m *Mode) UnmarshalText(text []byte) error {
	switch mode := Mode(text); mode {
	case Problems, All, None:
		*m = mode
		return nil
	}
	return fmt.Errorf("must be %s, %s or %s", Problems, All, None)
}

// perSecond is how many problems are logged in one second at most. The next line says how many were left out: a service that fails must
// not also drown in what it says about it.
const perSecond = 100

// Requests returns a middleware that writes a line for each request that the mode asks for: at level ERROR for a status of 500 or above,
// at WARN for a request that took longer than slow, otherwise at INFO. 0 takes no request for slow, and no mode is Problems. It comes
// before what answers errors and panics, so that it sees their status; a panic that cuts the connection has a line of its own.
func Requests(log *slog.Logger, mode Mode, slow time.Duration) gin.HandlerFunc {
	if mode == None {
		return func(*gin.Context) {}
	}
	requests := &requests{log: log, mode: mode, slow: slow, began: time.Now()}
	return requests.middleware
}

type requests struct {
	log      *slog.Logger
	mode     Mode
	slow     time.Duration
	began    time.Time
	problems limiter
}

func (l *requests) middleware(c *gin.Context) {
	// Not time.Now, which reads a second clock.
	start := time.Since(l.began)
	c.Next()
	now := time.Since(l.began)
	latency := now - start
	status := c.Writer.Status()
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	case l.slow > 0 && latency > l.slow:
		level = slog.LevelWarn
	}
	// What the level leaves out must not use up what is allowed.
	if !l.log.Enabled(c.Request.Context(), level) {
		return
	}
	suppressed := 0
	if l.mode != All {
		if level == slog.LevelInfo {
			return
		}
		var allowed bool
		if allowed, suppressed = l.problems.take(now); !allowed {
			return
		}
	}
	attrs := []slog.Attr{
		slog.String("method", metrics.MethodName(c.Request.Method)),
		slog.String("route", metrics.RouteName(c.FullPath())),
		slog.Int("status", status),
		slog.Float64("latencyMs", float64(latency.Microseconds())/1000),
		slog.String("requestId", requestid.Get(c)),
	}
	if last := c.Errors.Last(); last != nil {
		attrs = append(attrs, failure(last, status)...)
	}
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", suppressed))
	}
	l.log.LogAttrs(c.Request.Context(), level, "request", attrs...)
}

// failure is what a line says of an error.
func failure(err error, status int) []slog.Attr {
	var attrs []slog.Attr
	if known := (*problem.Error)(nil); errors.As(err, &known) && known != nil && known.Code != "" {
		attrs = append(attrs, slog.String("code", known.Code))
	}
	if status >= http.StatusInternalServerError {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	return attrs
}

// limiter allows perSecond in each second.
type limiter struct {
	mu         sync.Mutex
	second     int64
	taken      int
	suppressed int
}

// take reports whether one more is allowed at a time, counted from any beginning, and then how many were not since the last one that was.
// Requests come here a little out of order, and one that is late counts in the second that it finds.
func (l *limiter) take(now time.Duration) (allowed bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := int64(now / time.Second); second > l.second {
		l.second, l.taken = second, 0
	}
	if l.taken >= perSecond {
		l.suppressed++
		return false, 0
	}
	l.taken++
	suppressed, l.suppressed = l.suppressed, 0
	return true, suppressed
}
