package limits

import (
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// Body lets bodies of at most maxBytes in. A request that says in Content-Length that it has more is answered with 413 "body_too_large"
// at once. From one that does not say, a handler can read maxBytes and then gets an *http.MaxBytesError, of which problem.From and
// problem.Invalid make the same answer. Either way the connection is closed, so that the rest is never read.
//
// It counts bytes as they are sent: where another middleware unpacks compressed bodies, what comes out needs a limit of its own.
//
// maxBytes must be at least 1.
func Body(maxBytes int64) (gin.HandlerFunc, error) {
	if maxBytes < 1 {
		return nil, fmt.Errorf("limits: bodies of at most %d bytes: must be at least 1", maxBytes)
	}
	return func(c *gin.Context) {
		switch {
		case c.Request.ContentLength > maxBytes:
			// Without it the server reads up to 256 KiB of the body first, to use the connection again.
			c.Header("Connection", "close")
			problem.Write(c, &http.MaxBytesError{Limit: maxBytes})
		case c.Request.Body != nil && c.Request.Body != http.NoBody:
			c.Request.Body = http.MaxBytesReader(server(c.Writer), c.Request.Body, maxBytes)
		}
	}, nil
}

// server returns the ResponseWriter of net/http that is inside those of Gin and of middlewares. Only to that one can MaxBytesReader say
// that the connection is to be closed.
func server(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}
