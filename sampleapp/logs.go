package main

import (
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// newLogger writes JSON lines with the keys timestamp, level and message first.
func newLogger(to io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(to, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return attr
			}
			switch attr.Key {
			case slog.TimeKey:
				attr.Key = "timestamp"
			case slog.MessageKey:
				attr.Key = "message"
			}
			return attr
		},
	}))
}

// problemsPerSecond is how many failed or slow requests are logged in one second at most. The next line says how many were left out.
const problemsPerSecond = 100

// requestLog writes a line for each request that is worth one.
type requestLog struct {
	log      *slog.Logger
	mode     requestLogging
	slow     time.Duration
	problems limiter
}

func (l *requestLog) middleware(c *gin.Context) {
	start := time.Now()
	c.Next()
	latency := time.Since(start)
	status := c.Writer.Status()
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	case latency > l.slow:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("method", methodName(c.Request.Method)),
		slog.String("route", routeName(c.FullPath())),
		slog.Int("status", status),
		slog.Float64("latencyMs", float64(latency.Microseconds())/1000),
		slog.String("requestId", requestID(c)),
	}
	switch {
	case l.mode == logNone, l.mode == logProblems && level == slog.LevelInfo:
		return
	case l.mode == logProblems:
		allowed, suppressed := l.problems.take(start)
		if !allowed {
			return
		}
		if suppressed > 0 {
			attrs = append(attrs, slog.Int("suppressed", suppressed))
		}
	}
	l.log.LogAttrs(c.Request.Context(), level, "request", attrs...)
}

// limiter allows problemsPerSecond in each second.
type limiter struct {
	mu         sync.Mutex
	second     int64
	taken      int
	suppressed int
}

// take reports whether one more is allowed, and then how many were not since the last one that was.
func (l *limiter) take(now time.Time) (allowed bool, suppressed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := now.Unix(); second != l.second {
		l.second, l.taken = second, 0
	}
	if l.taken >= problemsPerSecond {
		l.suppressed++
		return false, 0
	}
	l.taken++
	suppressed, l.suppressed = l.suppressed, 0
	return true, suppressed
}
