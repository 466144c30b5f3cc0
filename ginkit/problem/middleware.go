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
//
// Gin's own way to fail sends a bare status: c.BindJSON and its like do, and c.AbortWithError, c.AbortWithStatus and many middlewares.
// Under Errors such an answer waits until the handlers are done, and gets the document as well; the status stays theirs unless an
// Error says another. An answer with a status from 400 that has no body for another reason gets it too.
func Errors() gin.HandlerFunc {
	return func(c *gin.Context) {
		sent := c.Writer
		c.Writer = patient{sent}
		c.Next()
		// A middleware that changes bodies on their way is done by now, and may have left its writer behind.
		c.Writer = sent
		if sent.Written() {
			return
		}
		status := sent.Status()
		if last := c.Errors.Last(); last != nil {
			c.Abort()
			answer(c, fromHandler(c, last, status))
		} else if status >= http.StatusBadRequest {
			c.Abort()
			answer(c, New(status, "", title(status)))
		}
	}
}

// fromHandler is From for an error with which a handler may also have set a status.
func fromHandler(c *gin.Context, err error, status int) *Error {
	e := fromRequest(c, err)
	if known := (*Error)(nil); e.Status != http.StatusInternalServerError || status < http.StatusBadRequest || errors.As(err, &known) {
		return e
	}
	return New(status, "", title(status)).WithCause(err)
}

// patient holds back a bare status that says that the request failed, for as long as its answer may still get a body. Gin sends it when
// all handlers are done. A body, a flush and a hijack pass at once.
type patient struct{ gin.ResponseWriter }

// WriteHeaderNow sends the status if the request has not failed.
func (w patient) WriteHeaderNow() {
	if w.Status() < http.StatusBadRequest {
		w.ResponseWriter.WriteHeaderNow()
	}
}

// Unwrap is for http.ResponseController.
func (w patient) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Recover answers a panic with status 500 and logs where it came from. Where half an answer has been sent it cuts the connection: half
// an answer must not look like a whole one.
func Recover(log *slog.Logger) gin.HandlerFunc {
	if log == nil {
		log = slog.Default()
	}
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
