package main

import (
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
)

// identity is what each answer says about where it comes from.
type identity struct {
	Version  string `json:"version"`
	Color    string `json:"color"`
	Revision string `json:"revision"`
	Pod      string `json:"pod"`
}

// middleware puts the identity into the headers of every answer. The values are made once, and shared by all answers.
func (id identity) middleware() gin.HandlerFunc {
	version, color, revision, pod := []string{id.Version}, []string{id.Color}, []string{id.Revision}, []string{id.Pod}
	return func(c *gin.Context) {
		header := c.Writer.Header()
		header["X-App-Version"] = version
		header["X-App-Color"] = color
		header["X-App-Revision"] = revision
		header["X-App-Pod"] = pod
	}
}

const (
	requestIDHeader = "X-Request-Id"
	requestIDKey    = "requestId"
	maxRequestID    = 128
)

// withRequestID keeps the id that a request brings, or gives it one, and returns it in the answer.
func withRequestID(c *gin.Context) {
	id := c.Request.Header.Get(requestIDHeader)
	if !validRequestID(id) {
		id = cryptorand.Text()
	}
	c.Set(requestIDKey, id)
	c.Writer.Header()[requestIDHeader] = []string{id}
}

// requestID returns the id that withRequestID chose.
func requestID(c *gin.Context) string { return c.GetString(requestIDKey) }

// validRequestID keeps out of logs and answers what is too long for an id, or is none.
func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		b := id[i]
		if (b < '0' || b > '9') && (b < 'a' || b > 'z') && (b < 'A' || b > 'Z') && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

// failure is the body of every answer that is an error.
type failure struct {
	Code      string    `json:"code"`
	Message   string    `json:"message"`
	Timestamp time.Time `json:"timestamp"`
	RequestID string    `json:"requestId,omitempty"`
}

// fail answers with an error and ends the handling of the request. The code is the name of the status, such as "bad_request".
func fail(c *gin.Context, status int, code, message string) {
	c.AbortWithStatusJSON(status, failure{Code: code, Message: message, Timestamp: time.Now().UTC(), RequestID: requestID(c)})
}

// recovery answers a panic with status 500 and logs where it came from.
func recovery(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				// The handler asks for the connection to be cut, which is for the server to do.
				panic(cause)
			}
			log.Error("panic in a handler", "cause", fmt.Sprint(cause), "route", routeName(c.FullPath()), "requestId", requestID(c),
				"stack", string(debug.Stack()))
			if c.Writer.Written() {
				// Half an answer must not look like a whole one.
				panic(http.ErrAbortHandler)
			}
			fail(c, http.StatusInternalServerError, "internal_error", "the request could not be answered; its id is in the log")
		}()
		c.Next()
	}
}

// middleware makes requests slow or fail, as the settings ask.
func (f faults) middleware(c *gin.Context) {
	if f.latency > 0 && !sleep(c, f.latency) {
		return
	}
	if f.errorRate > 0 && rand.Float64() < f.errorRate { //nolint:gosec // chance, not a secret
		fail(c, http.StatusInternalServerError, "injected_error", "this answer fails, as ERROR_RATE asks")
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
		c.Abort()
		return false
	}
}

// fixedJSON answers with a document that never changes, encoded once.
func fixedJSON(document any) gin.HandlerFunc {
	body, err := json.Marshal(document)
	if err != nil {
		// The documents are literals of this package: this can't depend on input.
		panic(err)
	}
	return func(c *gin.Context) { c.Data(http.StatusOK, gin.MIMEJSON+"; charset=utf-8", body) }
}
