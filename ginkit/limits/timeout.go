package limits

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// Timeout gives the request's context a deadline, d from when the middleware is reached. A handler passes c.Request.Context() to what
// it calls, gets an error when the time is up, and leaves it in c.Errors or just returns: if by then nothing has been answered, the
// answer is 504 "timeout". An answer that the handler did give stays, be it late; so does a *problem.Error that it left.
//
// It can't stop a handler that does not look at its context. To answer in its place, the handler would have to run in another
// goroutine, and a gin.Context is for one: Gin reuses it for the next request as soon as the chain returns, while the handler that was
// left behind still writes to it. That is how answers of one request ended up in another with middlewares that do so
// (https://github.com/gin-contrib/timeout/issues/45 and its pull request 84). Nor does it end a read of a slow body or a write to a slow
// client: http.Server's ReadTimeout and WriteTimeout do.
//
// d must be above 0. An earlier deadline that the context already has stays.
func Timeout(d time.Duration) (gin.HandlerFunc, error) {
	if d <= 0 {
		return nil, fmt.Errorf("limits: a timeout of %s: must be above 0", d)
	}
	return func(c *gin.Context) {
		original := c.Request
		ctx, cancel := context.WithTimeout(original.Context(), d)
		defer cancel()
		limited := original.WithContext(ctx)
		c.Request = limited
		c.Next()
		if c.Request == limited {
			// What comes after, such as a log, may still have something to do with a context that is alive.
			c.Request = original
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			answerLate(c, ctx.Err())
		}
	}, nil
}

// answerLate answers a request that was not answered in time. A status other than 200 is an answer, although Gin has not sent it yet.
func answerLate(c *gin.Context, cause error) {
	if c.Writer.Written() || c.Writer.Status() != http.StatusOK {
		return
	}
	if last := c.Errors.Last(); last != nil {
		if _, known := errors.AsType[*problem.Error](last); known {
			// problem.Errors answers with it.
			return
		}
		// Drivers call the end of a context many things, not all of which say so to errors.Is.
		cause = last.Err
	}
	problem.Write(c, problem.New(http.StatusGatewayTimeout, "timeout", "the answer took too long").WithCause(cause))
}
