package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// loadCPU keeps one CPU busy for ms milliseconds, from 1 to 1000, default 20.
func loadCPU(c *gin.Context) {
	ms, ok := queryInt(c, "ms", 20, 1, 1000)
	if !ok {
		return
	}
	for end := time.Now().Add(time.Duration(ms) * time.Millisecond); time.Now().Before(end); {
		if err := c.Request.Context().Err(); err != nil {
			problem.Write(c, err)
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
		problem.Write(c, problem.New(code, "requested_error", "this answer fails, as the request asks"))
		return
	}
	c.JSON(http.StatusOK, gin.H{"failed": false})
}

func parseFraction(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	// NaN is neither above nor below anything, so only the positive form keeps it out.
	return f, err == nil && f >= 0 && f <= 1
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
	problem.Write(c, problem.New(http.StatusBadRequest, "bad_request", fmt.Sprintf("parameter %s: %q is not %s", name, text, wants)))
}
