package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
)

// newRouter returns the service's routes. Probes and metrics are not counted as traffic: they would make an idle service look busy
// and a failing one look well.
func newRouter(cfg config, log *slog.Logger, m *metrics, h *health) *gin.Engine {
	id := identity{Version: cfg.version, Color: cfg.color, Revision: cfg.revision, Pod: cfg.pod}
	requests := &requestLog{log: log, mode: cfg.logRequests, slow: cfg.slowRequest}

	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.Use(id.middleware(), withRequestID)
	engine.GET("/livez", livez)
	engine.GET("/readyz", h.readyz)
	if cfg.metricsPort == cfg.port {
		engine.GET("/metrics", gin.WrapH(m.handler()))
	}

	observed := []gin.HandlerFunc{m.middleware, requests.middleware, recovery(log)}
	traffic := engine.Group("/", observed...)
	traffic.Use(cfg.faults.middleware)
	addTraffic(traffic, id)
	engine.NoRoute(append(observed, notFound)...)
	engine.NoMethod(append(observed, methodNotAllowed)...)
	m.addRoutes(engine.Routes())
	return engine
}

// addTraffic adds the routes that clients call.
func addTraffic(root *gin.RouterGroup, id identity) {
	root.GET("/", fixedJSON(id))
	v1 := root.Group("/api/v1")
	v1.GET("/ping", fixedJSON(struct {
		Message string `json:"message"`
		identity
	}{"pong", id}))
	v1.GET("/version", fixedJSON(struct {
		identity
		GoVersion string `json:"goVersion"`
	}{id, runtime.Version()}))

	load := v1.Group("/load")
	load.GET("/cpu", loadCPU)
	load.GET("/sleep", loadSleep)
	load.GET("/error", loadError)
}

func notFound(c *gin.Context) {
	fail(c, http.StatusNotFound, "not_found", "no route serves this path")
}

func methodNotAllowed(c *gin.Context) {
	fail(c, http.StatusMethodNotAllowed, "method_not_allowed", "this path does not take this method; the header Allow names those it takes")
}

// loadCPU keeps one CPU busy for ms milliseconds, from 1 to 1000, default 20.
func loadCPU(c *gin.Context) {
	ms, ok := queryInt(c, "ms", 20, 1, 1000)
	if !ok {
		return
	}
	for end := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(end); {
		if c.Request.Context().Err() != nil {
			return
		}
		burn()
	}
	c.JSON(http.StatusOK, gin.H{"busyMs": ms})
}

// burn computes for some microseconds.
func burn() {
	x := uint64(1)
	for range 10_000 {
		x = x*6364136223846793005 + 1442695040888963407
	}
	runtime.KeepAlive(x)
}

// loadSleep answers after ms milliseconds, from 0 to 30000, default 100.
func loadSleep(c *gin.Context) {
	ms, ok := queryInt(c, "ms", 100, 0, 30_000)
	if ok && sleep(c, time.Duration(ms)*time.Millisecond) {
		c.JSON(http.StatusOK, gin.H{"sleptMs": ms})
	}
}

// loadError answers a share of the requests, rate from 0 to 1, default 1, with a status code from 400 to 599, default 500.
func loadError(c *gin.Context) {
	code, ok := queryInt(c, "code", http.StatusInternalServerError, 400, 599)
	if !ok {
		return
	}
	rate := 1.0
	if text, given := c.GetQuery("rate"); given {
		if rate, ok = parseFraction(text); !ok {
			badParameter(c, "rate", text, "a number from 0 to 1")
			return
		}
	}
	if rand.Float64() < rate { //nolint:gosec // chance, not a secret
		fail(c, code, "requested_error", "this answer fails, as the request asks")
		return
	}
	c.JSON(http.StatusOK, gin.H{"failed": false})
}

// queryInt reads a parameter of the query. Where it is wrong the request is answered with status 400, and the second result is false.
func queryInt(c *gin.Context, name string, fallback, least, most int) (int, bool) {
	text, given := c.GetQuery(name)
	if !given {
		return fallback, true
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		badParameter(c, name, text, fmt.Sprintf("a whole number from %d to %d", least, most))
		return 0, false
	}
	return n, true
}

func badParameter(c *gin.Context, name, text, wants string) {
	const longest = 64
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	fail(c, http.StatusBadRequest, "bad_request", fmt.Sprintf("parameter %s: %q is not %s", name, text, wants))
}
