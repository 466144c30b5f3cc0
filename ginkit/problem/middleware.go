package problem

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

// Errors answers a request with the last error that its handler left in c.Errors, where there is no answer yet. With it a handler that
// fails does no more than
//
//	c.Error(err)
//	return
func Errors() gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		if last := c.Errors.Last(); last != nil && !c.Writer.Written() {
			c.Abort()
			answer(c, From(last))
		}
	}
}

// Recover answers a panic with status 500 and logs where it came from. Where half an answer has been sent it cuts the connection: half
// an answer must not look like a whole one.
func Recover(log *slog.Logger) gin.HandlerFunc {
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
			log.LogAttrs(c.Request.Context(), slog.LevelError, "panic in a handler", slog.String("cause", fmt.Sprint(cause)),
				slog.String("route", c.FullPath()), slog.String("requestId", requestid.Get(c)), slog.String("stack", string(debug.Stack())))
			if c.Writer.Written() {
				panic(http.ErrAbortHandler)
			}
			Write(c, fmt.Errorf("panic: %v", cause))
		}()
		c.Next()
	}
}

// NoRoute answers a path that no route serves.
func NoRoute(c *gin.Context) {
	Write(c, New(http.StatusNotFound, "not_found", "no route serves this path"))
}

// NoMethod answers a method that a path does not take. It needs engine.HandleMethodNotAllowed.
func NoMethod(c *gin.Context) {
	Write(c, New(http.StatusMethodNotAllowed, "method_not_allowed", "this path does not take this method; the header Allow names those it takes"))
}
