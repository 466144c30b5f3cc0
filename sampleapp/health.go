package main

import (
	"net/http"
	"sync/atomic"

	"github.com/gin-gonic/gin"
)

// health answers the probes, and knows whether the service is on its way out.
type health struct {
	failReady bool
	draining  atomic.Bool
}

// livez says that the process answers. It stays well during a drain: a restart would cut off what is being finished.
func livez(c *gin.Context) {
	c.JSON(http.StatusOK, gin.H{"status": "ok"})
}

// readyz says whether new traffic is welcome.
func (h *health) readyz(c *gin.Context) {
	switch {
	case h.draining.Load():
		fail(c, http.StatusServiceUnavailable, "draining", "the service is stopping")
	case h.failReady:
		fail(c, http.StatusServiceUnavailable, "not_ready", "not ready, as FAIL_READY asks")
	default:
		c.JSON(http.StatusOK, gin.H{"status": "ready"})
	}
}

// closeWhenDraining asks each client that comes during a drain not to use its connection again. Closing the connections from this
// side would be simpler, and would lose the request that a client sends at that very moment.
func (h *health) closeWhenDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
