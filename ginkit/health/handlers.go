package health

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// Livez says that the process answers. It stays well during a drain and whatever the components do: a restart would cut off what is being
// finished, and mends no database.
func Livez(c *gin.Context) {
	noStore(c)
	c.JSON(http.StatusOK, gin.H{"status": OK})
}

// Readyz says whether new traffic is welcome: status 200, or 503 with what is in the way. It asks the required components alone.
func (h *Health) Readyz(c *gin.Context) {
	if h.Draining() {
		problem.Write(c, problem.New(http.StatusServiceUnavailable, "draining", "the service is stopping"))
		return
	}
	report := h.report(c.Request.Context(), func(c *component) bool { return !c.optional })
	noStore(c)
	if report.Status == OK {
		c.JSON(http.StatusOK, gin.H{"status": "ready"})
		return
	}
	// Names alone: errors hold addresses, and this port may be open to everybody. The log and Health have them.
	var failing []string
	for name, result := range report.Components {
		if result.Status != OK {
			failing = append(failing, name)
		}
	}
	slices.Sort(failing)
	problem.Write(c, problem.New(http.StatusServiceUnavailable, "not_ready", fmt.Sprintf("not ready: %s", strings.Join(failing, ", "))))
}

// Health answers with the Report of all components: status 200 while the service is ok or degraded, and 503 while it is not ready. The
// errors in it are those of the checks, word for word: keep it where the metrics are, not where everybody is.
func (h *Health) Health(c *gin.Context) {
	report := h.Report(c.Request.Context())
	status := http.StatusOK
	if report.Status != OK && report.Status != Degraded {
		status = http.StatusServiceUnavailable
	}
	noStore(c)
	c.JSON(status, report)
}

// CloseWhenDraining asks each client that comes during a drain not to use its connection again. Closing the connections from this side
// would be simpler, and would lose the request that a client sends at that very moment.
func (h *Health) CloseWhenDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Draining() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// noStore keeps yesterday's health out of caches.
func noStore(c *gin.Context) { c.Header("Cache-Control", "no-store") }
