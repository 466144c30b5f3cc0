package main

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// middleware makes requests slow or fail, as the settings ask.
func (f faults) middleware(c *gin.Context) {
	if f.Latency > 0 && !sleep(c, f.Latency) {
		return
	}
	if f.ErrorRate > 0 && rand.Float64() < f.ErrorRate { //nolint:gosec // chance, not a secret
		problem.Write(c, problem.New(http.StatusInternalServerError, "injected_error", "this answer fails, as ERROR_RATE asks"))
	}
}

// sleep waits, and reports whether the client was still there at the end.
func sleep(c *gin.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.Request.Context().Done():
		problem.Write(c, c.Request.Context().Err())
		return false
	}
}
