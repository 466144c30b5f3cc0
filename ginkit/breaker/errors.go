package breaker

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-operator/gin-operator/ginkit/problem"
)

// ErrOpen is what errors.Is finds in the error of a call that was not made because the circuit is open, or because it is half open and
// another call is the trial. The error is an *OpenError, and inside an *url.Error where it comes from an http.Client.
var ErrOpen = errors.New("circuit open")

// OpenError is ErrOpen with when to try again.
type OpenError struct {
	// Name is the breaker's.
	Name string
	// RetryAfter is for how long the circuit will still be open. It is 1 s while a trial is under way.
	RetryAfter time.Duration
}

// Error names the breaker and says when to try again.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%s: circuit open, retry in %s", e.Name, e.RetryAfter.Round(time.Millisecond))
}

// Is makes it an ErrOpen.
func (*OpenError) Is(target error) bool { return target == ErrOpen }

// Problem returns what a client is told of a call that failed: of ErrOpen, 503 "dependency_unavailable" with Retry-After, and of any
// other error what problem.From has. Which dependency it is stays in the log.
func Problem(err error) *problem.Error {
	if open, ok := errors.AsType[*OpenError](err); ok {
		return problem.New(http.StatusServiceUnavailable, "dependency_unavailable", "something that the answer needs is not available").
			WithRetryAfter(open.RetryAfter).WithCause(err)
	}
	return problem.From(err)
}
